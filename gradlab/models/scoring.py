"""Scoring of numpy batches: tokens in, numpy statistics of the response tokens out."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import jax
import numpy as np

from gradlab.errors import GradlabError
from gradlab.models.functional import LanguageModel
from gradlab.models.logps import POSITION_CHUNK, response_stats
from gradlab.models.sharding import beside, gathered
from gradlab.types import Params, TokenStats

# One cache for the whole process, keyed on the model (equal configs share one object),
# on the options and on the shapes: scoring the same shapes again compiles nothing.
_score = jax.jit(
    response_stats, static_argnames=("model", "width", "position_chunk", "vocab_chunk")
)


class Batch(Protocol):
    """What scoring reads of a batch; `gradlab.data` makes such batches."""

    @property
    def tokens(self) -> Any:
        """[B, T] int32, prompt and response, padded on the right."""

    @property
    def response_start(self) -> Any:
        """[B] position of the first response token."""

    @property
    def response_length(self) -> Any:
        """[B] number of response tokens; 0 marks a row that only fills the batch."""

    @property
    def width(self) -> int:
        """Columns of the result, at least the longest response."""
        ...


def score_batches(
    model: LanguageModel,
    params: Params,
    batches: Iterable[Batch],
    *,
    position_chunk: int | None = POSITION_CHUNK,
    vocab_chunk: int | None = None,
    precision: str = "highest",
) -> Iterator[TokenStats]:
    """Statistics of every response token, batch by batch.

    Args:
      model: the language model.
      params: its parameters; on a mesh, the rows of a batch are split over it.
      batches: with `tokens`, `response_start`, `response_length` and `width`.
      position_chunk: positions whose logits exist at once.
      vocab_chunk: columns of the head whose logits exist at once; None: all.
      precision: of float32 matrix products. "highest" is a measurement's choice;
        "default" lets an accelerator round to fewer bits and is faster there.

    Yields:
      For each batch, in order, TokenStats of numpy arrays [B, width], in nats; entries
      past a response are 0.

    Raises:
      GradlabError: a token id, start or length does not fit the model or the batch, or
        a log-probability is not finite.

    Guarantees:
      At most one compilation for each distinct (B, T, width), in this and later calls.
    """
    for number, batch in enumerate(batches):
        _check(model, batch, number)
        with jax.default_matmul_precision(precision):
            given = (batch.tokens, batch.response_start, batch.response_length)
            stats = _score(
                model,
                params,
                *beside(params, [np.asarray(part, np.int32) for part in given]),
                width=batch.width,
                position_chunk=position_chunk,
                vocab_chunk=vocab_chunk,
            )
        stats = gathered(stats)
        bad = np.argwhere(~np.isfinite(stats.logps))
        if len(bad):
            raise GradlabError(
                f"batch {number}, row {bad[0][0]}: the log-probability of response "
                f"token {bad[0][1]} is {stats.logps[tuple(bad[0])]}, expected a finite "
                "number; check the model's parameters"
            )
        yield stats


def _check(model: LanguageModel, batch: Batch, number: int):
    """Refuses on the host what jax would clip in silence."""
    tokens, length = np.asarray(batch.tokens), np.asarray(batch.response_length)
    start = np.asarray(batch.response_start)
    vocab = model.config.vocab_size if model.config else np.iinfo(np.int32).max
    used = length > 0
    _refuse(
        (tokens < 0) | (tokens >= vocab), number, f"a token id outside 0..{vocab - 1}"
    )
    _refuse(used & (start < 1), number, "no token before the response to predict it")
    end = start + length
    _refuse(end > tokens.shape[1], number, f"a response past T = {tokens.shape[1]}")
    _refuse(length > batch.width, number, f"a response longer than {batch.width}")


def _refuse(bad: np.ndarray, number: int, what: str):
    if bad.any():
        raise GradlabError(f"batch {number}, row {np.argwhere(bad)[0][0]}: {what}")
