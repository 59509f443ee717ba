"""Softmax statistics by chunks of positions and of the vocabulary.

Each chunk keeps five sums relative to its own largest logit m; chunks merge by
rescaling with e^(m - M):

    sum e^(z-m),   sum (z-m) e^(z-m),   sum e^(2(z-m)),   z_y,   max z

and two of them leave a term out, the target's and the largest: log p = -log(1 + the
others' odds) then keeps its digits where p is almost 1, and so does p / (1 - p). The
result is that of the full computation, not an approximation. Each chunk is recomputed
in the backward pass. Only built-in primitives are differentiated: reverse mode, forward
mode and their compositions all work, and float64 stays float64.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradlab.types import Array, TokenStats


def map_statistics(
    select: Callable[[TokenStats], Any],
    hidden: Array,
    head: Array,
    targets: Array,
    position_chunk: int | None,
    vocab_chunk: int | None,
) -> Any:
    """Maps the selected statistics over chunks of the flattened positions."""
    count, (depth, vocab) = targets.size, head.shape
    narrow = jnp.promote_types(hidden.dtype, head.dtype)
    wide = jnp.promote_types(narrow, jnp.float32)
    # Widened outside the loops and narrowed inside: the backward pass then adds the
    # chunks' gradients in float32 and rounds to bfloat16 once, at the end.
    blocks = _vocab_blocks(head.astype(wide), vocab_chunk or vocab)
    step = min(position_chunk or count, count)
    rows = _pad(hidden.reshape(count, depth).astype(wide), step)
    answers = _pad(jnp.clip(targets, 0, vocab - 1).reshape(count), step)

    def vocab_part(row, answer, block, ids):
        logits = jnp.einsum(
            "nd,vd->nv",
            row.astype(narrow),
            block.astype(narrow),
            preferred_element_type=wide,
        )
        # Columns that only fill up the last block take no part.
        logits = jnp.where(ids < vocab, logits, jnp.finfo(wide).min)
        return chunk_sums(logits, ids, answer)

    if blocks[1].shape[0] > 1:  # else the outer checkpoint alone saves a recomputation
        vocab_part = jax.checkpoint(vocab_part)

    @jax.checkpoint
    def position_part(chunk):
        row, answer = chunk
        return select(merge(jax.lax.map(lambda b: vocab_part(row, answer, *b), blocks)))

    chunks = rows.reshape(-1, step, depth), answers.reshape(-1, step)
    mapped = jax.lax.map(position_part, chunks)
    return jax.tree.map(
        lambda leaf: leaf.reshape(-1)[:count].reshape(targets.shape), mapped
    )


def _vocab_blocks(head: Array, size: int) -> tuple[Array, Array]:
    """[D, V] -> ([blocks, size, D], token ids [blocks, size]).

    Tokens come first as in the table of a tied model, which is then not copied.
    """
    depth, vocab = head.shape
    size = min(size, vocab)
    padded = _pad(head.T, size)
    return padded.reshape(-1, size, depth), jnp.arange(len(padded)).reshape(-1, size)


def _pad(array: Array, step: int) -> Array:
    """Zero rows at the end up to a multiple of `step`."""
    missing = -array.shape[0] % step
    return jnp.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1))


class ChunkSums(NamedTuple):
    """What one chunk of the vocabulary contributes; each [...] over positions."""

    shift: Array  # its largest logit, a constant for derivatives
    below_top: Array  # sum e^(z - shift) over all but the largest
    others: Array  # sum e^(z - shift) over all but the target
    moment: Array  # sum (z - shift) e^(z - shift)
    squares: Array  # sum e^(2 (z - shift))
    target: Array  # the target's logit, or 0 if it lies in another chunk
    top: Array  # its largest logit again, differentiable
    argmax: Array


def chunk_sums(logits: Array, ids: Array, targets: Array) -> ChunkSums:
    """Sums over the last axis of logits [..., v], whose columns are tokens `ids`."""
    argmax = ids[jnp.argmax(logits, axis=-1)].astype(jnp.int32)
    # Selecting by comparison fuses with the other sums; a gather's transpose would be
    # a scatter into a second array as large as the logits.
    top = _pick(logits, ids, argmax)
    shift = jax.lax.stop_gradient(top)
    below = logits - shift[..., None]
    power = jnp.exp(below)
    return ChunkSums(
        shift=shift,
        below_top=jnp.where(ids == argmax[..., None], 0, power).sum(-1),
        others=jnp.where(ids == targets[..., None], 0, power).sum(-1),
        moment=(below * power).sum(-1),
        squares=(power * power).sum(-1),
        target=_pick(logits, ids, targets),
        top=top,
        argmax=argmax,
    )


def _pick(logits: Array, ids: Array, wanted: Array) -> Array:
    return jnp.where(ids == wanted[..., None], logits, 0).sum(-1)


def merge(sums: ChunkSums) -> TokenStats:
    """Adds up chunks of the vocabulary, stacked on the first axis."""
    best = jnp.argmax(sums.shift, axis=0)[None]

    def of_best(values: Array) -> Array:
        return jnp.take_along_axis(values, best, axis=0)[0]

    shift = of_best(sums.shift)
    offset = sums.shift - shift
    scale = jnp.exp(offset)
    # e^(z - shift) of a chunk's largest logit is 1 in value; `peak` has its derivative.
    peak = jnp.exp(sums.top - sums.shift)
    totals = sums.below_top + peak
    is_best = jnp.arange(len(scale)).reshape(-1, *[1] * (scale.ndim - 1)) == best
    below_top = jnp.where(is_best, sums.below_top, scale * totals).sum(0)
    moment = (scale * (sums.moment + offset * totals)).sum(0)
    total = below_top + of_best(peak)
    log_total = jnp.log(total)
    others = (scale * sums.others).sum(0)
    return TokenStats(
        logps=_log_share(others, sums.target.sum(0) - shift),
        entropy=log_total - moment / total,
        log_sum_sq=jnp.log((scale**2 * sums.squares).sum(0)) - 2 * log_total,
        max_logp=_log_share(below_top, of_best(sums.top) - shift),
        argmax=of_best(sums.argmax),
    )


def _log_share(others: Array, logit: Array) -> Array:
    """log(e^logit / (e^logit + others)), to full relative precision near 0."""
    some = others != 0  # none at all: the logarithm's derivative would be 0 * inf
    odds = jnp.log(jnp.where(some, others, 1)) - logit
    return jnp.where(some, -jax.nn.softplus(odds), 0)
