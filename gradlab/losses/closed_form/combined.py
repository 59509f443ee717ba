"""Token weights of the named sums."""

import jax

from gradlab.losses.closed_form.dpo import dpo_weights
from gradlab.losses.closed_form.likelihood import mle_weights
from gradlab.losses.closed_form.treatment_effect import exmate_weights
from gradlab.types import PairLogps, PairWeights


def add_weights(
    first: PairWeights, second: PairWeights, factor: float = 1.0
) -> PairWeights:
    """first + factor second."""
    return jax.tree.map(lambda x, y: x + factor * y, first, second)


def dpo_mle_weights(
    pairs: PairLogps, *, beta: float, weight, reduction: str
) -> PairWeights:
    """DPO's weights plus `weight` times the likelihood's."""
    dpo = dpo_weights(pairs, beta=beta, label_smoothing=0.0)
    return add_weights(dpo, mle_weights(pairs, reduction=reduction), weight)


def dpo_exmate_weights(
    pairs: PairLogps, *, beta: float, weight, lam: float, reduction: str
) -> PairWeights:
    """DPO's weights plus `weight` times ExMATE's."""
    dpo = dpo_weights(pairs, beta=beta, label_smoothing=0.0)
    exmate = exmate_weights(pairs, lam=lam, reduction=reduction)
    return add_weights(dpo, exmate, weight)
