"""Short DPO runs on subsets of the pairs that CHES chooses.

Each run starts at the policy, takes full-batch Adam steps in float32, and reports the
mean drift of the chosen responses it was trained on.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from analyses.common.arrays import PairArrays
from analyses.common.rows import Row, row
from analyses.drift_prediction.config import Config
from analyses.drift_prediction.policy import Scene
from gradlab.losses import resolve
from gradlab.types import Array, PairLogps, Params


def percentile_rows(
    scene: Scene, config: Config, ches: np.ndarray, **keys: object
) -> Iterator[Row]:
    """Runs on subsets around percentiles of CHES, lowest first."""
    order, size = np.argsort(ches, kind="stable"), config.runs.subset
    for percentile in config.runs.percentiles:
        start = round(percentile / 100 * (len(order) - size))
        for found in _run(scene, config, order[start : start + size]):
            yield {**keys, **found, "percentile": percentile, "part": "ches"}


def lowest_rows(
    scene: Scene, config: Config, ln_ches: np.ndarray, **keys: object
) -> Iterator[Row]:
    """A run on the lowest LN-CHES share and one on as many pairs at random."""
    size = config.runs.subset
    rng = np.random.default_rng([scene.seed, 7])
    subsets = {
        "lowest": np.argsort(ln_ches, kind="stable")[:size],
        "random": rng.permutation(len(ln_ches))[:size],
    }
    for part, rows in subsets.items():
        for found in _run(scene, config, rows):
            yield {**keys, **found, "part": part}


def _run(scene: Scene, config: Config, rows: np.ndarray) -> Iterator[Row]:
    pairs = replace(scene.pairs, kl_logratios=None)
    data, pairs = jax.tree.map(lambda leaf: leaf[rows], (scene.kind.pairs, pairs))
    narrow = jax.tree.map(_narrow, (scene.params, pairs))
    steps, rate = config.runs.subset_steps, config.runs.rate
    drift = np.asarray(train_dpo(scene.logps_fn, *narrow, data, steps, rate))
    given = {"loss": "dpo", "optimiser": "adam"}
    yield row("subset_drift", drift[0].mean(), side="chosen", **given)
    yield row("subset_drift", drift[1].mean(), side="rejected", **given)
    yield row("subset_margin_rises", np.mean(drift[0] > drift[1]), **given)


def _narrow(leaf: Array) -> Array:
    return leaf.astype(jnp.float32) if leaf.dtype == jnp.float64 else leaf


@partial(jax.jit, static_argnames=("logps_fn", "steps"))
def train_dpo(
    logps_fn: Callable,
    params: Params,
    pairs: PairLogps,
    data: PairArrays,
    steps: int,
    rate: float,
) -> Array:
    """[2, B] drift of both sides' sums over full-batch Adam steps of DPO."""
    optimiser, loss = optax.adam(rate), resolve("dpo")

    def value(theta: Params) -> tuple[Array, Array]:
        chosen, rejected = logps_fn(theta, data)
        losses = loss(replace(pairs, chosen=chosen, rejected=rejected))
        return losses.mean(), jnp.stack([chosen.sum(-1), rejected.sum(-1)])

    def update(carry, _):
        theta, state = carry
        gradient, sums = jax.grad(value, has_aux=True)(theta)
        change, state = optimiser.update(gradient, state, theta)
        return (optax.apply_updates(theta, change), state), sums

    start = (params, optimiser.init(params))
    (theta, _), sums = jax.lax.scan(update, start, length=steps)
    return value(theta)[1] - sums[0]
