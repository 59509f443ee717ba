"""A short AdamW run of DPO whose every step is split into what caused it.

At each step the update falls into parts caused by the chosen tokens, the rejected
tokens, momentum and weight decay; each part's first-order drift is taken at both ends
of the step and averaged. Summed over the run they should explain the whole drift.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from analyses.common.arrays import PairArrays
from analyses.common.rows import Row, per_pair, row
from analyses.drift_prediction.config import Config
from analyses.drift_prediction.pairwise import products_of
from analyses.drift_prediction.policy import Scene, moved
from gradlab.gradients import SideGradients, side_gradients, split_step
from gradlab.measures import influence_of_sums, self_share, sequence_weights
from gradlab.types import Array, PairLogps, Params

PARTS = ("chosen", "rejected", "momentum", "decay")
WEIGHT_DECAY = 0.01


def ledger_rows(scene: Scene, config: Config, **keys: object) -> Iterator[Row]:
    """Follows the run on all pairs at once, the policy being its start.

    Yields:
      ledger of each part, of the total and of the residual, cumulated over steps, mean
      over pairs of the chosen response's drift in nats; run_drift of each pair and side
      at the end; ledger_residual, the residual's norm over the pairs as a share of the
      total's; self_share of the last step.
    """
    optimiser = optax.adamw(config.runs.ledger_rate, weight_decay=WEIGHT_DECAY)
    params, data = scene.params, scene.kind.pairs
    state = optimiser.init(params)
    start = _sums(scene.logps_fn, params, data)
    parts = np.zeros((len(PARTS), 2, len(data)))
    dpo = {**keys, "loss": "dpo", "optimiser": "adamw"}
    for step in range(1, config.runs.ledger_steps + 1):
        gradients = _gradients(scene.logps_fn, params, data, scene.pairs)
        split = split_step(optimiser, state, params, gradients)
        stacked = jax.tree.map(lambda *x: jnp.stack(x), *split.parts.values())
        after = moved(params, split.total, 1.0)
        ends = (_changes(scene.logps_fn, at, data, stacked) for at in (params, after))
        change = np.mean(list(ends), axis=0)
        parts += change
        if step == config.runs.ledger_steps:
            share = _self_share(scene, params, split.response, change)
            yield from per_pair("self_share", share, side="chosen", **dpo)
        params, state = after, split.state
        total = np.asarray(_sums(scene.logps_fn, params, data) - start)
        yield from _step_rows(parts, total, step, dpo)
    residual = total - parts.sum(0)
    share = np.linalg.norm(residual[0]) / np.linalg.norm(total[0])
    yield row("ledger_residual", share, side="chosen", **dpo)
    for number, side in enumerate(("chosen", "rejected")):
        yield from per_pair("run_drift", total[number], side=side, **dpo)


def _step_rows(parts: np.ndarray, total: np.ndarray, step: int, keys: dict):
    residual = total - parts.sum(0)
    lines = {
        **dict(zip(PARTS, parts, strict=True)),
        "total": total,
        "residual": residual,
    }
    for name, values in lines.items():
        given = {**keys, "part": name, "step": step, "side": "chosen"}
        yield row("ledger", values[0].mean(), **given)


@partial(jax.jit, static_argnames="logps_fn")
def _sums(logps_fn: Callable, params: Params, data: PairArrays) -> Array:
    """[2, N] summed log-probabilities of both sides."""
    return jnp.stack([side.sum(-1) for side in logps_fn(params, data)])


@partial(jax.jit, static_argnames="logps_fn")
def _gradients(
    logps_fn: Callable, params: Params, data: PairArrays, pairs: PairLogps
) -> SideGradients:
    return side_gradients("dpo", lambda theta: logps_fn(theta, data), params, pairs)


@partial(jax.jit, static_argnames="logps_fn")
def _changes(
    logps_fn: Callable, params: Params, data: PairArrays, parts: Params
) -> Array:
    """[parts, 2, N] first-order drift of the sums by each part of a step."""
    push = jax.linearize(lambda theta: _sums(logps_fn, theta, data), params)[1]
    return jax.lax.map(push, parts)


def _self_share(scene: Scene, params: Params, response: Any, change: Any) -> Array:
    """How much of each chosen response's change its own gradient causes, [N].

    That is the gradient of this step: what momentum carries over from the pair's own
    earlier ones counts as the others' doing. With b1 = .9 the current gradients make up
    a seventh of AdamW's twelfth step, so even of a pair alone the share would be small.
    The step's answer to a gradient is a positive diagonal, so a pair's own part follows
    from its score products in that inner product.
    """
    data = scene.kind.pairs
    scale = jax.tree.map(
        jnp.negative, response(jax.tree.map(jnp.ones_like, scene.params))
    )
    products = products_of(scene.logps_fn, params, data, scale)
    logps = scene.logps_fn(params, data)
    pairs = replace(scene.pairs, chosen=logps[0], rejected=logps[1])
    own = influence_of_sums(products, *sequence_weights("dpo", pairs))
    return self_share(
        own.chosen_own - own.chosen_cross, jnp.asarray(change.sum(0)[0]), len(data)
    )
