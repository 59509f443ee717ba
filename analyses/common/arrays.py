"""Pairs as arrays of one shape, and the model's token log-probabilities of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.data import TokenizedPair
from gradlab.models import LanguageModel, response_logps, response_stats
from gradlab.types import Array, Params


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PairArrays:
    """B pairs; both sides share prompt and shape.

    Attributes:
      chosen: [B, T] int32 prompt and response, padded on the right.
      rejected: [B, T]
      start: [B] position of the first response token.
      chosen_length: [B] response tokens.
      rejected_length: [B]
    """

    chosen: Array
    rejected: Array
    start: Array
    chosen_length: Array
    rejected_length: Array

    def __len__(self) -> int:
        """B."""
        return len(self.start)

    def take(self, rows: slice | Array) -> "PairArrays":
        """Some of the pairs."""
        return jax.tree.map(lambda leaf: leaf[rows], self)

    def mask(self, width: int) -> Array:
        """[2, B, width] True on response tokens, chosen first."""
        lengths = jnp.stack([self.chosen_length, self.rejected_length])
        return jnp.arange(width) < lengths[..., None]


def make_arrays(pairs: Sequence[TokenizedPair], length: int) -> PairArrays:
    """Pads the pairs to [B, length]."""
    sides = []
    for side in ("chosen", "rejected"):
        tokens = np.zeros((len(pairs), length), np.int32)
        for row, pair in zip(tokens, pairs, strict=True):
            ids = [*pair.prompt, *getattr(pair, side)]
            row[: len(ids)] = ids
        sides.append(jnp.asarray(tokens))
    counts = [
        jnp.asarray([len(getattr(pair, name)) for pair in pairs], jnp.int32)
        for name in ("prompt", "chosen", "rejected")
    ]
    return PairArrays(*sides, *counts)


def _stacked(data: PairArrays) -> tuple[Array, Array, Array]:
    """Tokens, starts and lengths of both sides, chosen above rejected."""
    tokens = jnp.concatenate([data.chosen, data.rejected])
    starts = jnp.concatenate([data.start, data.start])
    lengths = jnp.concatenate([data.chosen_length, data.rejected_length])
    return tokens, starts, lengths


@lru_cache
def pair_logps_fn(model: LanguageModel, width: int) -> Callable:
    """(params, `PairArrays`) -> (chosen [B, width], rejected [B, width]), in nats.

    Equal arguments give the identical function, so that it may be a static argument.
    """

    def logps(params: Params, data: PairArrays) -> tuple[Array, Array]:
        tokens, starts, lengths = _stacked(data)
        both = response_logps(
            model, params, tokens, starts, lengths, width=width, position_chunk=None
        )
        return both[: len(data)], both[len(data) :]

    return logps


@partial(jax.jit, static_argnames=("model", "width"))
def pair_stats(
    model: LanguageModel, params: Params, data: PairArrays, width: int
) -> tuple[Array, Array]:
    """Log-probability and log sum_v p_v^2 of each token, [2, B, width] each."""
    tokens, starts, lengths = _stacked(data)
    stats = response_stats(
        model, params, tokens, starts, lengths, width=width, position_chunk=None
    )
    shape = (2, len(data), width)
    return stats.logps.reshape(shape), stats.log_sum_sq.reshape(shape)
