"""Token weights of DPO under other divergences and link functions."""

import jax
import jax.numpy as jnp

from gradlab.losses.closed_form.sides import summed_sides
from gradlab.losses.terms import clipped_exp, clipped_slope, log_ratios
from gradlab.types import Array, PairLogps, PairWeights


def f_dpo_weights(
    pairs: PairLogps, *, beta: float, divergence, alpha: float, exp_clip
) -> PairWeights:
    """D_w = -beta s(-m) g'(a), D_l = +beta s(-m) g'(b)."""
    a, b = log_ratios(pairs, "f_dpo")

    def g_and_slope(u: Array) -> tuple[Array, Array]:
        if divergence == "forward_kl":
            return 1.0 - clipped_exp(-u, exp_clip), clipped_slope(-u, exp_clip)
        if divergence == "alpha":
            z = -alpha * u
            return (1.0 - clipped_exp(z, exp_clip)) / alpha, clipped_slope(z, exp_clip)
        if divergence == "js":
            return jax.nn.log_sigmoid(u), jax.nn.sigmoid(-u)
        return u, jnp.ones_like(u)

    (g_a, slope_a), (g_b, slope_b) = g_and_slope(a), g_and_slope(b)
    slope = beta * jax.nn.sigmoid(-beta * (g_a - g_b))
    return summed_sides(pairs, -slope * slope_a, slope * slope_b)


def exo_pair_weights(
    pairs: PairLogps, *, beta: float, label_smoothing: float
) -> PairWeights:
    """D_w = beta s(x) s(-x) (x - log((1-eps)/eps)) = -D_l."""
    a, b = log_ratios(pairs, "exo_pair")
    x = beta * (a - b)
    target = jnp.log1p(-label_smoothing) - jnp.log(label_smoothing)
    slope = beta * jax.nn.sigmoid(x) * jax.nn.sigmoid(-x) * (x - target)
    return summed_sides(pairs, slope, -slope)


def discopop_weights(pairs: PairLogps, *, beta: float, tau: float) -> PairWeights:
    """dL/dx = -(1-w) s(-x) - w e^-x + w' (e^-x + log s(x)), w = s(x/tau)."""
    a, b = log_ratios(pairs, "discopop")
    x = beta * (a - b)
    log_w, log_not_w = jax.nn.log_sigmoid(x / tau), jax.nn.log_sigmoid(-x / tau)
    w_exp = jnp.exp(-x + log_w)
    slope_exp = jnp.exp(-x + log_w + log_not_w) / tau
    slope_log = jnp.exp(log_w + log_not_w) / tau * jax.nn.log_sigmoid(x)
    plain = jnp.exp(log_not_w) * jax.nn.sigmoid(-x)
    slope = beta * (-plain - w_exp + slope_exp + slope_log)
    return summed_sides(pairs, slope, -slope)
