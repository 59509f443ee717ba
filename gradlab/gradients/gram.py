"""Inner products between the gradients of pairs, and between those of tokens.

    pairs   G_ij = <g_i, g_j>,  g_i the gradient of pair i's loss
    tokens  K_st = <grad l_s, grad l_t>,  l the token log-probabilities: K = J J^T
    cosine  G_ij / sqrt(G_ii G_jj)

The exact matrix over pairs recomputes gradients instead of storing them: one chunk of
rows stays, and one pair's gradient at a time meets it. For many pairs each gradient is
sketched to a few numbers, at one gradient per pair.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from gradlab.errors import GradlabError
from gradlab.gradients.example import (
    BatchLogpsFn,
    bind_items,
    check_microbatch,
)
from gradlab.gradients.groups import as_rows, stacked_inner
from gradlab.gradients.sides import PairLogpsFn, pullbacks
from gradlab.gradients.token import value_and_token_weights
from gradlab.types import Array, LossFn, PairLogps, Params

PARTS = {"whole": 1, "chosen": 1, "rejected": 1, "both": 2}  # gradients of one pair


def pair_gram(
    loss: str | LossFn,
    logps_fn: BatchLogpsFn,
    params: Params,
    data: Any,
    pairs: PairLogps,
    *,
    part: str = "whole",
    microbatch: int = 8,
    **hyper: Any,
) -> Array:
    """<g_i, g_j> for all pairs of pairs, exactly.

    Args:
      loss: as in `pair_products`; with `score_sum` the vectors are score gradients.
      logps_fn: (params, data of b pairs) -> (chosen [b, T], rejected [b, T']).
      params: any pytree of float arrays.
      data: a pytree of arrays with leading axis B.
      pairs: masks and reference of the B pairs.
      part: "whole", "chosen" or "rejected"; "both" gives a matrix over 2B vectors, all
        chosen parts first.
      microbatch: rows whose gradients exist at once.
      **hyper: the loss's hyperparameters.

    Returns:
      [B, B], or [2B, 2B] for "both"; symmetric, in (loss per parameter unit)^2.

    Raises:
      LossInputError: the loss couples the pairs of a batch.
      GradlabError: unknown part.

    Guarantees:
      `microbatch` + 1 pairs' gradients exist at once, whatever B. About
      B^2 / (2 microbatch) single-pair gradients are computed.
    """
    vectors, items, count = _vectors(
        loss, logps_fn, params, data, pairs, part, microbatch, hyper
    )
    width = PARTS[part]

    def rows(block: Array) -> Array:
        first = block * microbatch
        index = jnp.minimum(first + jnp.arange(microbatch), count - 1)
        held = jax.vmap(vectors)(_take(items, index))

        def column(j: Array, out: Array) -> Array:
            return out.at[..., j, :].set(
                stacked_inner(held, vectors(_take(items, j)), 2, 1)
            )

        start = jnp.zeros((microbatch, width, count, width), _wide(params))
        # Columns left of the block follow by symmetry.
        return jax.lax.fori_loop(first, count, column, start)

    blocks = -(-count // microbatch)
    table = jax.lax.map(rows, jnp.arange(blocks))
    table = table.reshape(blocks * microbatch, width, count, width)[:count]
    upper = jnp.triu(jnp.ones((count, count), bool))[:, None, :, None]
    table = jnp.where(upper, table, table.transpose(2, 3, 0, 1))
    return _flat(table)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ProjectedGram:
    """A Gram matrix from random sketches, with its error.

    Attributes:
      gram: [M, M] unbiased estimates of <g_i, g_j>.
      norms: [M] exact ||g_i||.
      error: root mean square of (estimate - exact) / (||g_i|| ||g_j||), measured
        between different vectors of the same chunk, where the exact value is at hand.
      expected_error: its theoretical size for nearly orthogonal vectors, 1/sqrt(width).
    """

    gram: Array
    norms: Array
    error: Array
    expected_error: float


def projected_gram(
    loss: str | LossFn,
    logps_fn: BatchLogpsFn,
    params: Params,
    data: Any,
    pairs: PairLogps,
    key: Array,
    *,
    width: int = 1024,
    part: str = "whole",
    microbatch: int = 8,
    **hyper: Any,
) -> ProjectedGram:
    """<g_i, g_j> for many pairs, estimated from a seeded count sketch of each gradient.

    Each coordinate is added, with a random sign, to one of `width` random bins
    (Charikar, Chen and Farach-Colton 2002). The bins and signs are drawn leaf by leaf
    from the key: no projection matrix exists.

    Args:
      loss: as in `pair_gram`, like the arguments that follow.
      logps_fn: (params, data of b pairs) -> (chosen [b, T], rejected [b, T']).
      params: any pytree of float arrays.
      data: a pytree of arrays with leading axis B.
      pairs: masks and reference of the B pairs.
      key: `jax.random.key(seed)`; the same key gives the same sketch.
      width: bins; the error of an entry is about ||g_i|| ||g_j|| / sqrt(width).
      part: as in `pair_gram`.
      microbatch: pairs whose gradients exist at once; at least 2, so that the error can
        be measured.
      **hyper: the loss's hyperparameters.

    Returns:
      `ProjectedGram` over M = B vectors, or 2B for "both".

    Raises:
      LossInputError: the loss couples the pairs of a batch.
      GradlabError: unknown part, microbatch below 2, or a width that is not positive.

    Guarantees:
      Each pair's gradient is computed once; `microbatch` of them exist at once.
    """
    if width < 1 or microbatch < 2:
        raise GradlabError(
            f"width is {width} and microbatch {microbatch}, expected at least 1 and 2"
        )
    vectors, items, count = _vectors(
        loss, logps_fn, params, data, pairs, part, microbatch, hyper
    )
    blocks, ways = -(-count // microbatch), PARTS[part]

    def chunk(block: Array) -> tuple[Array, Array]:
        index = jnp.minimum(block * microbatch + jnp.arange(microbatch), count - 1)
        held = jax.vmap(vectors)(_take(items, index))
        return _sketch(held, key, width), stacked_inner(held, held, 2, 2)

    sketches, exact = jax.lax.map(chunk, jnp.arange(blocks))
    inside = jnp.arange(blocks * microbatch).reshape(blocks, microbatch) < count
    norms = jnp.sqrt(jnp.einsum("birir->bir", exact))
    error = _measured_error(sketches, exact, norms, inside)
    flat = sketches.reshape(blocks * microbatch, ways, width)[:count]
    table = jnp.einsum("irk,jsk->irjs", flat, flat)
    kept = norms.reshape(blocks * microbatch, ways)[:count].T.reshape(-1)
    return ProjectedGram(_flat(table), kept, error, width**-0.5)


def token_gram(logps_fn: PairLogpsFn, params: Params, *, microbatch: int = 8) -> Array:
    """<grad l_s, grad l_t> for all tokens of one pair: the token kernel J J^T.

    Entry (s, t) is how much a unit of gradient ascent on token s raises token t.

    Args:
      logps_fn: params -> (chosen [1, T], rejected [1, T']), as for one pair; a larger
        batch works too.
      params: any pytree of float arrays.
      microbatch: tokens whose gradients exist at once.

    Returns:
      [M, M], M = T + T' (times the batch): chosen tokens first, in order. Rows and
      columns of padding are 0 if `logps_fn` gives padding no gradient.

    Example:
      >>> def logps_fn(theta):
      ...     return theta[None, :1], theta[None, 1:]
      >>> token_gram(logps_fn, jnp.array([-1.0, -2.0]))
      Array([[1., 0.],
             [0., 1.]], dtype=float32)
    """
    check_microbatch(microbatch)

    def flat(theta: Params) -> Array:
        return jnp.concatenate([side.reshape(-1) for side in logps_fn(theta)])

    logps, push = jax.linearize(flat, params)
    pull = jax.linear_transpose(push, params)

    def row(token: Array) -> Array:
        unit = jnp.zeros_like(logps).at[token].set(1)
        return push(pull(unit)[0])

    return jax.lax.map(row, jnp.arange(logps.size), batch_size=microbatch)


def cosines(gram: Array) -> Array:
    """gram_ij / sqrt(gram_ii gram_jj), [M, M]; 0 where a vector is 0."""
    norms = jnp.sqrt(jnp.diagonal(gram))
    product = norms[:, None] * norms
    return jnp.where(product > 0, gram / jnp.where(product > 0, product, 1), 0)


def _vectors(loss, logps_fn, params, data, pairs, part, microbatch, hyper):
    """(item -> its gradients with leading axis 1 or 2, items, B)."""
    check_microbatch(microbatch)
    if part not in PARTS:
        raise GradlabError(f"part is {part!r}, expected one of {', '.join(PARTS)}")
    bound, items, call = bind_items(loss, logps_fn, data, pairs, hyper)

    def vectors(item: Any) -> Params:
        model, given = call(item)
        return _gradients(bound, model, given, params, part)

    return vectors, items, pairs.chosen_mask.shape[0]


def _gradients(bound: LossFn, model, given: Callable, params: Params, part: str):
    if part == "whole":
        logps, pull = jax.vjp(model, params)
        weights = value_and_token_weights(bound, given(logps))[1]
        whole = pull((weights.chosen, weights.rejected))[0]
        return jax.tree.map(lambda leaf: leaf[None], whole)
    logps, *pulls = pullbacks(model, params)
    weights = value_and_token_weights(bound, given(logps))[1]
    sides = ("chosen", "rejected") if part == "both" else (part,)
    pull_of: dict[str, Callable] = dict(zip(("chosen", "rejected"), pulls, strict=True))
    return jax.tree.map(
        lambda *leaves: jnp.stack(leaves),
        *(pull_of[side](getattr(weights, side)) for side in sides),
    )


def _sketch(held: Params, key: Array, width: int) -> Array:
    """Gradients with leading axes [m, r] -> count sketches [m, r, width]."""
    total: Any = 0.0
    for number, leaf in enumerate(jax.tree.leaves(held)):
        rows = as_rows(leaf, 2)
        bin_key, sign_key = jax.random.split(jax.random.fold_in(key, number))
        bins = jax.random.randint(bin_key, rows.shape[-1:], 0, width)
        signs = jax.random.rademacher(sign_key, rows.shape[-1:], jnp.int8)

        def one(row: Array, bins: Array = bins, signs: Array = signs) -> Array:
            return jax.ops.segment_sum(row * signs, bins, num_segments=width)

        flat = jax.lax.map(one, rows.reshape(-1, rows.shape[-1]))
        total = total + flat.reshape(*rows.shape[:2], width)
    return total


def _measured_error(sketches, exact, norms, inside) -> Array:
    """Relative error of the sketch between different vectors of the same chunk."""
    table = jnp.einsum("birk,bjsk->birjs", sketches, sketches)
    product = norms[..., None, None] * norms[:, None, None]
    rows, ways = sketches.shape[1:3]
    same = jnp.eye(rows * ways, dtype=bool).reshape(rows, ways, rows, ways)
    both = inside[:, :, None, None, None] & inside[:, None, None, :, None]
    counted = both & ~same & (product > 0)
    scaled = (table - exact) / jnp.where(counted, product, 1)
    total = jnp.sum(jnp.where(counted, scaled, 0) ** 2)
    return jnp.sqrt(total / jnp.sum(counted))


def _flat(table: Array) -> Array:
    """[N, r, N, r] -> [rN, rN], the first part of all pairs first."""
    size = table.shape[0] * table.shape[1]
    return table.transpose(1, 0, 3, 2).reshape(size, size)


def _take(items: Any, index: Array) -> Any:
    return jax.tree.map(lambda leaf: leaf[index], items)


def _wide(params: Params) -> Any:
    dtypes = (leaf.dtype for leaf in jax.tree.leaves(params))
    return jnp.result_type(jnp.float32, *dtypes)
