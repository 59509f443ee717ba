"""Products of score gradients of a model, pair by pair, without keeping a gradient.

A model enters as a function of its parameters that gives both sides' token
log-probabilities. Two forms are taken everywhere:

    logps_fn(params, data)  -> ([b, T], [b, T'])   `data`: a pytree with a leading axis
                                                   of pairs; only a chunk of it is run
    logps_fn(params)        -> ([B, T], [B, T'])   `data` None: the function holds the
                                                   batch; a pair costs a whole backward

Positions past a response must have derivative 0, as those of `response_logps` do, or be
masked through `masks`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from gradlab.errors import GradlabError
from gradlab.measures.entanglement import Influence, ScoreProducts
from gradlab.types import Array, PairWeights, Params

LogpsFn = Callable[..., tuple[Array, Array]]


def score_products(
    logps_fn: LogpsFn,
    params: Params,
    data: Any = None,
    *,
    masks: PairWeights | None = None,
    precondition: Params | None = None,
    microbatch: int = 1,
) -> ScoreProducts:
    """Norms and inner product of the two score gradients of every pair.

    Formula:
        <x, P y> with x, y the gradients of S_c = sum_t l_t and of S_r.

    Args:
      logps_fn: as in the module's head.
      params: any pytree of float arrays.
      data: the pairs, leaves [B, ...]; None when `logps_fn` holds them.
      masks: 1 on response tokens; all entries count by default.
      precondition: P, positive numbers in the structure of `params` (for Adam
        1 / (sqrt(v) + eps)); the Euclidean product by default.
      microbatch: pairs whose gradients exist at once.

    Returns:
      `ScoreProducts` of [B].

    Raises:
      GradlabError: P has another structure or a number that is not positive.

    Guarantees:
      Two VJPs per pair; memory of 2 `microbatch` gradients; the result depends on
      `microbatch` by rounding only.

    Example:
      >>> fn = lambda w, x: ((x["c"] @ w)[:, None], (x["r"] @ w)[:, None])
      >>> pairs = {"c": jnp.array([[1.0, 0.0]]), "r": jnp.array([[3.0, 4.0]])}
      >>> got = score_products(fn, jnp.zeros(2), pairs)
      >>> float(got.chosen[0]), float(got.rejected[0]), float(got.inner[0])
      (1.0, 25.0, 3.0)
    """
    scale = _checked(precondition, params)

    def products(pull, weights):
        (score_c, score_r) = _sides(pull, weights)
        return ScoreProducts(
            chosen=_dot(score_c, score_c, scale),
            rejected=_dot(score_r, score_r, scale),
            inner=_dot(score_c, score_r, scale),
        )

    return _per_pair(products, logps_fn, params, data, (masks,), microbatch)


def token_influence(
    logps_fn: LogpsFn,
    params: Params,
    weights: PairWeights,
    data: Any = None,
    *,
    masks: PairWeights | None = None,
    precondition: Params | None = None,
    microbatch: int = 1,
) -> Influence:
    """What each side's part of a step does to each side, for any token weights.

    Args:
      logps_fn: as in the module's head.
      params: any pytree of float arrays.
      weights: dL/dlogp of the loss, from `token_weights`.
      data: the pairs, leaves [B, ...]; None when `logps_fn` holds them.
      masks: 1 on response tokens; all entries count by default.
      precondition: P as in `score_products`: the step is then -eta P grad L.
      microbatch: pairs whose gradients exist at once.

    Returns:
      `Influence` of [B], nats per unit learning rate; equal to `influence_of_sums` when
      the weights are constant along each response.

    Guarantees:
      Four VJPs per pair; memory of 4 `microbatch` gradients.
    """
    scale = _checked(precondition, params)

    def influence(pull, masks, weights):
        score_c, score_r = _sides(pull, masks)
        part_c, part_r = _sides(pull, weights)
        return Influence(  # part_c is the loss's gradient: G_c = -part_c
            chosen_own=-_dot(score_c, part_c, scale),
            chosen_cross=_dot(score_c, part_r, scale),
            rejected_cross=-_dot(score_r, part_c, scale),
            rejected_own=_dot(score_r, part_r, scale),
        )

    return _per_pair(influence, logps_fn, params, data, (masks, weights), microbatch)


def batch_change(
    logps_fn: Callable[[Params], tuple[Array, Array]],
    params: Params,
    weights: PairWeights,
    *,
    masks: PairWeights | None = None,
    precondition: Params | None = None,
) -> tuple[Array, Array]:
    """First-order change of every pair's sums under one step on the whole batch.

    Formula:
        dS / eta = -(1/B) K w: K the signed Gram matrix of all token gradients, applied
        by one VJP (w to parameters) and one JVP (parameters to log-probabilities).

    Args:
      logps_fn: params -> ([B, T], [B, T']).
      params: any pytree of float arrays.
      weights: dL/dlogp, from `token_weights` (per pair, not divided by B).
      masks: 1 on response tokens; all entries count by default.
      precondition: P as in `score_products`.

    Returns:
      (chosen, rejected), [B] each, nats per unit learning rate of the batch mean.
    """
    logps, pull = jax.vjp(logps_fn, params)
    sides = (weights.chosen.astype(logps[0].dtype), weights.rejected)
    gradient = pull((sides[0], sides[1].astype(logps[1].dtype)))[0]
    scale = _checked(precondition, params)
    step = jax.tree.map(
        lambda g, p: -p * g / len(logps[0]), gradient, _ones(scale, params)
    )
    moved = jax.jvp(logps_fn, (params,), (step,))[1]
    masks = masks or PairWeights(*map(jnp.ones_like, logps))
    return jnp.sum(moved[0] * masks.chosen, -1), jnp.sum(moved[1] * masks.rejected, -1)


def self_share(own: Array, total: Array, size: int | None = None) -> Array:
    """How much of a pair's change its own gradient causes, [B] in [0, 1].

    Formula:
        |self| / (|self| + |cross|), self = own / B, cross = total - self

    Args:
      own: [B] change under the pair's own step, as in `Entanglement`.
      total: [B] change under the batch step, from `batch_change`.
      size: B, the pairs of that batch; those in `own` by default.
    """
    own = own / (size or len(own))
    return jnp.abs(own) / (jnp.abs(own) + jnp.abs(total - own))


def _per_pair(
    measure: Callable[..., Any],
    logps_fn: LogpsFn,
    params: Params,
    data: Any,
    weights: tuple[PairWeights | None, ...],
    microbatch: int,
) -> Any:
    """Maps `measure(pull, *weights)` over pairs; `pull` is the VJP of one pair."""
    if microbatch < 1:
        raise GradlabError(f"microbatch is {microbatch}; expected at least 1 pair")
    if data is None:
        return _per_row(measure, logps_fn, params, weights, microbatch)

    def one(inputs):
        pair, given = jax.tree.map(lambda leaf: leaf[None], inputs)
        logps, pull = jax.vjp(lambda p: logps_fn(p, pair), params)
        return measure(
            lambda cotangents: pull(cotangents)[0],
            *(_cotangents(logps, w) for w in given),
        )

    return jax.lax.map(one, (data, weights), batch_size=microbatch)


def _per_row(measure, logps_fn, params, weights, microbatch):
    logps, pull = jax.vjp(logps_fn, params)
    full = [_cotangents(logps, w) for w in weights]

    def one(row):
        keep = (jnp.arange(len(logps[0])) == row)[:, None]
        only = [jax.tree.map(lambda leaf: jnp.where(keep, leaf, 0), w) for w in full]
        return measure(lambda cotangents: pull(cotangents)[0], *only)

    return jax.lax.map(one, jnp.arange(len(logps[0])), batch_size=microbatch)


def _cotangents(logps: tuple[Array, Array], weights: PairWeights | None):
    if weights is None:
        return tuple(map(jnp.ones_like, logps))
    sides = (weights.chosen, weights.rejected)
    for name, side, logp in zip(("chosen", "rejected"), sides, logps, strict=True):
        if side.shape != logp.shape:
            raise GradlabError(
                f"weights or masks of the {name} side: shape {side.shape}, expected "
                f"that of the log-probabilities, {logp.shape}"
            )
    return tuple(s.astype(x.dtype) for s, x in zip(sides, logps, strict=True))


def _sides(pull, weights):
    """The gradients that the chosen and the rejected cotangents give alone."""
    chosen, rejected = weights
    return (
        pull((chosen, jnp.zeros_like(rejected))),
        pull((jnp.zeros_like(chosen), rejected)),
    )


def _dot(one: Params, two: Params, scale: Params | None) -> Array:
    """<x, P y>, accumulated in float32 or wider."""

    def leaf(x, y, p):
        wide = jnp.promote_types(x.dtype, jnp.float32)
        return jnp.sum(x.astype(wide) * y.astype(wide) * p)

    parts = jax.tree.map(leaf, one, two, _ones(scale, one))
    return jnp.sum(jnp.stack(jax.tree.leaves(parts)))


def _ones(scale: Params | None, like: Params) -> Params:
    return jax.tree.map(lambda _: 1.0, like) if scale is None else scale


def _checked(scale: Params | None, params: Params) -> Params | None:
    if scale is None:
        return None
    if jax.tree.structure(scale) != jax.tree.structure(params):
        raise GradlabError(
            f"precondition: structure {jax.tree.structure(scale)}, expected that of "
            f"the parameters, {jax.tree.structure(params)}"
        )
    for path, leaf in jax.tree_util.tree_leaves_with_path(scale):
        if not isinstance(leaf, Tracer) and not bool(jnp.all(leaf > 0)):
            raise GradlabError(
                f"precondition{jax.tree_util.keystr(path)}: smallest number "
                f"{float(jnp.min(leaf)):.3g}, expected positive numbers"
            )
    return scale
