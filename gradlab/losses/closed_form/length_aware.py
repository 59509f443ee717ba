"""Token weights of the length-aware losses."""

from gradlab.losses.closed_form.sides import averaged_sides
from gradlab.losses.terms import (
    logistic_slope,
    mean_log_ratios,
    mean_logps,
    ref_seq_logps,
)
from gradlab.types import PairLogps, PairWeights


def averaged_dpo_weights(pairs: PairLogps, *, beta, reference_averaged) -> PairWeights:
    """c/L_w and -c/L_l with c = -beta s(-m), whichever way the reference enters m."""
    if reference_averaged:
        a, b = mean_log_ratios(pairs, "averaged_dpo")
        margin = a - b
    else:
        means, ref = mean_logps(pairs), ref_seq_logps(pairs, "averaged_dpo")
        margin = (means.chosen - ref.chosen) - (means.rejected - ref.rejected)
    slope = beta * logistic_slope(beta * margin)
    return averaged_sides(pairs, slope, -slope)
