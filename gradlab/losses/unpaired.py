"""Losses of single responses, desirable or not: KTO.

Symbols as in `gradlab.losses.dpo`; s'(y) = s(y) s(-y). Each pair counts as two
examples, its chosen response as a desirable and its rejected one as an undesirable
example. The value of a pair is the mean of the two, so that the mean of the returned
vector is the mean over all 2B examples; token weights are B times the derivative of
that mean, half the derivative of an example's own value.
"""

import jax
import jax.numpy as jnp

from gradlab.losses.checks import require
from gradlab.losses.terms import Sides, log_ratios, upcast
from gradlab.types import Array, PairLogps


def kto(
    pairs: PairLogps, *, beta: float = 0.1, lam_d: float = 1.0, lam_u: float = 1.0
) -> Array:
    """KTO: each response against a reference point that the batch shares.

    Formula:
        z0 = max(0, mean(kl_logratios)), held constant
        desirable    lam_d [1 - s(beta (a - z0))]
        undesirable  lam_u [1 - s(beta (z0 - b))]
        L = (desirable + undesirable) / 2

    Gradient:
        D_w = -(lam_d beta / 2) s'(beta (a - z0))
        D_l = +(lam_u beta / 2) s'(beta (z0 - b)). None flows through z0.

    Args:
      pairs: token log-probabilities with reference, and `kl_logratios`: summed
        log-ratios of mismatched prompt-response pairs.
      beta: strength of the pull to the reference, per nat.
      lam_d: weight of desirable examples (lambda_D).
      lam_u: weight of undesirable examples (lambda_U).

    Returns:
      [B], each the mean of a pair's two examples; `kto_examples` gives the two. Pairs
      couple only through z0, which is estimated from the batch.

    Raises:
      LossInputError: no reference, no `kl_logratios`, or arrays of unequal shape.

    Conventions:
        Estimates of z0 differ: TRL 1.16 averages over mismatched pairs built inside the
        batch and clamps at 0; HALOs 4831988 averages over the non-zero ones across
        processes. `kto_pair` is another, older estimate. Eq. 7 is this loss up to the
        constant lambda_y - (.).

    Example:
      >>> f"{kto(example_pair())[0]:.4f}"
      '0.4875'

    References:
      Ethayarajh et al., KTO: Model Alignment as Prospect Theoretic Optimization,
      arXiv:2402.01306, Eq. 7.
    """
    desirable, undesirable = kto_examples(pairs, beta=beta, lam_d=lam_d, lam_u=lam_u)
    return (desirable + undesirable) / 2.0


def kto_examples(
    pairs: PairLogps, *, beta: float = 0.1, lam_d: float = 1.0, lam_u: float = 1.0
) -> Sides:
    """The values of a pair's two examples in `kto`: desirable, undesirable, each [B].

    Example:
      >>> [f"{x[0]:.4f}" for x in kto_examples(example_pair())]
      ['0.4938', '0.4813']
    """
    a, b = log_ratios(pairs, "kto")
    z0 = kto_reference_point(pairs)
    return Sides(
        lam_d * jax.nn.sigmoid(-beta * (a - z0)),
        lam_u * jax.nn.sigmoid(-beta * (z0 - b)),
    )


def kto_reference_point(pairs: PairLogps) -> Array:
    """z0, a number without gradient."""
    (kl_logratios,) = require(pairs, "kto", "kl_logratios")
    return jax.lax.stop_gradient(jax.nn.relu(jnp.mean(upcast(kl_logratios))))


def kto_pair(pairs: PairLogps, *, beta: float = 0.1, detach_kl: bool = False) -> Array:
    """KTO's older form on pairs: each side against the other side's batch mean.

    Formula:
        K_w = max(0, mean of a over the batch), K_l = max(0, mean of b)
        u_i = beta (a_i - K_l), v_i = beta (K_w - b_i)
        L_i = [1 - s(u_i) + 1 - s(v_i)] / 2

    Gradient:
        D_w,i = (beta/2) [-s'(u_i) - (1/B) [mean a > 0] sum_j s'(v_j)]
        D_l,i = (beta/2) [s'(v_i) + (1/B) [mean b > 0] sum_j s'(u_j)]
        With `detach_kl=True` the sums vanish. At a mean of 0 their slope is 0
        (`jax.nn.relu`); the codes clamp, which passes the whole.

    Args:
      pairs: token log-probabilities with reference; a whole batch.
      beta: strength of the pull to the reference, per nat.
      detach_kl: hold K_w and K_l constant.

    Returns:
      [B], each the mean of a pair's two examples; `kto_pair_examples` gives the two.
      Pairs couple through K_w and K_l, and unless `detach_kl` so do their weights.

    Raises:
      LossInputError: no reference, or arrays of unequal shape.

    Conventions:
        turbo-alignment 72e737d `kto` and SamPO 25e9631 `kto_pair`, both without
        detaching. Not the estimator of the KTO paper, which is `kto`.

    Example:
      >>> f"{kto_pair(example_pair())[0]:.4f}"
      '0.4813'

    References:
      Ethayarajh et al., KTO: Model Alignment as Prospect Theoretic Optimization,
      arXiv:2402.01306, for the idea; the formula is that of the codes above.
    """
    desirable, undesirable = kto_pair_examples(pairs, beta=beta, detach_kl=detach_kl)
    return (desirable + undesirable) / 2.0


def kto_pair_examples(
    pairs: PairLogps, *, beta: float = 0.1, detach_kl: bool = False
) -> Sides:
    """The values of a pair's two examples in `kto_pair`, each [B].

    Example:
      >>> [f"{x[0]:.4f}" for x in kto_pair_examples(example_pair())]
      ['0.4875', '0.4750']
    """
    a, b = log_ratios(pairs, "kto_pair")
    means = Sides(jax.nn.relu(jnp.mean(a)), jax.nn.relu(jnp.mean(b)))
    if detach_kl:
        means = jax.lax.stop_gradient(means)
    return Sides(
        jax.nn.sigmoid(-beta * (a - means.rejected)),
        jax.nn.sigmoid(-beta * (means.chosen - b)),
    )
