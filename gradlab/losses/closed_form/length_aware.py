"""Token weights of the length-aware losses."""

import jax.numpy as jnp

from gradlab.losses.checks import require
from gradlab.losses.closed_form.sides import averaged_sides, summed_sides
from gradlab.losses.length_aware import lddpo_token_weights
from gradlab.losses.terms import (
    lengths,
    log_ratios,
    logistic_slope,
    masked,
    mean_log_ratios,
    mean_logps,
    ref_seq_logps,
)
from gradlab.types import PairLogps, PairWeights


def averaged_dpo_weights(
    pairs: PairLogps, *, beta: float, reference_averaged
) -> PairWeights:
    """c/L_w and -c/L_l with c = -beta s(-m), whichever way the reference enters m."""
    if reference_averaged:
        a, b = mean_log_ratios(pairs, "averaged_dpo")
        margin = a - b
    else:
        means, ref = mean_logps(pairs), ref_seq_logps(pairs, "averaged_dpo")
        margin = (means.chosen - ref.chosen) - (means.rejected - ref.rejected)
    slope = beta * logistic_slope(beta * margin)
    return averaged_sides(pairs, slope, -slope)


def rdpo_weights(pairs: PairLogps, *, beta: float, alpha: float) -> PairWeights:
    """D_w = -beta s(-m) = -D_l, with the lengths inside m."""
    a, b = log_ratios(pairs, "rdpo")
    counts = lengths(pairs)
    margin = beta * (a - b) + alpha * (counts.chosen - counts.rejected)
    slope = beta * logistic_slope(margin)
    return summed_sides(pairs, slope, -slope)


def lddpo_weights(
    pairs: PairLogps, *, beta: float, alpha: float, weight_reference
) -> PairWeights:
    """c w_t and -c w_t with c = -beta s(-m)."""
    weights = lddpo_token_weights(pairs, alpha)
    ref_chosen, ref_rejected = require(pairs, "lddpo", "ref_chosen", "ref_rejected")

    def ratio(logps, ref, mask, weight):
        ref_weight = weight if weight_reference else 1.0
        logps, ref = masked(logps, mask), masked(ref, mask)
        return jnp.sum(weight * logps - ref_weight * ref, axis=-1)

    chosen = ratio(pairs.chosen, ref_chosen, pairs.chosen_mask, weights.chosen)
    rejected = ratio(
        pairs.rejected, ref_rejected, pairs.rejected_mask, weights.rejected
    )
    slope = beta * logistic_slope(beta * (chosen - rejected))
    sides = summed_sides(pairs, slope, -slope)
    return PairWeights(sides.chosen * weights.chosen, sides.rejected * weights.rejected)
