"""Token weights of the budget-controlled losses."""

import jax
import jax.numpy as jnp

from gradlab.losses.budget import bcr_base, budget_penalty
from gradlab.losses.checks import require
from gradlab.losses.closed_form.dpo import dpo_weights
from gradlab.losses.closed_form.sides import summed_sides
from gradlab.losses.terms import lengths, log_ratios, masked, spread
from gradlab.types import Array, PairLogps, PairWeights


def penalty_slopes(pairs: PairLogps, loss: str, delta: float, drop: str) -> Array:
    """e_t = -dpen/dlogp_w,t on each chosen token, [B, T]; 0 at the kink."""
    mask = pairs.chosen_mask
    if drop == "tokenwise":
        ref, _ = require(pairs, loss, "ref_chosen", "ref_rejected")
        fallen = masked(ref, mask) - masked(pairs.chosen, mask)
        return masked(jnp.where(fallen > delta, 1.0, 0.0).astype(fallen.dtype), mask)
    a = log_ratios(pairs, loss).chosen
    if drop == "sequence":
        return spread(jnp.where(-a > delta, 1.0, 0.0).astype(a.dtype), mask)
    counts = lengths(pairs).chosen
    return spread(jnp.where(-a / counts > delta, 1.0 / counts, 0.0), mask)


def bcr_added_weights(
    pairs: PairLogps, *, lam: float, delta: float, beta: float, drop: str, base
) -> PairWeights | None:
    """The base's weights, and -lam e_t more on the chosen tokens."""
    weights = (
        dpo_weights(pairs, beta=beta, label_smoothing=0.0)
        if base is None
        else bcr_base(base, beta).closed_form(pairs)
    )
    if weights is None:
        return None
    slopes = penalty_slopes(pairs, "bcr_added", delta, drop)
    return PairWeights(weights.chosen - lam * slopes, weights.rejected)


def bcr_inside_weights(
    pairs: PairLogps, *, lam: float, delta: float, beta: float, drop: str
) -> PairWeights:
    """-beta (1 + lam e_t) s(-m) on the chosen tokens, +beta s(-m) on the rejected."""
    penalty = budget_penalty(pairs, "bcr_inside", delta, drop)
    a, b = log_ratios(pairs, "bcr_inside")
    slope = beta * jax.nn.sigmoid(-beta * (a - b - lam * penalty))
    weights = summed_sides(pairs, -slope, slope)
    slopes = penalty_slopes(pairs, "bcr_inside", delta, drop)
    return PairWeights(weights.chosen * (1.0 + lam * slopes), weights.rejected)
