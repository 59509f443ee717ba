"""Token weights of SamPO and WPO."""

import jax.numpy as jnp

from gradlab.losses.checks import require
from gradlab.losses.closed_form.sides import summed_sides
from gradlab.losses.reweighted import sampo_selections, wpo_weight
from gradlab.losses.terms import log_ratios, logistic_slope, seq_sum, spread
from gradlab.types import PairLogps, PairWeights


def sampo_weights(pairs: PairLogps, *, beta: float, shared_indices, key) -> PairWeights:
    """c = -beta s(-m) on the chosen tokens kept, -c on the rejected ones kept."""
    ref_chosen, ref_rejected = require(pairs, "sampo", "ref_chosen", "ref_rejected")
    kept, ref_kept = sampo_selections(pairs, shared_indices, key)
    chosen = seq_sum(pairs.chosen, kept.chosen) - seq_sum(ref_chosen, ref_kept.chosen)
    rejected = seq_sum(pairs.rejected, kept.rejected)
    rejected = rejected - seq_sum(ref_rejected, ref_kept.rejected)
    slope = beta * logistic_slope(beta * (chosen - rejected))
    return PairWeights(spread(slope, kept.chosen), spread(-slope, kept.rejected))


def wpo_weights(
    pairs: PairLogps, *, beta: float, clamp, label_smoothing: float
) -> PairWeights:
    """DPO's weights times the pair's constant W."""
    a, b = log_ratios(pairs, "wpo")
    slope = beta * logistic_slope(beta * (a - b), label_smoothing)
    slope = jnp.multiply(wpo_weight(pairs, clamp), slope)
    return summed_sides(pairs, slope, -slope)
