"""Alignment via optimal transport: losses that compare sorted batches.

Symbols as in `gradlab.losses.dpo`. Both losses couple the pairs of a batch through
sorting. The returned vector is indexed by rank, not by pair; its mean is the batch
value. Token weights belong to the pair they are read at: they are B times the
derivative of the batch mean, as for every loss.
"""

import jax.numpy as jnp

from gradlab.errors import LossInputError
from gradlab.losses.checks import check_range
from gradlab.losses.terms import (
    log_ratios,
    logistic_loss,
    ref_seq_logps,
    seq_logps,
)
from gradlab.types import Array, PairLogps


def aot(pairs: PairLogps, *, beta: float = 0.01, label_smoothing: float = 0.0) -> Array:
    """AOT on pairs: the policy's sorted margins against the reference's.

    Formula:
        u = S_w - S_l and v = R_w - R_l, each sorted ascending over the batch;
        delta_k = u_(k) - v_(k); L_k = -(1-eps) log s(beta delta_k)
                                       - eps log s(-beta delta_k)

    Gradient:
        If pair i has rank k in u: D_w = -beta (s(-beta delta_k) - eps), D_l = -D_w.
        Ties keep their order in the batch.

    Args:
      pairs: token log-probabilities with reference; a whole batch.
      beta: strength of the pull to the reference, per nat.
      label_smoothing: eps in [0, 1).

    Returns:
      [B], by rank; log 2 where policy and reference agree.

    Raises:
      LossInputError: no reference, eps out of range, no batch axis, or arrays of
        unequal shape.

    Conventions:
        TRL 1.16 `aot` agrees; the default beta is that of its documentation. The
        reference margin that a pair is compared with may be another pair's, so that its
        weight can change when only another pair does.

    Example:
      >>> f"{aot(example_pair())[0]:.4f}"
      '0.6882'

    References:
      Melnyk et al., Distributional Preference Alignment of LLMs via Optimal Transport,
      arXiv:2406.05882.
    """
    check_range("aot", "label_smoothing", label_smoothing, 0.0, 1.0)
    policy, ref = seq_logps(pairs), ref_seq_logps(pairs, "aot")
    margins = _sorted(policy.chosen - policy.rejected, "aot")
    delta = margins - _sorted(ref.chosen - ref.rejected, "aot")
    return logistic_loss(beta * delta, label_smoothing)


def aot_unpaired(
    pairs: PairLogps, *, beta: float = 0.01, label_smoothing: float = 0.0
) -> Array:
    """AOT without pairing: sorted chosen log-ratios against sorted rejected ones.

    Formula:
        a and b, each sorted ascending over the batch; delta_k = a_(k) - b_(k);
        L_k = -(1-eps) log s(beta delta_k) - eps log s(-beta delta_k)

    Gradient:
        Pair i with rank k in a: D_w = -beta (s(-beta delta_k) - eps). Pair j with rank
        k in b: D_l = +beta (s(-beta delta_k) - eps). Ties keep their order.

    Args:
      pairs: token log-probabilities with reference; a whole batch, whose pairing of
        chosen with rejected doesn't matter.
      beta: strength of the pull to the reference, per nat.
      label_smoothing: eps in [0, 1).

    Returns:
      [B], by rank; log 2 where policy and reference agree.

    Raises:
      LossInputError: no reference, eps out of range, no batch axis, or arrays of
        unequal shape.

    Conventions:
        TRL 1.16 `aot_unpaired` agrees.

    Example:
      >>> f"{aot_unpaired(example_pair())[0]:.4f}"
      '0.6882'

    References:
      Melnyk et al., Distributional Preference Alignment of LLMs via Optimal Transport,
      arXiv:2406.05882.
    """
    check_range("aot_unpaired", "label_smoothing", label_smoothing, 0.0, 1.0)
    a, b = log_ratios(pairs, "aot_unpaired")
    delta = _sorted(a, "aot_unpaired") - _sorted(b, "aot_unpaired")
    return logistic_loss(beta * delta, label_smoothing)


def _sorted(values: Array, loss: str) -> Array:
    """Ascending and stable, so that the derivative follows the permutation."""
    if values.ndim != 1:
        raise LossInputError(
            f"loss '{loss}' sorts over the batch; expected [B, T] arrays, found one "
            "pair without a batch axis"
        )
    return jnp.sort(values, stable=True)
