"""Losses of mean log-probabilities without reference: SimPO and AlphaPO.

Symbols as in `gradlab.losses.likelihood`; s is the logistic sigmoid.
"""

import jax.numpy as jnp

from gradlab.errors import LossInputError
from gradlab.losses.checks import check_range
from gradlab.losses.terms import clip_exponent, logistic_loss, mean_logps
from gradlab.types import Array, PairLogps


def simpo(
    pairs: PairLogps,
    *,
    beta: float = 2.0,
    gamma: float = 0.5,
    gamma_beta_ratio: float | None = None,
    label_smoothing: float = 0.0,
) -> Array:
    """SimPO: logistic loss of the difference of mean log-probabilities, with a margin.

    Formula:
        m = beta (A_w - A_l) - gamma;  L = -(1-eps) log s(m) - eps log s(-m)

    Gradient:
        c = -beta (s(-m) - eps); G_w,t = c/L_w, G_l,t = -c/L_l

    Args:
      pairs: token log-probabilities.
      beta: scale of the mean log-probabilities, tokens per nat.
      gamma: target margin, outside beta.
      gamma_beta_ratio: gamma / beta, the other way to give the margin; exclusive with
        a gamma other than the default.
      label_smoothing: eps in [0, 1).

    Returns:
      [B].

    Raises:
      LossInputError: both gamma and its ratio given, eps out of range, or arrays of
        unequal shape.

    Conventions:
        "gamma" outside beta: TRL 1.16, LLaMA-Factory ff6d4d1, torchtune, here. The
        SimPO repository 1b3e8f3, HALOs 4831988, oat c1a074c and open-instruct e6c3044
        take `gamma_beta_ratio` (0.25); turbo-alignment 72e737d calls that ratio gamma.
        TRL adds a likelihood term unless `cpo_alpha=0` (its default is 1). Some codes
        divide by a length that may be 0.

    Example:
      >>> f"{simpo(example_pair())[0]:.4f}"
      '0.9741'

    References:
      Meng et al., SimPO: Simple Preference Optimization with a Reference-Free Reward,
      arXiv:2405.14734.
    """
    check_range("simpo", "label_smoothing", label_smoothing, 0.0, 1.0)
    chosen, rejected = mean_logps(pairs)
    margin = beta * (chosen - rejected) - simpo_gamma(beta, gamma, gamma_beta_ratio)
    return logistic_loss(margin, label_smoothing)


def simpo_gamma(beta: float, gamma: float, gamma_beta_ratio: float | None) -> float:
    """The margin from whichever of its two names was given."""
    if gamma_beta_ratio is None:
        return gamma
    if gamma != 0.5:
        raise LossInputError(
            f"loss 'simpo': gamma={gamma!r} and gamma_beta_ratio={gamma_beta_ratio!r} "
            "are two names of one margin; give one"
        )
    return beta * gamma_beta_ratio


def alphapo(
    pairs: PairLogps,
    *,
    alpha: float = 0.25,
    beta: float = 2.5,
    gamma: float = 0.1,
    exp_clip: float | None = 80.0,
) -> Array:
    """AlphaPO: SimPO with a reward whose shape is set by alpha.

    Formula:
        r(A) = (1 - e^(-alpha A)) / alpha, and A for alpha = 0
        m = beta (r(A_w) - r(A_l)) - gamma; L = -log s(m)

    Gradient:
        c = -beta s(-m)
        G_w,t = c e^(-alpha A_w) / L_w, G_l,t = -c e^(-alpha A_l) / L_l, the exponential
        replaced by 0 where -alpha A is at or above `exp_clip`.

    Args:
      pairs: token log-probabilities.
      alpha: shape; above 0 unlikely responses weigh more, below 0 less, 0 is SimPO.
      beta: scale of the reward.
      gamma: target margin, outside beta.
      exp_clip: cap on exponents; a pair beyond it no longer moves. `None`: no cap.

    Returns:
      [B].

    Raises:
      LossInputError: arrays of unequal shape.

    Conventions:
        TRL 1.16 (CPO trainer) agrees up to rounding: it forms e^A first and then a
        power, so it overflows where e^A underflows. The defaults are the
        Mistral-Instruct setting quoted in its documentation.

    Example:
      >>> f"{alphapo(example_pair())[0]:.4f}"
      '0.7444'

    References:
      Gupta et al., AlphaPO: Reward Shape Matters for LLM Alignment, arXiv:2501.03884.
    """
    rewards = [alphapo_reward(mean, alpha, exp_clip) for mean in mean_logps(pairs)]
    return logistic_loss(beta * (rewards[0] - rewards[1]) - gamma)


def alphapo_reward(means: Array, alpha: float, exp_clip: float | None) -> Array:
    """r(A); by expm1, so that a small alpha keeps its digits."""
    # At alpha = 0 the curved branch is unused, but must stay finite for its gradient.
    flat = jnp.equal(alpha, 0)
    divisor = jnp.where(flat, 1.0, alpha).astype(means.dtype)
    exponent = clip_exponent(jnp.where(flat, 0.0, -divisor * means), exp_clip)
    return jnp.where(flat, means, -jnp.expm1(exponent) / divisor)
