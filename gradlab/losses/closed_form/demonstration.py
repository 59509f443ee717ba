"""Token weights of the demonstration losses."""

import jax
import jax.numpy as jnp

from gradlab.losses.closed_form.dpo import dpo_weights, hinge_weights
from gradlab.losses.closed_form.sides import summed_sides
from gradlab.losses.terms import clipped_slope, log_ratios
from gradlab.types import Array, PairLogps, PairWeights


def spin_weights(pairs: PairLogps, *, beta: float, link) -> PairWeights:
    """As of `dpo` or `hinge`."""
    if link == "hinge":
        return hinge_weights(pairs, beta=beta)
    return dpo_weights(pairs, beta=beta, label_smoothing=0.0)


def density_ratio_slopes(z_w: Array, z_l: Array, kind, exp_clip) -> tuple[Array, Array]:
    """dL/dz of the real and of the generated side."""
    s = jax.nn.sigmoid
    if kind == "brier":
        return -2.0 * s(z_w) * s(-z_w) ** 2, 2.0 * s(z_l) ** 2 * s(-z_l)
    if kind == "hinge":
        real = jnp.where(z_w < 1.0, -1.0, 0.0).astype(z_w.dtype)
        return real, jnp.where(z_l > -1.0, 1.0, 0.0).astype(z_l.dtype)
    if kind == "kliep":
        return -jnp.ones_like(z_w), clipped_slope(z_l, exp_clip)
    if kind == "lsif":
        return -clipped_slope(z_w, exp_clip), clipped_slope(2.0 * z_l, exp_clip)
    return -s(-z_w), s(z_l)


def gsil_weights(pairs: PairLogps, *, scale, shift, kind, exp_clip) -> PairWeights:
    """scale times the slopes of the density-ratio loss."""
    a, b = log_ratios(pairs, "gsil")
    z_w, z_l = scale * a + shift, scale * b + shift
    real, generated = density_ratio_slopes(z_w, z_l, kind, exp_clip)
    return summed_sides(pairs, scale * real, scale * generated)


def dil_weights(pairs: PairLogps, *, kind, exp_clip) -> PairWeights:
    """The slopes of the density-ratio loss at scale 1."""
    a, b = log_ratios(pairs, "dil")
    of_gsil = {"bce": "bernoulli", "lsif": "lsif", "ukl": "kliep"}[kind]
    return summed_sides(pairs, *density_ratio_slopes(a, b, of_gsil, exp_clip))
