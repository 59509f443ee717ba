"""Token weights of the likelihood-preserving losses."""

import jax
import jax.numpy as jnp

from gradlab.losses.closed_form.sides import summed_sides
from gradlab.losses.terms import lengths, log_ratios
from gradlab.types import PairLogps, PairWeights


def dpop_weights(pairs: PairLogps, *, beta: float, lam: float) -> PairWeights:
    """The chosen side weighs 1 + lam times more once its log-ratio is negative."""
    a, b = log_ratios(pairs, "dpop")
    fallen = jnp.where(a < 0.0, 1.0, 0.0)
    margin = beta * (a - b + lam * fallen * a)
    slope = beta * jax.nn.sigmoid(-margin)
    return summed_sides(pairs, -(1.0 + lam * fallen) * slope, slope)


def dpop_outside_weights(pairs: PairLogps, *, beta: float, lam: float) -> PairWeights:
    """DPO's weights, and -lam more on each chosen token once a is negative."""
    a, b = log_ratios(pairs, "dpop_outside")
    slope = beta * jax.nn.sigmoid(-beta * (a - b))
    return summed_sides(pairs, -slope - lam * jnp.where(a < 0.0, 1.0, 0.0), slope)


def dpop_inside_nobeta_weights(
    pairs: PairLogps, *, beta: float, lam: float
) -> PairWeights:
    """As of `dpop` with lam / beta."""
    a, b = log_ratios(pairs, "dpop_inside_nobeta")
    fallen = jnp.where(a < 0.0, 1.0, 0.0)
    away = jax.nn.sigmoid(-(beta * (a - b) + lam * fallen * a))
    return summed_sides(pairs, -(beta + lam * fallen) * away, beta * away)


def rpo_weights(pairs: PairLogps, *, beta: float, eta: float) -> PairWeights:
    """DPO's weights, and -beta eta more on each chosen token."""
    a, b = log_ratios(pairs, "rpo")
    slope = beta * jax.nn.sigmoid(-beta * (a - b))
    return summed_sides(pairs, -slope - beta * eta, slope)


def irpo_weights(pairs: PairLogps, *, beta: float, alpha: float) -> PairWeights:
    """DPO's weights, and -alpha/L_w more on each chosen token."""
    a, b = log_ratios(pairs, "irpo")
    slope = beta * jax.nn.sigmoid(-beta * (a - b))
    return summed_sides(pairs, -slope - alpha / lengths(pairs).chosen, slope)
