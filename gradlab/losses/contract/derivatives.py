"""Checks of derivatives against differences of the loss itself."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from gradlab.losses.contract.tools import (
    STACK,
    NotApplicable,
    away_from_kinks,
    expect_same,
    moved,
    value_and_weights,
)
from gradlab.losses.resolve import BoundLoss
from gradlab.types import Array, PairLogps, PairWeights


def finite_differences(loss: BoundLoss) -> None:
    """Every token weight equals the difference quotient of the summed loss."""
    _refuse_stopped(loss)
    pairs, step = away_from_kinks(loss), 1e-4
    values, weights = value_and_weights(loss, pairs)
    expected = differences(loss, pairs, step)
    # The sum's own rounding error, divided by the step, is all that the loss can show.
    noise = 1e-15 * float(jnp.sum(jnp.abs(values))) / step
    largest = max(float(jnp.max(jnp.abs(w))) for w in jax.tree.leaves(weights))
    what = "weight against a finite difference (does the loss hold a part constant?)"
    expect_same(weights, expected, what, atol=1e-9 + 1e-9 * largest + noise)


def differences(loss: BoundLoss, pairs: PairLogps, step: float) -> PairWeights:
    """dL/dlogp at every token of both sides by central differences of fourth order."""
    sizes = pairs.chosen.size, pairs.rejected.size
    units = jnp.eye(sum(sizes)) * step

    def total(shift: Array) -> Array:
        chosen = pairs.chosen + shift[: sizes[0]].reshape(pairs.chosen.shape)
        rejected = pairs.rejected + shift[sizes[0] :].reshape(pairs.rejected.shape)
        return jnp.sum(loss(replace(pairs, chosen=chosen, rejected=rejected)))

    shifts = jnp.concatenate([units, -units, 2 * units, -2 * units])
    totals = [jax.vmap(total)(part) for part in in_stacks(shifts)]
    up, down, up_two, down_two = jnp.split(jnp.concatenate(totals)[: len(shifts)], 4)
    slopes = (8 * (up - down) - (up_two - down_two)) / (12 * step)
    return PairWeights(
        slopes[: sizes[0]].reshape(pairs.chosen.shape),
        slopes[sizes[0] :].reshape(pairs.rejected.shape),
    )


def in_stacks(rows: Array) -> list[Array]:
    """Rows in parts of STACK, the last filled with zeros."""
    filled = jnp.pad(rows, [(0, -len(rows) % STACK), (0, 0)])
    return jnp.split(filled, len(filled) // STACK)


def third_derivatives(loss: BoundLoss) -> None:
    """Away from kinks derivatives up to the third exist and are each other's slopes."""
    _refuse_stopped(loss)
    pairs, step = away_from_kinks(loss), 1e-4

    def along(t: Array) -> Array:
        return jnp.sum(loss(moved(pairs, t)))

    steps = jnp.zeros(STACK).at[:3].set(jnp.array([-step, 0.0, step]))
    first, second, third = _derivatives(along)(steps)
    scale = 1e-9 + float(jnp.max(jnp.abs(first)))
    for lower, higher, name in ((first, second, "2nd"), (second, third, "3rd")):
        slope = (lower[2] - lower[0]) / (2 * step)
        what = f"{name} derivative against a finite difference"
        expect_same(higher[1], slope, what, rtol=1e-5, atol=1e-6 * scale)


def _derivatives(
    function: Callable[[Array], Array],
) -> Callable[[Array], tuple[Array, Array, Array]]:
    """The first three derivatives, in forward mode: one pass gives all of them."""

    def push(f: Callable[[Array], Any]) -> Callable[[Array], Any]:
        return lambda t: jax.jvp(f, (t,), (jnp.ones_like(t),))

    def three(t: Array) -> tuple[Array, Array, Array]:
        ((_, first), (_, second)), (_, (_, third)) = push(push(push(function)))(t)
        return first, second, third

    return jax.vmap(three)


def _refuse_stopped(loss: BoundLoss) -> None:
    if loss.stops_gradient:
        raise NotApplicable("part of the loss is held constant")
