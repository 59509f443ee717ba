"""The order of the prediction's error, for three optimisers.

The steps begin where the first order errs by a few per cent, found from one tiny step,
and go down three decades: higher orders count little, and float64 doesn't round yet.

Each direction u is fixed and of unit norm, so only the log-probabilities need to be
smooth along it, not the loss. RMSprop and AdamW have seen one earlier gradient of the
same loss, on other pairs: their second moments, and AdamW's momentum, are not those of
a first step.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from analyses.common.arrays import PairArrays
from analyses.common.rows import Row, row
from analyses.drift_prediction.config import Config
from analyses.drift_prediction.policy import (
    Scene,
    all_weights,
    batch_gradient,
    first,
    moved,
)
from gradlab.gradients.groups import tree_norm
from gradlab.types import Array, Params

OPTIMISERS = {
    "sgd": optax.sgd(1.0),
    "rmsprop": optax.rmsprop(1.0, decay=0.9),
    "adamw": optax.adamw(1.0, weight_decay=0.01),
}
PROBE = 1e-6  # norm of the tiny step over that of the parameters
SLOPES = {"rel_err": 1, "trap_err": 2, "residual": 2, "trap_residual": 3}


def order_rows(
    scene: Scene, config: Config, losses: Sequence[str], **keys: object
) -> Iterator[Row]:
    """Errors at every step size, and the slopes of their logarithms.

    Yields:
      For each loss and optimiser top_step, the largest step's norm over that of the
      parameters; rel_err and trap_err at the factors eta of it; and the slopes of both
      and of their residuals: medians of the slopes between neighbouring steps, so that
      higher orders at the largest step and rounding at the smallest don't enter.
    """
    measured = scene.kind.pairs.take(slice(config.order_pairs))
    factors = jnp.asarray(config.order_factors)
    steps = _steps(scene, config, losses)
    for loss, units in zip(losses, steps, strict=True):
        given = (measured, units, PROBE * scene.size, config.order_error, factors)
        tops, found = map(np.asarray, _errors(scene.logps_fn, scene.params, *given))
        for o, optimiser in enumerate(OPTIMISERS):
            keys |= {"loss": loss, "optimiser": optimiser, "part": "order"}
            yield row("top_step", tops[o] / scene.size, **keys)
            for m, metric in enumerate(SLOPES):
                values = found[o, :, m]
                if metric in ("rel_err", "trap_err"):
                    for factor, value in zip(config.order_factors, values, strict=True):
                        yield row(metric, value, eta=factor, **keys)
                slopes = np.diff(np.log(values)) / np.diff(np.log(factors))
                yield row(f"slope_{metric}", np.median(slopes), **keys)


def _steps(scene: Scene, config: Config, losses: Sequence[str]) -> Iterator[Params]:
    """For each loss the unit steps of all optimisers on the batch."""
    pairs = first(scene.pairs, config.batch)
    data = (scene.kind.others, scene.kind.pairs.take(slice(config.batch)))
    weights = [
        all_weights(losses, given, config.longest_response)
        for given in (scene.others, pairs)
    ]
    for both in zip(*weights, strict=True):
        gradients = (
            batch_gradient(scene.logps_fn, scene.params, part, given)
            for part, given in zip(data, both, strict=True)
        )
        yield _directions(scene.params, *gradients)


@partial(jax.jit, static_argnames="logps_fn")
def _errors(
    logps_fn: Callable,
    params: Params,
    data: PairArrays,
    units: Params,
    probe: Array,
    error: Array,
    factors: Array,
) -> tuple[Array, Array]:
    """Largest steps [optimisers]; measures [optimisers, factors, as in `SLOPES`]."""

    logps_of = partial(_stacked, logps_fn, data)

    def along(unit: Params) -> tuple[Array, Array]:
        def step(carry, item):
            before, here, scale = carry
            number, factor = item
            size = scale * factor
            after, there = jax.jvp(logps_of, (moved(params, unit, size),), (unit,))
            before = jnp.where(number == 0, after, before)
            here = jnp.where(number == 0, there, here)
            sized, mean = size * here, size * (here + there) / 2
            found = _compare(after - before, sized, mean)
            # The first-order error grows in proportion to the step.
            scale = jnp.where(number == 1, error / found[0] * probe, scale)
            return (before, here, scale), found

        # No step, the tiny one, then those under test: the model is compiled once.
        items = (
            jnp.arange(2 + len(factors)),
            jnp.concatenate([jnp.arange(2.0), factors]),
        )
        shape = jax.eval_shape(logps_of, params)
        nothing = jnp.zeros(shape.shape, shape.dtype)
        start = (nothing, nothing, jnp.asarray(probe))
        (_, _, top), found = jax.lax.scan(step, start, items)
        return top, found[2:]

    return jax.lax.map(along, units)


def _stacked(logps_fn: Callable, data: PairArrays, params: Params) -> Array:
    return jnp.stack(logps_fn(params, data))


@jax.jit
def _directions(params: Params, old: Params, gradient: Params) -> Params:
    """Unit steps of all optimisers after an earlier gradient, on a leading axis."""
    steps = []
    for optimiser in OPTIMISERS.values():
        state = optimiser.update(old, optimiser.init(params), params)[1]
        step = optimiser.update(gradient, state, params)[0]
        norm = tree_norm(step)
        steps.append(jax.tree.map(lambda u, n=norm: u / n, step))
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *steps)


def _compare(real: Array, linear: Array, trapezoid: Array) -> Array:
    def norm(x: Array) -> Array:
        return jnp.sqrt(jnp.sum(x**2))

    size, first_order, second_order = (
        norm(real),
        norm(real - linear),
        norm(real - trapezoid),
    )
    return jnp.stack(
        [first_order / size, second_order / size, first_order, second_order]
    )
