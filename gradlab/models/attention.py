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
    dtype = wide(query.dtype)
    scores = jnp.einsum("btkgc,bskc->bkgts", query, key, preferred_element_type=dtype)
    # A finite floor: -inf would give 0 * inf in some higher-order derivatives.
    scores = jnp.where(
        visible[..., None, None, :, :],
        scores * query.shape[-1] ** -0.5,
        jnp.finfo(dtype).min,
    )
    probs = jax.nn.softmax(scores, axis=-1).astype(value.dtype)
    return jnp.einsum("bkgts,bskc->btkgc", probs, value)
