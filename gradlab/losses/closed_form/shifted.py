"""Token weights of the losses that treat the two sides differently inside DPO."""

import jax
import jax.numpy as jnp

from gradlab.losses.closed_form.sides import summed_sides
from gradlab.losses.terms import log_ratios
from gradlab.types import PairLogps, PairWeights


def cal_dpo_weights(
    pairs: PairLogps, *, beta: float, calibration_weight: float
) -> PairWeights:
    """DPO's weights at beta = 1, and each side's distance from its target."""
    a, b = log_ratios(pairs, "cal_dpo")
    target = 1.0 / (2.0 * beta)
    away = jax.nn.sigmoid(-(a - b))
    pull = 2.0 * calibration_weight
    return summed_sides(pairs, -away + pull * (a - target), away + pull * (b + target))


def dpo_shift_weights(pairs: PairLogps, *, beta: float, f) -> PairWeights:
    """The rejected side weighs f times the chosen."""
    a, b = log_ratios(pairs, "dpo_shift")
    slope = beta * jax.nn.sigmoid(-beta * (a - f * b))
    return summed_sides(pairs, -slope, f * slope)


def bpo_weights(pairs: PairLogps, *, beta: float, alpha: float) -> PairWeights:
    """All on the side that binds; half of each at a tie."""
    a, b = log_ratios(pairs, "bpo")
    for_chosen, for_rejected = beta * a, -alpha * beta * b
    away = jax.nn.sigmoid(-jnp.minimum(for_chosen, for_rejected))
    tied = jnp.where(for_chosen == for_rejected, 0.5, 0.0)
    on_chosen = jnp.where(for_chosen < for_rejected, 1.0, tied)
    return summed_sides(
        pairs, -beta * on_chosen * away, alpha * beta * (1.0 - on_chosen) * away
    )


def flexdpo_weights(
    pairs: PairLogps, *, beta_pos: float, beta_neg: float
) -> PairWeights:
    """Each side weighs its own beta."""
    a, b = log_ratios(pairs, "flexdpo")
    away = jax.nn.sigmoid(-(beta_pos * a - beta_neg * b))
    return summed_sides(pairs, -beta_pos * away, beta_neg * away)
