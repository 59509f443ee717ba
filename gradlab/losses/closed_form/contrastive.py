"""Token weights of the noise-contrastive losses."""

import jax

from gradlab.losses.closed_form.sides import summed_sides
from gradlab.losses.terms import log_ratios
from gradlab.types import PairLogps, PairWeights


def nca_pair_weights(pairs: PairLogps, *, beta: float) -> PairWeights:
    """D_w = -beta (s(-beta a) - s(beta a)/2), D_l = (beta/2) s(beta b)."""
    a, b = log_ratios(pairs, "nca_pair")
    chosen = jax.nn.sigmoid(-beta * a) - 0.5 * jax.nn.sigmoid(beta * a)
    return summed_sides(pairs, -beta * chosen, 0.5 * beta * jax.nn.sigmoid(beta * b))


def infonca_weights(pairs: PairLogps, *, beta: float, q) -> PairWeights:
    """D_w = -beta (s(-x) - (1-q)) = -D_l."""
    a, b = log_ratios(pairs, "infonca")
    slope = -beta * (jax.nn.sigmoid(-beta * (a - b)) - (1.0 - q))
    return summed_sides(pairs, slope, -slope)
