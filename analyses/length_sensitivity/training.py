"""Runs on the length task, all seeds at once, and what the policies then write.

A run's strength and rate are traced, so that a loss compiles once; all seeds of a
setting are one batched program.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from analyses.common.arrays import PairArrays, pair_logps_fn, pair_stats
from analyses.length_sensitivity.config import Task
from analyses.length_sensitivity.losses import bound
from analyses.length_sensitivity.task import END, FIRST, PROMPT
from gradlab.losses import draw_kept
from gradlab.models import LanguageModel, response_logps
from gradlab.training.decoding import advance, begin
from gradlab.training.sampling import sampler
from gradlab.types import Array, PairLogps, Params

WPO, SAMPO = "chosen_logsumsq", "chosen_keep"


@partial(jax.jit, static_argnames=("model", "width"))
def scored(model: LanguageModel, params: Params, data: PairArrays, width: int):
    """[S, N] pairs as losses read them, policy = reference, for stacked seeds."""

    def one(params: Params, data: PairArrays) -> PairLogps:
        chosen, rejected = pair_logps_fn(model, width)(params, data)
        masks = data.mask(width)
        return PairLogps(
            chosen, rejected, masks[0], masks[1], ref_chosen=chosen,
            ref_rejected=rejected,
        )  # fmt: skip

    return jax.vmap(one)(params, data)


@partial(jax.jit, static_argnames=("model", "width", "loss"))
def train(
    model: LanguageModel,
    params: Params,
    data: PairArrays,
    pairs: PairLogps,
    order: Array,
    hyper: Mapping[str, Array],
    rate: Array,
    seeds: Array,
    *,
    loss: str,
    width: int,
) -> Params:
    """Adam on the mean loss, one run per seed.

    Args:
      model: the decoder.
      params: of the references, stacked over S seeds.
      data: [S, N] pairs.
      pairs: [S, N] their log-probabilities under the references.
      order: [S, steps, B] row numbers.
      hyper: hyperparameters, numbers.
      rate: learning rate.
      seeds: [S] of SamPO's draws.
      loss: label, see `losses.bound`.
      width: R of the pairs.

    Returns:
      The policies, stacked.
    """
    optimiser = optax.adam(rate)
    value = partial(mean_loss, model, hyper, loss=loss, width=width)

    def one(params: Params, data: PairArrays, pairs: PairLogps, order: Array, seed):
        draws = jax.random.fold_in(jax.random.key(34), seed)

        def update(carry, step):
            theta, state = carry
            rows, number = step
            some = jax.tree.map(lambda leaf: leaf[rows], (data, pairs))
            key = jax.random.fold_in(draws, number)
            slope = jax.grad(value)(theta, *some, key)
            change, state = optimiser.update(slope, state)
            return (optax.apply_updates(theta, change), state), None

        steps = (order, jnp.arange(len(order)))
        return jax.lax.scan(update, (params, optimiser.init(params)), steps)[0][0]

    return jax.vmap(one)(params, data, pairs, order, seeds)


def mean_loss(
    model: LanguageModel,
    hyper: Mapping[str, Array],
    params: Params,
    data: PairArrays,
    pairs: PairLogps,
    key: Array,
    *,
    loss: str,
    width: int,
) -> Array:
    """The mean loss of some pairs, with what WPO and SamPO need at every step anew.

    Args:
      model: the decoder.
      hyper: hyperparameters.
      params: of the policy.
      data: B pairs.
      pairs: their reference log-probabilities; the policy's own are replaced.
      key: of SamPO's draw.
      loss: label.
      width: R.
    """
    settings = bound(loss)
    chosen, rejected = pair_logps_fn(model, width)(params, data)
    given = replace(pairs, chosen=chosen, rejected=rejected)
    if settings.hyper.get("shared_indices") is False:
        return bound(loss, **hyper, key=key)(given).mean()
    if WPO in settings.needs_fields:
        squares = jax.lax.stop_gradient(pair_stats(model, params, data, width)[1])
        given = replace(given, chosen_logsumsq=squares[0], rejected_logsumsq=squares[1])
    if SAMPO in settings.needs_fields:
        kept = draw_kept(given, key)
        given = replace(given, chosen_keep=kept.chosen, rejected_keep=kept.rejected)
    return bound(loss, **hyper)(given).mean()


def sample(
    model: LanguageModel, params: Params, task: Task, seed: int
) -> tuple[Array, Array, Array]:
    """Responses at temperature 1, equally many to each prompt, prompt by prompt.

    Returns:
      Texts [n, PROMPT + limit], lengths [n] with the end token, and whether each ended.
    """
    each = task.samples // task.symbols
    symbols = jnp.repeat(FIRST + jnp.arange(task.symbols), each)
    prompts = jnp.stack([jnp.zeros_like(symbols), symbols], -1).astype(jnp.int32)
    count = len(symbols)
    keys = jax.vmap(partial(jax.random.fold_in, jax.random.key(seed)))(
        jnp.arange(count, dtype=jnp.uint32)
    )
    drawing, heat = sampler(1.0, None, None)
    end = jnp.int32(END)
    grown = begin(
        model, params, prompts, jnp.full(count, PROMPT, jnp.int32), keys, end, heat,
        sampler=drawing, count=task.limit,
    )  # fmt: skip
    grown = advance(
        model, params, grown, jnp.int32(task.limit), end, heat, sampler=drawing
    )
    return jnp.concatenate([prompts, grown.tokens], 1), grown.made, grown.done


@partial(jax.jit, static_argnames=("model",))
def divergence(
    model: LanguageModel, params: Params, ref: Params, texts: Array, made: Array
) -> tuple[Array, Array]:
    """Of each response: log pi / pi_ref, and the sum of the exact KL of its tokens.

    Both have the sequence KL as their mean over samples; the second varies less.
    """
    logps, others = (jax.nn.log_softmax(model.apply(p, texts)) for p in (params, ref))
    logps, others = (x[:, PROMPT - 1 : -1] for x in (logps, others))
    ids = texts[:, PROMPT:, None]
    inside = jnp.arange(ids.shape[1]) < made[:, None]
    ratio = jnp.take_along_axis(logps - others, ids, axis=-1)[..., 0]
    exact = (jnp.exp(logps) * (logps - others)).sum(-1)
    return jnp.where(inside, ratio, 0).sum(1), jnp.where(inside, exact, 0).sum(1)


def qualities(texts: np.ndarray, made: np.ndarray, done: np.ndarray):
    """Share of matching symbols and number of symbols of each response, [n]."""
    counts = made - done
    inside = np.arange(texts.shape[1] - PROMPT) < counts[:, None]
    match = (texts[:, PROMPT:] == texts[:, 1:PROMPT]) & inside
    return match.sum(1) / np.maximum(counts, 1), counts


@partial(jax.jit, static_argnames=("model", "width"))
def pair_sums(
    model: LanguageModel, params: Params, data: PairArrays, width: int
) -> Array:
    """[2, N] summed log-probability of both sides, nats."""
    tokens = jnp.concatenate([data.chosen, data.rejected])
    starts = jnp.concatenate([data.start, data.start])
    lengths = jnp.concatenate([data.chosen_length, data.rejected_length])
    logps = response_logps(model, params, tokens, starts, lengths, width=width)
    return logps.sum(1).reshape(2, -1)
