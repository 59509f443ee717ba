"""Attention and rotary positions, written out.

Einsum and built-in primitives alone: float64 stays float64, and derivatives of any
order exist in reverse and in forward mode. Shape letters: `gradlab.models.decoder`.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.models.layout import Layout
from gradlab.types import Array

CACHED_SCORES = 2**18  # a megabyte of float32; what a core has as second-level cache
BAND = 128  # queries that are looked at together in a long text
Turns = tuple[Array, Array]  # cosines and sines of the rotary angles


def wide(dtype: Any) -> Any:
    """The dtype of softmax and rotations: at least float32, float64 if given that."""
    return jnp.promote_types(dtype, jnp.float32)


def turns_of(layout: Layout, half: int, base: float, dtype: Any) -> Turns:
    """Cosines and sines [..., T, half] of position / base^(i / half).

    The angles are taken in float64 on the host: exact at any position, and the same
    numbers for a position wherever its token stands.
    """
    positions, limit = layout.positions, layout.visible.shape[-1]
    angles = np.arange(limit)[:, None] * base ** (-np.arange(half) / half)

    def look_up(table: np.ndarray) -> Array:
        if isinstance(positions, np.ndarray):
            return jnp.asarray(table[positions], dtype)
        return jnp.take(jnp.asarray(table, dtype), positions, axis=0, mode="clip")

    return look_up(np.cos(angles)), look_up(np.sin(angles))


def rotate(x: Array, turns: Turns) -> Array:
    """Rotary position embedding of [B, T, ..., C], same shape and dtype.

    Coordinates i and i + C/2 form a plane that turns by t / base^(2i/C) at position t
    (Su et al. 2021, arXiv 2104.09864; the coordinate order of the Hugging Face hub).
    `turns` are the cosines and sines [T, C/2] or [B, T, C/2].
    """

    def beside(table: Array) -> Array:  # [..., T, 1, C/2]: alike for all heads
        inner = [1] * (x.ndim - 3)
        return table.reshape(*table.shape[:-1], *inner, table.shape[-1])

    dtype = wide(x.dtype)
    cos, sin = (beside(table.astype(dtype)) for table in turns)
    first, second = jnp.split(x.astype(dtype), 2, axis=-1)
    turned = [first * cos - second * sin, second * cos + first * sin]
    return jnp.concatenate(turned, axis=-1).astype(x.dtype)


def attend(query: Array, key: Array, value: Array, visible: Array) -> Array:
    """Softmax attention to the visible columns.

    On a CPU the heads are visited a few at a time, so that their scores stay in its
    cache, and scores are computed anew for derivatives instead of kept. An accelerator
    takes all heads at once.

    Args:
      query: [B, T, K, G, C].
      key: [B, S, K, C], shared by the G query heads of each group.
      value: [B, S, K, C].
      visible: [T, S] or [B, T, S] bool; every query sees a column at least.

    Returns:
      [B, T, K, G, C], in the dtype of `value`.

    Guarantees:
      The derivative with respect to what is not visible is exactly 0; the softmax is
      taken in float32, or in float64 where the inputs are float64.
    """
    batch, length, groups, shared, width = query.shape
    heads = batch * groups * shared
    flat = query.transpose(0, 2, 3, 1, 4).reshape(heads, length, width)
    keys, values = (_of_each_head(x, shared) for x in (key, value))
    bands = _bands(visible)
    rows = jnp.asarray(visible).reshape(-1, *visible.shape[-2:])

    def head(item: tuple[Array, Array, Array, Array], late: bool) -> Array:
        number, query, key, value = item
        seen = rows[number * len(rows) // heads]
        mixed = [
            _attend(query[low:high], key[:end], value[:end], seen[low:high, :end], late)
            for low, high, end in bands
        ]
        return jnp.concatenate(mixed)

    items = (jnp.arange(heads), flat, keys, values)
    at_once = _heads_at_once(heads, rows.shape[-2] * rows.shape[-1])
    if at_once == heads:
        mixed = jax.vmap(lambda *item: head(item, late=False))(*items)
    else:
        one = jax.checkpoint(lambda item: head(item, late=True))
        mixed = jax.lax.map(one, items, batch_size=at_once)
    mixed = mixed.reshape(batch, groups, shared, length, width)
    return mixed.transpose(0, 3, 1, 2, 4)


def _of_each_head(x: Array, shared: int) -> Array:
    """[B, S, K, C] -> [B * K * G, S, C]: as each query head reads them."""
    each = jnp.repeat(x.transpose(0, 2, 1, 3), shared, axis=1)
    return each.reshape(-1, *each.shape[2:])


def _attend(
    query: Array, key: Array, value: Array, visible: Array, late: bool
) -> Array:
    """One head: [T, C], [S, C], [S, C], [T, S] -> [T, C].

    Dividing late, after the sum over columns, halves the work of the backward pass;
    dividing early rounds a little less.
    """
    dtype = wide(query.dtype)
    scores = jnp.einsum("tc,sc->ts", query, key, preferred_element_type=dtype)
    # A finite floor: -inf would give 0 * inf in some higher-order derivatives.
    floor = jnp.finfo(dtype).min
    scores = jnp.where(visible, scores * query.shape[-1] ** -0.5, floor)
    if not late:
        return jax.nn.softmax(scores, axis=-1).astype(value.dtype) @ value
    odds = jnp.exp(scores - jax.lax.stop_gradient(scores.max(-1, keepdims=True)))
    total = odds.sum(-1, keepdims=True)
    return ((odds.astype(value.dtype) @ value) / total).astype(value.dtype)


def _bands(visible: Any) -> list[tuple[int, int, int]]:
    """(first query, last query + 1, columns that they see) of bands of queries.

    Where visibility is known when compiling, what no query of a band sees is left out:
    under causal attention nearly half of a long text. Otherwise one band sees all.
    """
    length, columns = visible.shape[-2:]
    if not isinstance(visible, np.ndarray) or length <= BAND:
        return [(0, length, columns)]
    seen = np.any(visible.reshape(-1, length, columns), axis=0)

    def band(low: int) -> tuple[int, int, int]:
        high = min(low + BAND, length)
        return low, high, int(np.flatnonzero(np.any(seen[low:high], axis=0))[-1]) + 1

    return [band(low) for low in range(0, length, BAND)]


def _heads_at_once(heads: int, scores: int) -> int:
    """The greatest divisor of `heads` whose scores fit in a CPU's cache, at least 1."""
    if jax.default_backend() != "cpu":
        return heads
    most = max(1, CACHED_SCORES // scores)
    return max(n for n in range(1, min(most, heads) + 1) if heads % n == 0)
