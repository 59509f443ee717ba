"""Weights of the members as functions of z, and where two sides balance. Float64."""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.rows import Row, row
from analyses.self_imitation.config import Config
from analyses.self_imitation.members import GSIL, MEMBERS, PROPER, Loss
from gradlab.gradients import value_and_token_weights
from gradlab.losses import resolve
from gradlab.types import Array, PairLogps

GRID = np.arange(-240, 241) / 8  # z: sums with the reference below are exact
SHOWN = np.arange(-32, 33) / 8
DIGITS = 8.0  # |z| up to which 1 - s(z) keeps twelve digits
REFERENCE = -64.0
BISECTIONS = 200
BOUNDS = {"bernoulli": 1.0, "hinge": 1.0, "brier": 8 / 27}


@partial(jax.jit, static_argnames="loss")
def values_and_slopes(
    loss: Loss, z_w: Array, z_l: Array, scale: float = 1.0, shift: float = 0.0
) -> tuple[Array, Array, Array]:
    """Loss and its derivatives by both log-ratios, [n] each, log-ratios given."""
    ones = jnp.ones((len(z_w), 1))
    reference = REFERENCE * ones
    pairs = PairLogps(
        z_w[:, None] + reference, z_l[:, None] + reference, ones, ones,
        ref_chosen=reference, ref_rejected=reference,
    )  # fmt: skip
    bound = resolve(loss, scale=scale, shift=shift)
    values, weights = value_and_token_weights(bound, pairs)
    return values, weights.chosen[:, 0], weights.rejected[:, 0]


def balanced_z(loss: Loss, log_ratio: np.ndarray) -> Array:
    """The z that minimises r l_1(z) + l_-1(z), by bisection of its derivative."""
    ratio = jnp.exp(jnp.asarray(log_ratio))
    low, high = jnp.full(len(ratio), -30.0), jnp.full(len(ratio), 30.0)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        _, real, generated = values_and_slopes(loss, middle, middle)
        rising = ratio * real + generated > 0
        low, high = jnp.where(rising, low, middle), jnp.where(rising, middle, high)
    return (low + high) / 2


def identity_rows(config: Config) -> Iterator[Row]:
    """Errors of the identities, and curves of values and weights for the figure."""
    for name, loss in MEMBERS.items():
        given = {"part": "identity", "loss": name}
        z = jnp.asarray(GRID)
        _, real, generated = values_and_slopes(loss, z, z)
        if name in PROPER:
            error = jnp.abs(generated + jnp.exp(z) * real) / jnp.abs(generated)
            near = jnp.abs(z) <= DIGITS
            yield row("ratio_error", error[near].max(), **given)
        if name in GSIL:
            yield row("bound_error", bound_error(name, real, generated), **given)
        yield from _balance_rows(config, loss, given)
        yield from _curve_rows(loss, given)


def bound_error(name: str, real: Array, generated: Array) -> Array:
    """How far the weights on `GRID` leave what is said of them."""
    if name in BOUNDS:
        largest = jnp.maximum(jnp.abs(real).max(), jnp.abs(generated).max())
        return jnp.maximum(largest - BOUNDS[name], 0.0)
    if name == "kliep":
        return jnp.abs(real + 1).max()
    return jnp.abs(-real / jnp.exp(jnp.asarray(GRID)) - 1).max()


def _balance_rows(config: Config, loss: Loss, given: dict) -> Iterator[Row]:
    zero = jnp.zeros(1)
    for scale in config.scales:
        for shift in config.shifts:
            _, real, generated = values_and_slopes(loss, zero, zero, scale, shift)
            keys = {**given, "scale": scale, "shift": shift}
            yield row("w_real", real[0], **keys)
            yield row("w_gen", generated[0], **keys)
            if real[0] != 0:  # the hinge's is, beyond a shift of 1
                balance = -generated[0] / real[0]
                yield row("balance", balance, **keys)
                yield row("balance_error", jnp.abs(balance / np.exp(shift) - 1), **keys)


def _curve_rows(loss: Loss, given: dict) -> Iterator[Row]:
    """l_1 and l_-1 up to a constant, and their weights."""
    z = jnp.asarray(SHOWN)
    low, zero = jnp.full_like(z, -60.0), jnp.zeros_like(z)
    _, real, generated = values_and_slopes(loss, z, z)
    curves = {
        "loss_real": values_and_slopes(loss, z, low)[0],
        "loss_gen": values_and_slopes(loss, zero, z)[0]
        - values_and_slopes(loss, zero, low)[0],
        "slope_real": real,
        "slope_gen": generated,
    }
    for metric, values in curves.items():
        for place, value in zip(SHOWN, np.asarray(values), strict=True):
            yield row(metric, value, z=place, **given)
