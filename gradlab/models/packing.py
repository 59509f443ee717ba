"""Token log-probabilities of both responses from rows of shared beginnings.

The model reads each prompt and common response beginning once, and the head runs on
each response token to be predicted once. Both responses take the log-probabilities of
their common beginning from the same place: in the gradient both sides add up there.
"""

from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from gradlab.errors import GradlabError
from gradlab.models.functional import LanguageModel
from gradlab.models.logps import POSITION_CHUNK, token_logps, token_stats
from gradlab.types import Array, Params, TokenStats


class Packed(Protocol):
    """What is read of a packed batch; `gradlab.data.packing` makes such batches."""

    @property
    def tokens(self) -> Any:
        """[rows, L] int32 ids."""

    @property
    def positions(self) -> Any:
        """[rows, L] int32 place of each token in its text."""

    @property
    def branches(self) -> Any:
        """[rows, L] int32, see `gradlab.models.layout.packed`."""

    @property
    def sources(self) -> Any:
        """[S] int32 column of the flattened rows that predicts the slot's token."""

    @property
    def targets(self) -> Any:
        """[S] int32 that token."""

    @property
    def chosen_slots(self) -> Any:
        """[B, R] int32 slot of each chosen token."""

    @property
    def rejected_slots(self) -> Any:
        """[B, R] int32 slot of each rejected token."""

    @property
    def chosen_length(self) -> Any:
        """[B] int32 tokens of the chosen response."""

    @property
    def rejected_length(self) -> Any:
        """[B] int32 tokens of the rejected response."""


def packed_logps(
    model: LanguageModel,
    params: Params,
    batch: Packed,
    *,
    position_chunk: int | None = POSITION_CHUNK,
    vocab_chunk: int | None = None,
) -> tuple[Array, Array]:
    """Log-probabilities of the chosen and of the rejected response tokens.

    Args:
      model: with `hidden_packed` and `head`, as every `Decoder` has.
      params: of the model.
      batch: from `gradlab.data.packing`; the model's `max_length` must not be below
        the longest of its texts, which is not checked here.
      position_chunk: most response tokens whose logits exist at once; None: all.
      vocab_chunk: columns of the head whose logits exist at once; None: all V.

    Returns:
      (chosen [B, R], rejected [B, R]) in nats, as `response_logps` of each side gives;
      entries past a response are exactly 0, and so are their derivatives.

    Raises:
      GradlabError: the model can't read packed rows.

    Guarantees:
      Equal to separate rows in values and in derivatives, reverse and forward, up to
      rounding.
    """
    return _read(token_logps, model, params, batch, position_chunk, vocab_chunk)


def packed_stats(
    model: LanguageModel,
    params: Params,
    batch: Packed,
    *,
    position_chunk: int | None = POSITION_CHUNK,
    vocab_chunk: int | None = None,
) -> tuple[TokenStats, TokenStats]:
    """All statistics of both responses, as `response_stats` of each side gives them."""
    return _read(token_stats, model, params, batch, position_chunk, vocab_chunk)


def _read(
    measure: Callable[..., Any],
    model: LanguageModel,
    params: Params,
    batch: Packed,
    position_chunk: int | None,
    vocab_chunk: int | None,
) -> tuple[Any, Any]:
    if model.hidden_packed is None or model.head is None:
        raise GradlabError(
            "model: it has no hidden_packed or no head, so it can't read packed rows; "
            "expected a gradlab Decoder, or use response_logps on each side"
        )
    layout = (batch.tokens, batch.positions, batch.branches)
    hidden = model.hidden_packed(params, *layout)
    hidden = hidden.reshape(-1, hidden.shape[-1])[batch.sources]
    found = measure(
        hidden[None],
        model.head(params),
        jnp.asarray(batch.targets)[None],
        position_chunk=_even(hidden.shape[0], position_chunk),
        vocab_chunk=vocab_chunk,
    )

    def side(slots: Any, length: Any) -> Any:
        inside = jnp.arange(slots.shape[1]) < length[:, None]
        return jax.tree.map(lambda leaf: jnp.where(inside, leaf[0][slots], 0), found)

    return (
        side(batch.chosen_slots, batch.chosen_length),
        side(batch.rejected_slots, batch.rejected_length),
    )


def _even(count: int, chunk: int | None) -> int | None:
    """Chunks of like size, at most `chunk`: a last short one would be filled up."""
    return chunk if chunk is None or count <= chunk else -(-count // -(-count // chunk))
