"""Short runs of small models, each one compiled loop.

The library's trainer keeps checkpoints and logs; a study makes hundreds of runs of a
hundred steps, and wants what the loop ends with.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from analyses.common.arrays import PairArrays
from gradlab.losses import resolve
from gradlab.losses.terms import seq_logps
from gradlab.models import LanguageModel, response_logps
from gradlab.types import Array, LossFn, PairLogps, Params

OPTIMISERS: dict[str, Callable[..., optax.GradientTransformation]] = {
    "adam": optax.adam,
    "rmsprop": optax.rmsprop,
    "sgd": optax.sgd,
}


def epochs(count: int, steps: int, batch: int, rng: np.random.Generator) -> np.ndarray:
    """[steps, batch] rows: each of `count` once an epoch, in an order of its own."""
    passes = -(-steps * batch // count)
    rows = np.concatenate([rng.permutation(count) for _ in range(passes)])
    return rows[: steps * batch].reshape(steps, batch)


@partial(jax.jit, static_argnames=("logps_fn", "loss", "optimiser"))
def train(
    logps_fn: Callable,
    params: Params,
    data: PairArrays,
    pairs: PairLogps,
    order: Array,
    rate: Array | float,
    *,
    loss: str,
    optimiser: str = "adam",
) -> tuple[Params, Array]:
    """Takes one step per row of `order` on the mean loss of its pairs.

    Args:
      logps_fn: as `arrays.pair_logps_fn`.
      params: start of the run.
      data: N pairs.
      pairs: [N, R] their log-probabilities with what the loss reads of the reference;
        the policy's own are replaced at every step.
      order: [steps, B] row numbers.
      rate: learning rate, constant.
      loss: as `gradlab.losses.resolve` reads it; each compiles once.
      optimiser: key of `OPTIMISERS`.

    Returns:
      The parameters after the last step, and the [steps] mean losses.
    """
    method = OPTIMISERS[optimiser](rate)
    update = _update_of(logps_fn, data, pairs, method, resolve(loss))
    (params, _), losses = jax.lax.scan(update, (params, method.init(params)), order)
    return params, losses


@partial(jax.jit, static_argnames=("logps_fn", "loss", "watched", "optimiser"))
def train_watched(
    logps_fn: Callable,
    params: Params,
    data: PairArrays,
    pairs: PairLogps,
    order: Array,
    rate: Array | float,
    hyper: Mapping[str, Array | float],
    *,
    loss: str | LossFn,
    watched: int,
    optimiser: str = "adam",
) -> tuple[Params, Array]:
    """The same run, and what becomes of some of its pairs on the way.

    Args:
      logps_fn: as in `train`, as are the arguments that aren't named here.
      params: start of the run.
      data: N pairs.
      pairs: [N, R]
      order: [stages, steps, B] row numbers.
      rate: learning rate, constant.
      hyper: numbers of the loss by name; other numbers don't compile anew.
      loss: as `gradlab.losses.resolve` reads it.
      watched: so many pairs, the first ones.
      optimiser: key of `OPTIMISERS`.

    Returns:
      The parameters after the last step, and the [stages, 2, watched] summed
      log-probabilities of both sides after every stage.
    """
    method = OPTIMISERS[optimiser](rate)
    update = _update_of(logps_fn, data, pairs, method, resolve(loss, **hyper))
    seen, kept = jax.tree.map(lambda leaf: leaf[:watched], (data, pairs))

    def stage(carry, rows: Array):
        carry, _ = jax.lax.scan(update, carry, rows)
        chosen, rejected = logps_fn(carry[0], seen)
        now = replace(kept, chosen=chosen, rejected=rejected)
        return carry, jnp.stack(seq_logps(now))

    (params, _), sums = jax.lax.scan(stage, (params, method.init(params)), order)
    return params, sums


def _update_of(
    logps_fn: Callable,
    data: PairArrays,
    pairs: PairLogps,
    method: optax.GradientTransformation,
    objective: LossFn,
) -> Callable:
    """((params, state), [B] row numbers) -> their successors and the mean loss."""

    def value(theta: Params, rows: Array) -> Array:
        given, some = jax.tree.map(lambda leaf: leaf[rows], (data, pairs))
        chosen, rejected = logps_fn(theta, given)
        return objective(replace(some, chosen=chosen, rejected=rejected)).mean()

    def update(carry, rows: Array):
        theta, state = carry
        found, gradient = jax.value_and_grad(value)(theta, rows)
        change, state = method.update(gradient, state, theta)
        return (optax.apply_updates(theta, change), state), found

    return update


@partial(jax.jit, static_argnames=("model", "rate"))
def fit(
    model: LanguageModel, params: Params, batches: Array, rate: float
) -> tuple[Params, Array]:
    """Maximum likelihood of whole texts: Adam, cosine decay to a tenth.

    Args:
      model: the language model.
      params: start of the run.
      batches: [steps, B, T] ids, all tokens but the first predicted.
      rate: peak learning rate.

    Returns:
      The parameters, and the [steps] cross-entropies in nats per token.
    """
    size, length = batches.shape[1:]
    start = jnp.ones(size, jnp.int32)

    def loss(params: Params, tokens: Array) -> Array:
        logps = response_logps(
            model, params, tokens, start, start * (length - 1), width=length - 1
        )
        return -jnp.mean(logps)

    return _descend(loss, params, batches, rate)


@partial(jax.jit, static_argnames=("model", "rate", "width"))
def fit_responses(
    model: LanguageModel,
    params: Params,
    data: PairArrays,
    order: Array,
    rate: float,
    *,
    width: int,
) -> tuple[Params, Array]:
    """The same for the chosen responses alone, given their prompts.

    Args:
      model: the language model.
      params: start of the run.
      data: N pairs, whose rejected responses are not read.
      order: [steps, B] row numbers.
      rate: peak learning rate.
      width: most tokens of a response.

    Returns:
      As `fit`.
    """

    def loss(params: Params, rows: Array) -> Array:
        some = data.take(rows)
        logps = response_logps(
            model, params, some.chosen, some.start, some.chosen_length, width=width,
            position_chunk=None,
        )  # fmt: skip
        return -jnp.sum(logps) / jnp.sum(some.chosen_length)

    return _descend(loss, params, order, rate)


def _descend(
    loss: Callable[[Params, Array], Array], params: Params, batches: Array, rate: float
) -> tuple[Params, Array]:
    """One Adam step per batch, with cosine decay; the parameters and [steps] losses."""
    schedule = optax.cosine_decay_schedule(rate, len(batches), alpha=0.1)
    optimiser = optax.adam(schedule)

    def update(carry, batch: Array):
        params, state = carry
        value, gradient = jax.value_and_grad(loss)(params, batch)
        change, state = optimiser.update(gradient, state, params)
        return (optax.apply_updates(params, change), state), value

    (params, _), values = jax.lax.scan(
        update, (params, optimiser.init(params)), batches
    )
    return params, values
