"""Token weights of the losses with a target for each side."""

import jax

from gradlab.losses.anchored import bco_baseline
from gradlab.losses.closed_form.sides import summed_sides
from gradlab.losses.terms import log_ratios
from gradlab.types import Array, PairLogps, PairWeights


def sigmoid_slope(x: Array) -> Array:
    """s'(x) = s(x) s(-x)."""
    return jax.nn.sigmoid(x) * jax.nn.sigmoid(-x)


def bco_pair_weights(pairs: PairLogps, *, beta: float, baseline) -> PairWeights:
    """D_w = -beta s(-(beta a - delta)), D_l = +beta s(beta b - delta)."""
    ratios = log_ratios(pairs, "bco_pair")
    delta = bco_baseline(ratios, beta, baseline)
    chosen = -beta * jax.nn.sigmoid(-(beta * ratios.chosen - delta))
    rejected = beta * jax.nn.sigmoid(beta * ratios.rejected - delta)
    return summed_sides(pairs, chosen, rejected)


def sppo_hard_weights(pairs: PairLogps, *, beta: float) -> PairWeights:
    """Twice the distance of each log-ratio from its target."""
    a, b = log_ratios(pairs, "sppo_hard")
    target = 1.0 / (2.0 * beta)
    return summed_sides(pairs, 2.0 * (a - target), 2.0 * (b + target))


def apo_zero_weights(pairs: PairLogps, *, beta: float) -> PairWeights:
    """D_w = -beta s'(beta a), D_l = +beta s'(beta b)."""
    a, b = log_ratios(pairs, "apo_zero")
    chosen, rejected = sigmoid_slope(beta * a), sigmoid_slope(beta * b)
    return summed_sides(pairs, -beta * chosen, beta * rejected)


def apo_down_weights(pairs: PairLogps, *, beta: float) -> PairWeights:
    """D_w = beta s'(beta a) - beta s'(x), D_l = +beta s'(x)."""
    a, b = log_ratios(pairs, "apo_down")
    margin = beta * sigmoid_slope(beta * (a - b))
    return summed_sides(pairs, beta * sigmoid_slope(beta * a) - margin, margin)
