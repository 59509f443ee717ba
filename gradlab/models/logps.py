"""What a model says about each token, without ever holding [B, T, V] logits.

With logits z at one position, p = softmax(z) and target y, one pass gives

    log p_y,   entropy -sum p log p,   log sum p^2,   max log p,   argmax

The pass goes over chunks of positions, and of the vocabulary if asked; it is exact, and
differentiable in reverse and in forward mode (see `gradlab.models.chunked`).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradlab.errors import GradlabError
from gradlab.models.chunked import chunk_sums, map_statistics, merge
from gradlab.models.functional import LanguageModel
from gradlab.types import Array, Params, TokenStats

POSITION_CHUNK = 256  # at V = 50,257 one float32 chunk of logits takes 51 MB


def token_stats(
    hidden: Array,
    head: Array,
    targets: Array,
    *,
    position_chunk: int | None = POSITION_CHUNK,
    vocab_chunk: int | None = None,
) -> TokenStats:
    """Statistics of softmax(hidden @ head) at every position, chunk by chunk.

    Args:
      hidden: [B, T, D] what the head reads at each position.
      head: [D, V].
      targets: [B, T] the token id that each position predicts; ids out of range are
        clipped, so that padding gives finite numbers.
      position_chunk: positions (of all B * T) whose logits exist at once; None: all.
      vocab_chunk: columns of the head that exist as logits at once; None: all V.

    Returns:
      TokenStats of [B, T] arrays in nats, in float32 (float64 if an input is float64).

    Raises:
      GradlabError: shapes do not fit, or a chunk size is not a positive integer.

    Guarantees:
      Temporary memory is O(position_chunk * vocab_chunk), in forward, reverse and
      forward-mode passes alike; products of bfloat16 inputs and the gradient of the
      head are accumulated in float32; log-probabilities are never positive.

    Example:
      >>> hidden, head = jnp.zeros((1, 2, 3)), jnp.zeros((3, 4))
      >>> float(token_stats(hidden, head, jnp.array([[1, 2]])).entropy[0, 0])
      1.3862943649291992
    """
    _check(hidden, head, targets, position_chunk, vocab_chunk)
    return map_statistics(
        lambda stats: stats, hidden, head, targets, position_chunk, vocab_chunk
    )


def token_logps(
    hidden: Array,
    head: Array,
    targets: Array,
    *,
    position_chunk: int | None = POSITION_CHUNK,
    vocab_chunk: int | None = None,
) -> Array:
    """`token_stats(...).logps` alone [B, T]: the part that training differentiates."""
    _check(hidden, head, targets, position_chunk, vocab_chunk)
    return map_statistics(
        lambda stats: stats.logps, hidden, head, targets, position_chunk, vocab_chunk
    )


def token_stats_from_logits(logits: Array, targets: Array) -> TokenStats:
    """The same statistics from logits [B, T, V] that exist anyway.

    Args:
      logits: [B, T, V], any float dtype; the statistics are at least float32.
      targets: [B, T] token ids, clipped to the vocabulary.

    Returns:
      TokenStats of [B, T] arrays, in nats.
    """
    if logits.shape[:-1] != targets.shape:
        raise GradlabError(
            f"targets: shape {targets.shape}, expected that of the logits without the "
            f"vocabulary, {logits.shape[:-1]}"
        )
    vocab = logits.shape[-1]
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    targets = jnp.clip(targets, 0, vocab - 1)
    sums = chunk_sums(logits, jnp.arange(vocab), targets)
    return merge(jax.tree.map(lambda leaf: leaf[None], sums))


def response_stats(
    model: LanguageModel,
    params: Params,
    tokens: Array,
    response_start: Array,
    response_length: Array,
    *,
    width: int,
    position_chunk: int | None = POSITION_CHUNK,
    vocab_chunk: int | None = None,
) -> TokenStats:
    """Statistics of each response token given everything before it.

    The head runs on response positions only: entry t comes from the hidden state at
    response_start - 1 + t and describes the token at response_start + t.

    Args:
      model: with `hidden` and `head` for the chunked path; `apply` alone works too, and
        then the logits of all T positions exist.
      params: of the model.
      tokens: [B, T] prompt and response, padded on the right.
      response_start: [B] position of the first response token, at least 1.
      response_length: [B] number of response tokens, at most `width`.
      width: columns of the result; static under jit.
      position_chunk: as in `token_stats`.
      vocab_chunk: as in `token_stats`.

    Returns:
      TokenStats of [B, width] arrays; entries past a response are exactly 0, and so
      are their derivatives.
    """
    options = {"position_chunk": position_chunk, "vocab_chunk": vocab_chunk}
    read = _response_reader(model, params, tokens, response_start, width)
    stats = read(token_stats, token_stats_from_logits, **options)
    inside = jnp.arange(width) < response_length[:, None]
    return jax.tree.map(lambda leaf: jnp.where(inside, leaf, 0), stats)


def response_logps(
    model: LanguageModel,
    params: Params,
    tokens: Array,
    response_start: Array,
    response_length: Array,
    *,
    width: int,
    position_chunk: int | None = POSITION_CHUNK,
    vocab_chunk: int | None = None,
) -> Array:
    """`response_stats(...).logps` alone [B, width], for training and for drift."""
    options = {"position_chunk": position_chunk, "vocab_chunk": vocab_chunk}
    read = _response_reader(model, params, tokens, response_start, width)
    logps = read(
        token_logps, lambda z, y: token_stats_from_logits(z, y).logps, **options
    )
    return jnp.where(jnp.arange(width) < response_length[:, None], logps, 0)


def _response_reader(
    model: LanguageModel, params: Params, tokens: Array, start: Array, width: int
) -> Callable[..., Any]:
    """Gathers the response positions, then calls the reader that fits the model."""
    columns = start[:, None] + jnp.arange(width)
    last = tokens.shape[1] - 1
    sources = jnp.clip(columns - 1, 0, last)[:, :, None]
    targets = jnp.take_along_axis(tokens, jnp.clip(columns, 0, last), axis=1)

    def read(from_hidden, from_logits, **options):
        if model.hidden is None or model.head is None:
            logits = model.apply(params, tokens)
            return from_logits(jnp.take_along_axis(logits, sources, axis=1), targets)
        hidden = jnp.take_along_axis(model.hidden(params, tokens), sources, axis=1)
        return from_hidden(hidden, model.head(params), targets, **options)

    return read


def _check(hidden, head, targets, position_chunk, vocab_chunk):
    if hidden.shape[:-1] != targets.shape or hidden.shape[-1:] != head.shape[:1]:
        raise GradlabError(
            f"shapes do not fit: hidden {hidden.shape}, head {head.shape}, targets "
            f"{targets.shape}; expected [B, T, D], [D, V] and [B, T]"
        )
    if targets.size == 0:
        raise GradlabError(f"targets: shape {targets.shape} holds no token")
    chunks = {"position_chunk": position_chunk, "vocab_chunk": vocab_chunk}
    for name, value in chunks.items():
        if value is not None and (not isinstance(value, int) or value < 1):
            raise GradlabError(
                f"{name} is {value!r}, expected a positive integer or None"
            )
