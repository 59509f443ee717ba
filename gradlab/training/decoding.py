"""The compiled part of generation: rows of token ids grow until EOS or a limit.

`begin` and `advance` keep keys and values; `grow_uncached` runs the whole text for each
new token and serves models that have no cache. Both choose the same tokens.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gradlab.models.attention import wide
from gradlab.models.cache import empty_cache, extend_cache
from gradlab.models.functional import Cache, LanguageModel
from gradlab.training.sampling import Heat, Sampler, choose
from gradlab.types import Array, Params


class Progress(NamedTuple):
    """Rows that grow together; every leaf but `step` has the rows on its first axis.

    Attributes:
      cache: keys and values of all tokens but the newest.
      lengths: [B] tokens of each prompt.
      keys: [B] one random key for each row.
      tokens: [B, N] new ids; those from `made` on are meaningless.
      logps: [B, N] their log-probabilities under the model, in nats.
      made: [B] new tokens of each row, EOS included.
      done: [B] EOS was met.
      step: how many tokens the rows that are not done have.
    """

    cache: Cache
    lengths: Array
    keys: Array
    tokens: Array
    logps: Array
    made: Array
    done: Array
    step: Array


@partial(jax.jit, static_argnames=("model", "sampler", "count"))
def begin(
    model: LanguageModel,
    params: Params,
    prompts: Array,
    lengths: Array,
    keys: Array,
    eos_id: Array,
    heat: Heat,
    *,
    sampler: Sampler,
    count: int,
) -> Progress:
    """Runs prompts [B, P], padded on the right, and chooses the first new token.

    `count` is N, the most tokens that a row may get.
    """
    rows, prompt = prompts.shape
    assert model.head is not None
    dtype = jax.eval_shape(model.head, params).dtype
    cache = empty_cache(model, rows, prompt + count, dtype)
    hidden, cache = extend_cache(
        model, params, prompts, cache, lengths=lengths, prompt=prompt, column=0
    )
    start = Progress(
        cache=cache,
        lengths=lengths,
        keys=keys,
        tokens=jnp.zeros((rows, count), jnp.int32),
        logps=jnp.zeros((rows, count), wide(dtype)),
        made=jnp.zeros(rows, jnp.int32),
        done=jnp.zeros(rows, bool),
        step=jnp.int32(0),
    )
    last = hidden[jnp.arange(rows), lengths - 1]
    return _append(model, params, sampler, heat, eos_id, start, last)


@partial(jax.jit, static_argnames=("model", "sampler"), donate_argnames="progress")
def advance(
    model: LanguageModel,
    params: Params,
    progress: Progress,
    stop: Array,
    eos_id: Array,
    heat: Heat,
    *,
    sampler: Sampler,
) -> Progress:
    """Adds tokens until each row has `stop` of them or is done."""
    prompt = progress.cache[0][0].shape[1] - progress.tokens.shape[1]

    def unfinished(progress: Progress) -> Array:
        return (progress.step < stop) & ~progress.done.all()

    def add(progress: Progress) -> Progress:
        newest = progress.step - 1
        token = jax.lax.dynamic_slice_in_dim(progress.tokens, newest, 1, axis=1)
        hidden, cache = extend_cache(
            model,
            params,
            token,
            progress.cache,
            lengths=progress.lengths,
            prompt=prompt,
            column=prompt + newest,
        )
        progress = progress._replace(cache=cache)
        return _append(model, params, sampler, heat, eos_id, progress, hidden[:, 0])

    return jax.lax.while_loop(unfinished, add, progress)


def _append(
    model: LanguageModel,
    params: Params,
    sampler: Sampler,
    heat: Heat,
    eos_id: Array,
    progress: Progress,
    hidden: Array,
) -> Progress:
    """Chooses the token that hidden states [B, D] predict, for every row."""
    position = progress.lengths + progress.step
    logits = _logits(model, params, hidden)
    token, logp = _chosen(sampler, heat, logits, progress.keys, position)

    def put(column: Array, table: Array) -> Array:
        return jax.lax.dynamic_update_slice_in_dim(
            table, column[:, None], progress.step, axis=1
        )

    return progress._replace(
        tokens=put(token, progress.tokens),
        logps=put(logp, progress.logps),
        made=progress.made + ~progress.done,
        done=progress.done | (token == eos_id),
        step=progress.step + 1,
    )


def _chosen(
    sampler: Sampler, heat: Heat, logits: Array, keys: Array, position: Array
) -> tuple[Array, Array]:
    """The token at `position` [B] of each row, and its log-probability."""
    drawn = jax.vmap(jax.random.fold_in)(keys, position)
    token = choose(sampler, heat, logits, drawn)
    logps = jax.nn.log_softmax(logits)
    return token, jnp.take_along_axis(logps, token[:, None], axis=1)[:, 0]


def _logits(model: LanguageModel, params: Params, hidden: Array) -> Array:
    """[B, D] -> [B, V] in float32, or in float64 if that is given."""
    assert model.head is not None
    return jnp.matmul(
        hidden, model.head(params), preferred_element_type=wide(hidden.dtype)
    )


@partial(jax.jit, static_argnames=("model", "sampler"))
def grow_uncached(
    model: LanguageModel,
    params: Params,
    tokens: Array,
    lengths: Array,
    limits: Array,
    keys: Array,
    eos_id: Array,
    heat: Heat,
    *,
    sampler: Sampler,
) -> tuple[Array, Array, Array]:
    """Appends tokens to each row of [B, T] until EOS or its limit [B].

    Returns:
      Tokens, the log-probabilities of the new ones [B, T] in the same places, and
      lengths [B].
    """
    rows = jnp.arange(tokens.shape[0])
    dtype = jax.eval_shape(lambda: _last_logits(model, params, tokens, lengths)).dtype

    def unfinished(state):
        return ~state[-1].all()

    def append(state):
        tokens, logps, lengths, done = state
        logits = _last_logits(model, params, tokens, lengths)
        token, logp = _chosen(sampler, heat, logits, keys, lengths)
        # A row that is done writes beyond the width, where writes are dropped.
        places = jnp.where(done, tokens.shape[1], lengths)
        tokens = tokens.at[rows, places].set(token, mode="drop")
        logps = logps.at[rows, places].set(logp, mode="drop")
        lengths = lengths + ~done
        return tokens, logps, lengths, done | (token == eos_id) | (lengths >= limits)

    logps = jnp.zeros(tokens.shape, dtype)
    state = (tokens, logps, lengths, lengths >= limits)
    return jax.lax.while_loop(unfinished, append, state)[:3]


def _last_logits(
    model: LanguageModel, params: Params, tokens: Array, lengths: Array
) -> Array:
    """[B, V] logits at the last token of each row, at least float32."""
    rows, last = jnp.arange(tokens.shape[0]), lengths - 1
    if model.hidden is None or model.head is None:
        logits = model.apply(params, tokens)[rows, last]
        return logits.astype(wide(logits.dtype))
    return _logits(model, params, model.hidden(params, tokens)[rows, last])
