"""DPO under other divergences than the reverse KL, and under other link functions.

Symbols as in `gradlab.losses.dpo`; x = beta h.
"""

import math

import jax
import jax.numpy as jnp

from gradlab.losses.checks import check_choice, check_range
from gradlab.losses.terms import clipped_exp, log_ratios, logistic_loss
from gradlab.types import Array, PairLogps

DIVERGENCES = ("reverse_kl", "forward_kl", "js", "alpha")


def f_dpo(
    pairs: PairLogps,
    *,
    beta: float = 0.1,
    divergence: str = "reverse_kl",
    alpha: float = 0.5,
    exp_clip: float | None = 80.0,
) -> Array:
    """f-DPO: DPO derived from another divergence between policy and reference.

    Formula:
        m = beta (g(a) - g(b)); L = -log s(m), with g(u) = f'(e^u) up to a constant:
        reverse_kl  u                          forward_kl  1 - e^(-u)
        js          log 2 + log s(u)           alpha       (1 - e^(-alpha u)) / alpha

    Gradient:
        D_w = -beta s(-m) g'(a), D_l = +beta s(-m) g'(b), with g'(u):
        reverse_kl  1                          forward_kl  e^(-u)
        js          s(-u)                      alpha       e^(-alpha u)
        0 where the exponent -u or -alpha u is at or above `exp_clip`.

    Args:
      pairs: token log-probabilities with reference.
      beta: strength of the pull to the reference.
      divergence: "reverse_kl" (plain DPO), "forward_kl", "js" or "alpha".
      alpha: of the alpha-divergence, in (0, 1); 0 would be the reverse, 1 the forward
        KL. Unused by the others.
      exp_clip: cap on exponents; a pair beyond it no longer moves. `None`: no cap.

    Returns:
      [B]; log 2 where policy and reference agree.

    Raises:
      LossInputError: no reference, unknown divergence, alpha out of range, or arrays of
        unequal shape.

    Conventions:
        TRL 1.16 writes f'(t) = (t^(c-1) - 1) / (c - 1) and asks for c = 1 - alpha: the
        two agree only at the default 0.5 (c = 0 is the forward KL, c -> 1 the reverse).
        alpha as here is the form of older TRL and of its fork DPO-Shift; that the paper
        uses the same symbol is inferred. TRL 1.16 clamps the exponent at 80 in float32
        and bfloat16, older TRL at the largest finite number.
        The additive constants of g cancel here, but not in length-normalised variants.

    Example:
      >>> f"{f_dpo(example_pair(), divergence='forward_kl')[0]:.4f}"
      '0.6424'

    References:
      Wang et al., Beyond Reverse KL: Generalizing Direct Preference Optimization with
      Diverse Divergence Constraints, arXiv:2309.16240.
    """
    check_choice("f_dpo", "divergence", divergence, DIVERGENCES)
    check_range("f_dpo", "alpha", alpha, 0.0, 1.0, open_low=True)

    def g(u: Array) -> Array:
        if divergence == "forward_kl":
            return 1.0 - clipped_exp(-u, exp_clip)
        if divergence == "alpha":
            return (1.0 - clipped_exp(-alpha * u, exp_clip)) / alpha
        return u if divergence == "reverse_kl" else math.log(2) + jax.nn.log_sigmoid(u)

    a, b = log_ratios(pairs, "f_dpo")
    return logistic_loss(beta * (g(a) - g(b)))


def exo_pair(
    pairs: PairLogps, *, beta: float = 0.1, label_smoothing: float = 1e-3
) -> Array:
    """EXO on a pair: reverse KL of the model's preference to a smoothed label.

    Formula:
        L = s(x) [log s(x) - log(1-eps)] + s(-x) [log s(-x) - log eps]
          = KL(Bernoulli(s(x)) || Bernoulli(1-eps))

    Gradient:
        D_w = beta s(x) s(-x) [x - log((1-eps)/eps)], D_l = -D_w. It vanishes at the
        target s(x) = 1 - eps and also, unlike DPO's, where the pair is far from it.

    Args:
      pairs: token log-probabilities with reference.
      beta: strength of the pull to the reference, per nat.
      label_smoothing: eps in (0, 1/2); at 0 the loss is infinite.

    Returns:
      [B], between 0 and -log eps.

    Raises:
      LossInputError: no reference, eps out of range, or arrays of unequal shape.

    Conventions:
        TRL 1.16 `exo_pair` has this formula but takes log(label_smoothing) as given, so
        that its own default 0 gives an infinite loss; older TRL and its forks replace 0
        by 1e-3.

    Example:
      >>> f"{exo_pair(example_pair())[0]:.4f}"
      '2.5900'

    References:
      Ji et al., Towards Efficient Exact Optimization of Language Model Alignment,
      arXiv:2402.00856, Eq. 16.
    """
    check_range("exo_pair", "label_smoothing", label_smoothing, 0.0, 0.5, open_low=True)
    a, b = log_ratios(pairs, "exo_pair")
    x = beta * (a - b)
    log_p, log_q = jax.nn.log_sigmoid(x), jax.nn.log_sigmoid(-x)
    for_chosen = jax.nn.sigmoid(x) * (log_p - jnp.log1p(-label_smoothing))
    return for_chosen + jax.nn.sigmoid(-x) * (log_q - jnp.log(label_smoothing))


def discopop(pairs: PairLogps, *, beta: float = 0.05, tau: float = 0.05) -> Array:
    """DiscoPOP: logistic and exponential loss, mixed by the log-ratio itself.

    Formula:
        w = s(x/tau); L = -(1-w) log s(x) + w exp(-x)

    Gradient:
        w' = s(x/tau) s(-x/tau) / tau
        dL/dx = -(1-w) s(-x) - w exp(-x) + w' (exp(-x) + log s(x))
        D_w = beta dL/dx, D_l = -D_w. Not convex: the loss rises again for some x.

    Args:
      pairs: token log-probabilities with reference.
      beta: strength of the pull to the reference, per nat.
      tau: temperature of the mixture, above 0.

    Returns:
      [B].

    Raises:
      LossInputError: no reference, tau not above 0, or arrays of unequal shape.

    Conventions:
        TRL 1.16 `discopop` agrees where it is finite. It forms w exp(-x) as a product,
        which is NaN for x below about -88 in float32; here it is one exponential,
        exp(-x + log s(x/tau)).

    Example:
      >>> f"{discopop(example_pair())[0]:.4f}"
      '0.8752'

    References:
      Lu et al., Discovering Preference Optimization Algorithms with and for Large
      Language Models, arXiv:2406.08414, Eq. 5.
    """
    check_range("discopop", "tau", tau, 0.0, math.inf, open_low=True)
    a, b = log_ratios(pairs, "discopop")
    x = beta * (a - b)
    exponential = jnp.exp(-x + jax.nn.log_sigmoid(x / tau))
    return exponential - jax.nn.sigmoid(-x / tau) * jax.nn.log_sigmoid(x)
