"""Tools of the checks: evaluation on stacked batches, comparison, places without kinks.

A check evaluates a loss on `STACK` batches at once through `jax.vmap`, which costs
little more than on one. Stacks are always of that size: JAX compiles each operation
once per shape, and that takes most of the time.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.losses.example import random_pairs
from gradlab.losses.resolve import BoundLoss
from gradlab.types import Array, PairLogps, PairWeights

SIDES = ("chosen", "rejected")
STACK = 24


class Broken(Exception):
    """A promise that doesn't hold; the message says how."""


class NotApplicable(Exception):
    """A check that says nothing about this loss; the message says why."""


def value_and_weights(loss: BoundLoss, pairs: PairLogps) -> tuple[Array, PairWeights]:
    """The loss of each pair and d(sum of them)/dlogp."""

    def total(chosen: Array, rejected: Array) -> tuple[Array, Array]:
        values = loss(replace(pairs, chosen=chosen, rejected=rejected))
        return jnp.sum(values), values

    grads, values = jax.grad(total, argnums=(0, 1), has_aux=True)(
        pairs.chosen, pairs.rejected
    )
    return values, PairWeights(*grads)


def over_batches(loss: BoundLoss, stacked: PairLogps) -> tuple[Array, PairWeights]:
    """`value_and_weights` of batches stacked along a new first axis."""
    return jax.vmap(lambda pairs: value_and_weights(loss, pairs))(stacked)


def stack(batches: Sequence[PairLogps]) -> PairLogps:
    """At most STACK batches along a new first axis, the last repeated to fill it."""
    filled = [*batches, *[batches[-1]] * (STACK - len(batches))]
    return jax.tree.map(lambda *xs: jnp.stack(xs), *filled)


@lru_cache
def batches(dtype: Any = jnp.float64) -> tuple[PairLogps, ...]:
    """STACK ragged batches, padded on either side."""
    with jax.enable_x64(True):
        return tuple(
            random_pairs(seed, left_padding=seed % 2 == 1, dtype=dtype)
            for seed in range(STACK)
        )


@lru_cache
def stacked_batches(dtype: Any = jnp.float64) -> PairLogps:
    """`batches` as one stack."""
    with jax.enable_x64(True):
        return stack(batches(dtype))


def expect_same(
    got: Any, expected: Any, what: str, *, rtol: float = 0.0, atol: float = 0.0
) -> None:
    """Refuse trees whose leaves differ by more than atol + rtol |expected|."""
    for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        x, y = np.asarray(x, float), np.asarray(y, float)
        if x.shape != y.shape:
            raise Broken(f"{what}: shape {x.shape}, expected {y.shape}")
        if not np.allclose(x, y, rtol=rtol, atol=atol, equal_nan=False):
            gap = np.abs(x - y)
            at = np.unravel_index(
                int(np.argmax(np.nan_to_num(gap, nan=np.inf))), x.shape
            )
            raise Broken(f"{what}: {x[at]:.10g}, expected {y[at]:.10g}")


def expect_finite(tree: Any, what: str) -> None:
    """Refuse infinities and NaN."""
    for leaf in jax.tree.leaves(tree):
        if not np.all(np.isfinite(np.asarray(leaf))):
            raise Broken(f"{what} isn't finite")


def couples(loss: BoundLoss) -> bool:
    """Whether the first pair's value is seen to change with the rest of its batch.

    Log-ratios of mismatched pairs are estimated from the batch: they are of the rest.
    """
    together = stacked_batches()

    def others(x: Array) -> Array:
        rest = jnp.roll(x, 1, axis=0)
        return rest if x.ndim == 2 else rest.at[:, 0].set(x[:, 0])

    company = jax.tree.map(others, together)
    first, second = jax.vmap(loss)(together), jax.vmap(loss)(company)
    return not np.allclose(first[:, 0], second[:, 0], rtol=1e-12, atol=1e-14)


def draws(loss: BoundLoss) -> bool:
    """Whether the loss draws random numbers by a pair's place in the batch."""
    keyword = loss.info.draws_fields[0] if loss.info and loss.info.draws_fields else ""
    return loss.hyper.get(keyword) is not None


def direction(pairs: PairLogps) -> tuple[Array, Array]:
    """A fixed direction in which to move the log-probabilities, entries within 1."""
    rng = np.random.default_rng(5)
    return (
        jnp.asarray(rng.uniform(-1, 1, pairs.chosen.shape)),
        jnp.asarray(rng.uniform(-1, 1, pairs.rejected.shape)),
    )


def moved(pairs: PairLogps, step: Any) -> PairLogps:
    """The batch a step along `direction`."""
    chosen, rejected = direction(pairs)
    return replace(
        pairs,
        chosen=pairs.chosen + step * chosen,
        rejected=pairs.rejected + step * rejected,
    )


def away_from_kinks(loss: BoundLoss) -> PairLogps:
    """A batch around which the weights bend but don't jump.

    Within a step of 1e-4 a smooth weight has a second difference of about 1e-8, and a
    jump its own size.
    """
    bent = np.zeros(STACK)
    around = [over_batches(loss, stack)[1] for stack in _around()]
    for low, here, high in zip(*map(jax.tree.leaves, around), strict=True):
        gap = np.abs(np.asarray(low - 2 * here + high))
        bent = np.maximum(bent, gap.reshape(STACK, -1).max(1))
    smooth = np.flatnonzero(bent < 1e-5)
    if not len(smooth):
        raise NotApplicable("no batch was found that lies away from kinks")
    return batches()[int(smooth[0])]


@lru_cache
def _around() -> tuple[PairLogps, ...]:
    """All batches a step back, in place and a step on along `direction`."""
    with jax.enable_x64(True):
        return tuple(
            stack([moved(pairs, step) for pairs in batches()])
            for step in (-1e-4, 0.0, 1e-4)
        )
