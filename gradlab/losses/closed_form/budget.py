"""Token weights of the budget-controlled losses."""

from typing import Any

import jax
import jax.numpy as jnp

from gradlab.losses.budget import (
    budget_base,
    budget_excess,
    budget_penalty,
    lowered,
)
from gradlab.losses.terms import lengths, masked, seq_sum, spread
from gradlab.types import Array, PairLogps, PairWeights

SLOPES = {
    "hinge": lambda excess: jnp.where(excess > 0.0, 1.0, 0.0).astype(excess.dtype),
    "squared": lambda excess: 2.0 * jax.nn.relu(excess),
    "softplus": jax.nn.sigmoid,
}


def penalty_slopes(
    pairs: PairLogps, loss: str, delta: float, drop: str, shape: str
) -> Array:
    """e_t = -dpen/dlogp_w,t on each chosen token, [B, T]; 0 at the kink."""
    mask = pairs.chosen_mask
    slopes = SLOPES[shape](budget_excess(pairs, loss, delta, drop))
    if drop == "tokenwise":
        return masked(slopes, mask)
    return spread(
        slopes if drop == "sequence" else slopes / lengths(pairs).chosen, mask
    )


def bcr_added_weights(
    pairs: PairLogps,
    *,
    lam: float,
    delta: float,
    beta: float,
    drop: str,
    shape: str,
    base: Any,
) -> PairWeights | None:
    """The base's weights, and -lam e_t more on the chosen tokens."""
    weights = budget_base("bcr_added", base, beta).closed_form(pairs)
    if weights is None:
        return None
    slopes = penalty_slopes(pairs, "bcr_added", delta, drop, shape)
    return PairWeights(weights.chosen - lam * slopes, weights.rejected)


def bcr_inside_weights(
    pairs: PairLogps,
    *,
    lam: float,
    delta: float,
    beta: float,
    drop: str,
    shape: str,
    base: Any,
) -> PairWeights | None:
    """The base's at the lowered side, and lam e_t times their mean on the chosen."""
    penalty = budget_penalty(pairs, "bcr_inside", delta, drop, shape)
    bound = budget_base("bcr_inside", base, beta)
    weights = bound.closed_form(lowered(pairs, lam * penalty))
    if weights is None:
        return None
    mask = pairs.chosen_mask
    mean = spread(seq_sum(weights.chosen, mask) / lengths(pairs).chosen, mask)
    slopes = penalty_slopes(pairs, "bcr_inside", delta, drop, shape)
    return PairWeights(weights.chosen + lam * slopes * mean, weights.rejected)
