"""Losses with a target for each side: APO, BCO, SPPO.

Symbols as in `gradlab.losses.dpo`; x = beta h and s'(y) = s(y) s(-y).
"""

import jax
import jax.numpy as jnp

from gradlab.losses.checks import check_choice
from gradlab.losses.terms import Sides, log_ratios, logistic_loss
from gradlab.types import Array, PairLogps


def bco_pair(
    pairs: PairLogps, *, beta: float = 0.1, baseline: float | str = 0.0
) -> Array:
    """Binary classifier optimisation: chosen above, rejected below a reward baseline.

    Formula:
        L = -log s(beta a - delta) - log s(-(beta b - delta)), delta constant: the given
        number, or for "batch_mean" the batch's mean of (beta a + beta b) / 2

    Gradient:
        D_w = -beta s(-(beta a - delta)), D_l = +beta s(beta b - delta). None flows
        through delta.

    Args:
      pairs: token log-probabilities with reference.
      beta: strength of the pull to the reference, per nat.
      baseline: delta, or "batch_mean", which couples pairs through delta.

    Returns:
      [B]; 2 log 2 where policy and reference agree. With "batch_mean" the weights are
      those at this batch's delta, and not the derivative of the printed value.

    Raises:
      LossInputError: no reference, unknown baseline, or arrays of unequal shape.

    Conventions:
        No shift, as by default here: TRL 1.16 `bco_pair`, and `biasedNCA` of
        thu-ml/Noise-Contrastive-Alignment cbb9248. Running mean over training of the
        batch mean: older TRL, SamPO 25e9631, LLaMA-Factory ff6d4d1; "batch_mean" is its
        first step. The formula that TRL's paper index prints for `bco_pair` is DPO's
        and doesn't describe the code.

    Example:
      >>> f"{bco_pair(example_pair())[0]:.4f}"
      '1.3369'

    References:
      Jung et al., Binary Classifier Optimization for Large Language Model Alignment,
      arXiv:2404.04656 (the reward shift was read in a summary).
    """
    a, b = log_ratios(pairs, "bco_pair")
    delta = bco_baseline(Sides(a, b), beta, baseline)
    return logistic_loss(beta * a - delta) + logistic_loss(delta - beta * b)


def bco_baseline(ratios: Sides, beta: float, baseline: float | str) -> float | Array:
    """The number delta that `baseline` means, without gradient."""
    if not isinstance(baseline, str):
        return baseline
    check_choice("bco_pair", "baseline", baseline, ("batch_mean",))
    return jax.lax.stop_gradient(
        jnp.mean(beta * (ratios.chosen + ratios.rejected)) / 2.0
    )


def sppo_hard(pairs: PairLogps, *, beta: float = 0.001) -> Array:
    """SPPO with hard labels: log-ratios regressed on +1/(2 beta) and -1/(2 beta).

    Formula:
        L = (a - 1/(2 beta))^2 + (b + 1/(2 beta))^2

    Gradient:
        D_w = 2 (a - 1/(2 beta)), D_l = 2 (b + 1/(2 beta)). Both change sign at the
        target.

    Args:
      pairs: token log-probabilities with reference.
      beta: 1/eta of the paper; the targets are 500 nats at the default.

    Returns:
      [B] squared nats.

    Raises:
      LossInputError: no reference, or arrays of unequal shape.

    Conventions:
        TRL 1.16 `sppo_hard` and SamPO 25e9631 agree; TRL's shared default beta of 0.1
        sets targets of 5 nats. The soft-probability version of the paper is another
        loss and not provided.

    Example:
      >>> f"{sppo_hard(example_pair(), beta=0.1)[0]:.4f}"
      '40.5000'

    References:
      Wu et al., Self-Play Preference Optimization for Language Model Alignment,
      arXiv:2405.00675.
    """
    a, b = log_ratios(pairs, "sppo_hard")
    target = 1.0 / (2.0 * beta)
    return (a - target) ** 2 + (b + target) ** 2


def apo_zero(pairs: PairLogps, *, beta: float = 0.1) -> Array:
    """APO-zero: chosen up and rejected down, each against the reference.

    Formula:
        L = 1 - s(beta a) + s(beta b)

    Gradient:
        D_w = -beta s'(beta a), D_l = +beta s'(beta b): each fades as its own response
        leaves the reference, in either direction.

    Args:
      pairs: token log-probabilities with reference.
      beta: strength of the pull to the reference, per nat.

    Returns:
      [B], between 0 and 2; 1 where policy and reference agree.

    Raises:
      LossInputError: no reference, or arrays of unequal shape.

    Conventions:
        TRL 1.16 `apo_zero` and turbo-alignment 72e737d agree.

    Example:
      >>> f"{apo_zero(example_pair())[0]:.4f}"
      '0.9750'

    References:
      D'Oosterlinck et al., Anchored Preference Optimization and Contrastive Revisions:
      Addressing Underspecification in Alignment, arXiv:2408.06266, Eq. 7.
    """
    a, b = log_ratios(pairs, "apo_zero")
    return jax.nn.sigmoid(-beta * a) + jax.nn.sigmoid(beta * b)


def apo_down(pairs: PairLogps, *, beta: float = 0.1) -> Array:
    """APO-down: both responses down, the rejected one more.

    Formula:
        L = s(beta a) + 1 - s(x)

    Gradient:
        D_w = beta s'(beta a) - beta s'(x), D_l = +beta s'(x). At policy = reference
        D_w = 0.

    Args:
      pairs: token log-probabilities with reference.
      beta: strength of the pull to the reference, per nat.

    Returns:
      [B], between 0 and 2; 1 where policy and reference agree.

    Raises:
      LossInputError: no reference, or arrays of unequal shape.

    Conventions:
        TRL 1.16 `apo_down` and turbo-alignment 72e737d agree.

    Example:
      >>> f"{apo_down(example_pair())[0]:.4f}"
      '0.9875'

    References:
      D'Oosterlinck et al., Anchored Preference Optimization and Contrastive Revisions:
      Addressing Underspecification in Alignment, arXiv:2408.06266, Eq. 8.
    """
    a, b = log_ratios(pairs, "apo_down")
    return jax.nn.sigmoid(beta * a) + jax.nn.sigmoid(-beta * (a - b))
