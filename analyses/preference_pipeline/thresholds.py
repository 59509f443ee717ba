"""What lambda would just hold the budget in the decoder, to first order.

On the set V of pairs that are beyond the budget at some step of a DPO run, DPO's next
moves the sum of their chosen log-probabilities by <S_V, g>, with S_V the sum of their
score gradients and g DPO's descent direction on all pairs. A penalty adds

    outside  lambda <S_V, sum_V s_c / N>,    inside  lambda <S_V, sum_V w s_c / N>

with w = beta sigma(-m) of each pair. The smallest lambda is where the sum is not
negative. It holds for plain gradient steps; Adam's scaling is left out.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.arrays import PairArrays
from analyses.common.rows import Row, row
from analyses.preference_pipeline.config import Runs
from analyses.preference_pipeline.runs import log_ratios
from analyses.preference_pipeline.scene import Pairs, Scene
from gradlab.types import Array, Params


@partial(jax.jit, static_argnames="logps_fn")
def _score(
    logps_fn: Callable, params: Params, data: PairArrays, mask: Array, weights: Array
) -> Params:
    """Gradient of the weighted sum of log-probabilities, weights [2, N]."""

    def total(theta: Params) -> Array:
        sums = [
            jnp.where(kept, side, 0.0).sum(-1)
            for kept, side in zip(mask, logps_fn(theta, data), strict=True)
        ]
        return (jnp.stack(sums) * weights).sum()

    return jax.grad(total)(params)


def _inner(one: Params, other: Params) -> float:
    parts = jax.tree.map(lambda a, b: jnp.vdot(a, b), one, other)
    return float(sum(jax.tree.leaves(parts)))


def threshold_rows(
    scene: Scene, pairs: Pairs, policies: Mapping[int, Params], runs: Runs
) -> Iterator[Row]:
    """Thresholds along the DPO run, whose weights fade as its margins grow.

    Args:
      scene: with the model.
      pairs: of the run.
      policies: parameters after some of its steps.
      runs: with the budget of the sweep of lambda.

    Yields:
      threshold: at each step; 0 where DPO raises the mean of V, or V is empty. Keys
      loss (bcr_added, bcr_inside: lambda; mle: gamma, with the budget 0) and delta, in
      the units of `strength`.
    """
    for step, params in policies.items():
        for found in _thresholds(scene, pairs, params, runs):
            yield {**found, "step": step}


def _thresholds(
    scene: Scene, pairs: Pairs, params: Params, runs: Runs
) -> Iterator[Row]:
    ratios = np.asarray(log_ratios(scene.logps_fn, params, pairs.data, pairs.logps))
    weight = runs.beta / (1 + np.exp(runs.beta * (ratios[0] - ratios[1])))
    none, mask = np.zeros(len(weight)), pairs.data.mask(scene.width)

    def score(chosen: np.ndarray, rejected: np.ndarray) -> Params:
        weights = jnp.asarray(np.stack([chosen, rejected]) / len(weight), jnp.float32)
        return _score(scene.logps_fn, params, pairs.data, mask, weights)

    descent, unit = score(weight, -weight), runs.beta / 2
    for delta, names in ((runs.delta, ("bcr_added", "bcr_inside")), (0.0, ("mle",))):
        beyond = (-ratios[0] > delta).astype(float)
        fallen = score(beyond, none)
        push = max(0.0, -_inner(fallen, descent))
        # The likelihood term pulls on all pairs, a budget on those beyond it.
        pulls = {
            "bcr_added": (beyond, unit),
            "bcr_inside": (beyond * weight, 1.0),
            "mle": (np.ones(len(weight)), unit),
        }
        for name in names:
            weights, own_unit = pulls[name]
            pull = _inner(fallen, score(weights, none)) * own_unit
            found = push / pull if push and pull > 0 else 0.0
            yield row("threshold", found, loss=name, delta=delta)
