"""Where the tokens of a row stand: the position of each and the columns that it sees.

Three layouts serve the decoder. `running`: one text in a row, from position 0.
`packed`: texts that share a beginning, which is run once. `cached`: new tokens behind
those whose keys and values are kept.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from gradlab.types import Array


class Layout(NamedTuple):
    """Positions and visibility of T tokens over S columns (S = T without a cache).

    Attributes:
      positions: [T] or [B, T] int, the place of each token in its own text, below S.
      visible: [T, S] or [B, T, S] bool; [t, s]: token t reads column s.
    """

    positions: Any
    visible: Any


def running(length: int) -> Layout:
    """One text in each row: token t stands at position t and sees columns 0..t."""
    return Layout(np.arange(length), np.tril(np.ones((length, length), bool)))


def packed(positions: Array, branches: Array) -> Layout:
    """Texts that share a beginning, and groups of such texts, in one row.

    Each group k of a row has the branches 3 k (the shared beginning), 3 k + 1 and
    3 k + 2 (two continuations). A token sees itself and the earlier columns of its own
    branch and of the beginning of its group: what it would see in a row by itself.

    Args:
      positions: [B, T] place of each token in its own text, never above its column.
      branches: [B, T] as above; padding has a branch of its own, such as -1.
    """
    columns = jnp.arange(branches.shape[1])
    earlier = columns[:, None] >= columns
    reader, read = branches[:, :, None], branches[:, None, :]
    beginning = reader - reader % 3
    return Layout(positions, earlier & ((read == reader) | (read == beginning)))


def cached(
    lengths: Array, prompt: int, fresh: Array, count: int, columns: int
) -> Layout:
    """`count` tokens at columns `fresh`, ...; prompts fill columns 0.. up to `prompt`.

    A row's prompt takes its first `lengths` columns, the rest up to `prompt` is padding
    that no token of a text sees; what was generated stands from column `prompt` on.

    Args:
      lengths: [B] tokens of each prompt.
      prompt: columns set aside for prompts.
      fresh: the first new column; 0 for the prompts themselves, else >= `prompt`.
      count: new tokens in a row.
      columns: S, of the cache.
    """
    new, old = fresh + jnp.arange(count), jnp.arange(columns)
    padding = (old >= lengths[:, None]) & (old < prompt)
    visible = (new[:, None] >= old) & ~padding[:, None, :]
    gap = jnp.where(new < prompt, 0, prompt - lengths[:, None])
    # Padding sees itself, so that its softmax has something to add up.
    return Layout(new - gap, visible | (new[:, None] == old))
