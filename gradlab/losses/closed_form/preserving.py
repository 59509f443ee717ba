"""Token weights of the likelihood-preserving losses."""

import jax
import jax.numpy as jnp

from gradlab.losses.closed_form.sides import summed_sides
from gradlab.losses.terms import log_ratios
from gradlab.types import PairLogps, PairWeights


def dpop_weights(pairs: PairLogps, *, beta, lam) -> PairWeights:
    """The chosen side weighs 1 + lam times more once its log-ratio is negative."""
    a, b = log_ratios(pairs, "dpop")
    fallen = jnp.where(a < 0.0, 1.0, 0.0)
    margin = beta * (a - b + lam * fallen * a)
    slope = beta * jax.nn.sigmoid(-margin)
    return summed_sides(pairs, -(1.0 + lam * fallen) * slope, slope)


def rpo_weights(pairs: PairLogps, *, beta, eta) -> PairWeights:
    """DPO's weights, and -beta eta more on each chosen token."""
    a, b = log_ratios(pairs, "rpo")
    slope = beta * jax.nn.sigmoid(-beta * (a - b))
    return summed_sides(pairs, -slope - beta * eta, slope)
