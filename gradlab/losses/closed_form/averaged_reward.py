"""Token weights of SimPO and AlphaPO."""

from gradlab.losses.averaged_reward import alphapo_reward, simpo_gamma
from gradlab.losses.closed_form.sides import averaged_sides
from gradlab.losses.terms import clipped_slope, logistic_slope, mean_logps
from gradlab.types import PairLogps, PairWeights


def simpo_weights(
    pairs: PairLogps,
    *,
    beta: float,
    gamma: float,
    gamma_beta_ratio: float | None,
    label_smoothing: float,
) -> PairWeights:
    """c/L_w and -c/L_l with c = -beta (s(-m) - eps)."""
    chosen, rejected = mean_logps(pairs)
    margin = beta * (chosen - rejected) - simpo_gamma(beta, gamma, gamma_beta_ratio)
    slope = beta * logistic_slope(margin, label_smoothing)
    return averaged_sides(pairs, slope, -slope)


def alphapo_weights(
    pairs: PairLogps, *, alpha: float, beta: float, gamma: float, exp_clip
) -> PairWeights:
    """c e^(-alpha A_w) / L_w and -c e^(-alpha A_l) / L_l with c = -beta s(-m)."""
    chosen, rejected = mean_logps(pairs)
    lead = alphapo_reward(chosen, alpha, exp_clip)
    lead = lead - alphapo_reward(rejected, alpha, exp_clip)
    slope = beta * logistic_slope(beta * lead - gamma)
    return averaged_sides(
        pairs,
        slope * clipped_slope(-alpha * chosen, exp_clip),
        -slope * clipped_slope(-alpha * rejected, exp_clip),
    )
