"""Token weights of DPO and its relatives."""

import jax
import jax.numpy as jnp

from gradlab.losses.closed_form.sides import averaged_sides, summed_sides
from gradlab.losses.terms import log_ratios, logistic_slope, mean_log_ratios
from gradlab.types import PairLogps, PairWeights


def dpo_weights(
    pairs: PairLogps, *, beta: float, label_smoothing: float
) -> PairWeights:
    """D_w = -beta (s(-beta h) - eps) = -D_l."""
    a, b = log_ratios(pairs, "dpo")
    slope = beta * logistic_slope(beta * (a - b), label_smoothing)
    return summed_sides(pairs, slope, -slope)


def robust_dpo_weights(
    pairs: PairLogps, *, beta: float, label_smoothing: float
) -> PairWeights:
    """D_w = -beta [(1-eps) s(-beta h) + eps s(beta h)] / (1 - 2 eps) = -D_l."""
    a, b = log_ratios(pairs, "robust_dpo")
    x = beta * (a - b)
    mixed = (1.0 - label_smoothing) * jax.nn.sigmoid(-x)
    mixed = mixed + label_smoothing * jax.nn.sigmoid(x)
    slope = -beta * mixed / (1.0 - 2.0 * label_smoothing)
    return summed_sides(pairs, slope, -slope)


def ipo_weights(pairs: PairLogps, *, tau: float, reduction: str) -> PairWeights:
    """Twice the distance of the margin from its target."""
    if reduction == "sum":
        a, b = log_ratios(pairs, "ipo")
        slope = 2.0 * (a - b - 1.0 / (2.0 * tau))
        return summed_sides(pairs, slope, -slope)
    a, b = mean_log_ratios(pairs, "ipo")
    slope = 2.0 * (a - b - 1.0 / (2.0 * tau))
    return averaged_sides(pairs, slope, -slope)


def averaged_ipo_weights(pairs: PairLogps, *, tau: float) -> PairWeights:
    """As of `ipo` with reduction "mean"."""
    return ipo_weights(pairs, tau=tau, reduction="mean")


def hinge_weights(pairs: PairLogps, *, beta: float) -> PairWeights:
    """-beta on chosen and +beta on rejected tokens while the hinge is open."""
    a, b = log_ratios(pairs, "hinge")
    slope = jnp.where(beta * (a - b) < 1.0, -beta, 0.0).astype(a.dtype)
    return summed_sides(pairs, slope, -slope)
