"""What lambda would just hold the budget in the decoder, to first order.

On the set V of pairs that are beyond the budget at some step of a run of the base, its
next moves the sum of their chosen log-probabilities by <S_V, g>, with S_V the sum of
their score gradients and g the base's descent direction on all pairs. A penalty adds

    outside  lambda <S_V, sum_V s_c / N>,    inside  lambda <S_V, sum_V w s_c / N>

with w the base's own weight on each pair's chosen sum, beta sigma(-m) for DPO. The
smallest lambda is where the sum is not negative. It holds for plain gradient steps;
Adam's scaling is left out.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.arrays import PairArrays
from analyses.common.rows import Row, row
from analyses.preference_pipeline.cells import form_on
from analyses.preference_pipeline.config import Base, Runs
from analyses.preference_pipeline.runs import log_ratios
from analyses.preference_pipeline.scene import Pairs, Scene
from gradlab.gradients import token_weights
from gradlab.types import Array, PairWeights, Params


@partial(jax.jit, static_argnames="logps_fn")
def _score(
    logps_fn: Callable, params: Params, data: PairArrays, weights: PairWeights
) -> Params:
    """Gradient of the weighted sum of token log-probabilities, weights 0 on padding."""

    def total(theta: Params) -> Array:
        chosen, rejected = logps_fn(theta, data)
        return (chosen * weights.chosen).sum() + (rejected * weights.rejected).sum()

    return jax.grad(total)(params)


def _inner(one: Params, other: Params) -> float:
    parts = jax.tree.map(lambda a, b: jnp.vdot(a, b), one, other)
    return float(sum(jax.tree.leaves(parts)))


def threshold_rows(
    scene: Scene,
    pairs: Pairs,
    policies: Mapping[int, Params],
    base: Base | None,
    runs: Runs,
) -> Iterator[Row]:
    """Thresholds along a base's own run, whose weights fade as its margins grow.

    Args:
      scene: with the model.
      pairs: of the run.
      policies: parameters after some of its steps.
      base: that was trained; None for DPO.
      runs: with the budgets.

    Yields:
      threshold: at each step; 0 where the base raises the mean of V, or V is empty,
      infinite where the penalty pulls down. Keys loss (a form: lambda; mle beside DPO:
      gamma, with the budget 0) and delta, in the units of `strength`.
    """
    for step, params in policies.items():
        for found in _thresholds(scene, pairs, params, base, runs):
            yield {**found, "step": step}


def _thresholds(
    scene: Scene, pairs: Pairs, params: Params, base: Base | None, runs: Runs
) -> Iterator[Row]:
    data, known, own = pairs.data, pairs.logps, base or runs.dpo
    chosen, rejected = jax.jit(scene.logps_fn)(params, data)
    now = replace(known, chosen=chosen, rejected=rejected)
    weights = token_weights(own.spec, now)
    lengths = known.chosen_mask.sum(-1)
    fall = -np.asarray(log_ratios(scene.logps_fn, params, data, known))[0]

    def score(chosen: Array, rejected: Array | float = 0.0) -> Params:
        sides = PairWeights(chosen, jnp.broadcast_to(rejected, now.rejected.shape))
        sides = jax.tree.map(lambda w: w / len(fall), sides)
        return _score(scene.logps_fn, params, data, sides)

    def spread(by_pair: Array) -> Array:
        return jnp.where(known.chosen_mask, by_pair[:, None], 0.0)

    descent = score(-weights.chosen, -weights.rejected)
    pull_inside = -weights.chosen.sum(-1) / lengths
    for delta in dict.fromkeys((runs.delta, *runs.plane_deltas, 0.0)):
        beyond = jnp.asarray(fall > delta, jnp.float32)
        fallen = score(spread(beyond))
        push = max(0.0, -_inner(fallen, descent))
        pulls = {
            form_on("outside", base): beyond * own.unit,
            form_on("inside", base): beyond * pull_inside,
        }
        if delta == 0:
            # The likelihood term pulls on all pairs, a budget on those beyond it.
            pulls = {} if base else {"mle": jnp.full_like(beyond, own.unit)}
        for loss, by_pair in pulls.items():
            pull = _inner(fallen, score(spread(by_pair)))
            found = (push / pull if pull > 0 else np.inf) if push else 0.0
            yield row("threshold", found, loss=loss, delta=delta)
