"""Continues prompts with a language model, greedily or by sampling.

Any `LanguageModel` will do. There is no cache of keys and values: each new token costs
one forward pass over its batch, which suits small models. Texts grow in stages; at each
stage those that have not ended are batched anew by length, so that little padding and
no finished text is computed, in few compiled shapes.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.errors import GradlabError
from gradlab.models.functional import LanguageModel
from gradlab.types import Array, Params

STAGE = 16  # new tokens between two groupings; widths are multiples of it


def generate(
    model: LanguageModel,
    params: Params,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    eos_id: int | None = None,
    temperature: float = 0.0,
    key: Array | None = None,
    batch_size: int = 64,
) -> list[list[int]]:
    """Continues each prompt until EOS or `max_new_tokens`.

    Args:
      model: its `config`, where there is one, bounds the length.
      params: of the model.
      prompts: ids, BOS included where the model wants one; none may be empty.
      max_new_tokens: the most that a prompt is continued by.
      eos_id: ends a continuation; None: nothing does.
      temperature: 0 takes the most likely token; else logits are divided by it and a
        token is drawn.
      key: a typed key from `jax.random.key`, needed where the temperature is not 0.
      batch_size: rows of a forward pass.

    Returns:
      The new ids of each prompt, in the order of the prompts; the last one is `eos_id`
      where the model ended the text itself.

    Raises:
      GradlabError: an empty prompt, a text longer than the model's context, or a
        temperature without key.

    Guarantees:
      A prompt's continuation depends on the key and its place in `prompts`, not on the
      batch size or its neighbours (up to rounding).
    """
    _check(model, prompts, max_new_tokens, temperature, key, batch_size)
    key = jax.random.key(0) if key is None else key
    texts = [list(prompt) for prompt in prompts]
    ends = [len(text) + max_new_tokens for text in texts]
    active = list(range(len(texts)))
    while active:
        active.sort(key=lambda place: len(texts[place]))
        for start in range(0, len(active), batch_size):
            places = active[start : start + batch_size]
            # A short batch is filled up with copies: it needs no shape of its own.
            places = (places + places[:1] * batch_size)[:batch_size]
            keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.asarray(places))
            grown = _grow(
                model,
                params,
                [texts[place] for place in places],
                [ends[place] for place in places],
                keys,
                -1 if eos_id is None else eos_id,
                temperature,
            )
            for place, text in zip(places, grown, strict=True):
                texts[place] = text
        active = [
            place
            for place in active
            if texts[place][-1] != eos_id and len(texts[place]) < ends[place]
        ]
    return [text[len(prompts[place]) :] for place, text in enumerate(texts)]


def _check(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    temperature: float,
    key: Array | None,
    batch_size: int,
) -> None:
    if max_new_tokens < 1 or batch_size < 1:
        raise GradlabError(
            f"max_new_tokens={max_new_tokens}, batch_size={batch_size}: expected both "
            "to be at least 1"
        )
    if temperature < 0 or (temperature > 0 and key is None):
        raise GradlabError(
            f"temperature={temperature}: expected 0, or a positive number and a key"
        )
    for place, prompt in enumerate(prompts):
        if not len(prompt):
            raise GradlabError(f"prompts[{place}]: empty, expected at least one token")
        longest = len(prompt) + max_new_tokens
        if model.config is not None and longest > model.config.max_length:
            raise GradlabError(
                f"prompts[{place}]: {len(prompt)} tokens and {max_new_tokens} new ones "
                f"exceed the model's max_length of {model.config.max_length}"
            )


def _grow(
    model: LanguageModel,
    params: Params,
    rows: list[list[int]],
    ends: list[int],
    keys: Array,
    eos_id: int,
    temperature: float,
) -> list[list[int]]:
    """Each row longer by `STAGE` tokens, or up to EOS or its end."""
    lengths = np.array([len(row) for row in rows], np.int32)
    width = -(-(int(lengths.max()) + STAGE) // STAGE) * STAGE
    if model.config is not None:
        width = min(width, model.config.max_length)
    tokens = np.zeros((len(rows), width), np.int32)
    for place, row in enumerate(rows):
        tokens[place, : len(row)] = row
    limits = np.minimum(np.array(ends, np.int32), lengths + STAGE)
    tokens, lengths = jax.device_get(
        _extend(model, params, tokens, lengths, limits, keys, eos_id, temperature)
    )
    return [row[:length].tolist() for row, length in zip(tokens, lengths, strict=True)]


@partial(jax.jit, static_argnames="model")
def _extend(
    model: LanguageModel,
    params: Params,
    tokens: Array,
    lengths: Array,
    limits: Array,
    keys: Array,
    eos_id: Array,
    temperature: Array,
) -> tuple[Array, Array]:
    """Appends tokens to each row of [B, T] until EOS or its limit [B]."""
    rows = jnp.arange(tokens.shape[0])

    def unfinished(state):
        return ~state[2].all()

    def append(state):
        tokens, lengths, done = state
        logits = _last_logits(model, params, tokens, lengths)
        drawn = jax.vmap(jax.random.fold_in)(keys, lengths)
        heat = jnp.where(temperature > 0, temperature, 1.0)
        sample = jax.vmap(jax.random.categorical)(drawn, logits / heat)
        token = jnp.where(temperature > 0, sample, logits.argmax(-1))
        # A row that is done writes beyond the width, where writes are dropped.
        places = jnp.where(done, tokens.shape[1], lengths)
        tokens = tokens.at[rows, places].set(token.astype(tokens.dtype), mode="drop")
        lengths = lengths + ~done
        return tokens, lengths, done | (token == eos_id) | (lengths >= limits)

    state = (tokens, lengths, lengths >= limits)
    tokens, lengths, _ = jax.lax.while_loop(unfinished, append, state)
    return tokens, lengths


def _last_logits(
    model: LanguageModel, params: Params, tokens: Array, lengths: Array
) -> Array:
    """[B, V] float32 logits at the last token of each row."""
    rows, last = jnp.arange(tokens.shape[0]), lengths - 1
    if model.hidden is None or model.head is None:
        return model.apply(params, tokens)[rows, last].astype(jnp.float32)
    hidden = model.hidden(params, tokens)[rows, last]
    return jnp.matmul(
        hidden, model.head(params), preferred_element_type=jnp.float32
    ).astype(jnp.float32)
