"""Continues prompts with a language model, greedily or by sampling.

Any `LanguageModel` will do. There is no cache of keys and values: each new token costs
one forward pass over its batch, which suits small models. Prompts of similar length are
batched together, and the padded width grows in stages while the texts grow, so that few
shapes are compiled and little padding is computed.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.errors import GradlabError
from gradlab.models.functional import LanguageModel
from gradlab.types import Array, Params

STAGE = 32  # new tokens between two growths of the padded width


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
    base = jax.random.key(0) if key is None else key
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    out: list[list[int]] = [[] for _ in prompts]
    for start in range(0, len(order), batch_size):
        places = order[start : start + batch_size]
        # The last batch is filled up with copies, so that it needs no shape of its own.
        rows = (places + places[:1] * batch_size)[:batch_size]
        keys = jax.vmap(partial(jax.random.fold_in, base))(jnp.asarray(rows))
        texts = _continue_batch(
            model,
            params,
            [list(prompts[i]) for i in rows],
            keys,
            max_new_tokens,
            -1 if eos_id is None else eos_id,
            temperature,
        )
        for place, text in zip(places, texts, strict=False):
            out[place] = text
    return out


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


def _continue_batch(
    model: LanguageModel,
    params: Params,
    rows: list[list[int]],
    keys: Array,
    max_new_tokens: int,
    eos_id: int,
    temperature: float,
) -> list[list[int]]:
    starts = np.array([len(row) for row in rows])
    lengths, done = jnp.asarray(starts), jnp.zeros(len(rows), bool)
    tokens = np.zeros((len(rows), 0), np.int32)
    for first in range(0, max_new_tokens, STAGE):
        steps = min(STAGE, max_new_tokens - first)
        width = int(starts.max()) + first + steps
        if model.config is None or width < model.config.max_length:
            width = -(-width // STAGE) * STAGE
        if model.config is not None:
            width = min(width, model.config.max_length)
        grown = np.zeros((len(rows), width), np.int32)
        if first == 0:
            for place, row in enumerate(rows):
                grown[place, : len(row)] = row
        else:
            grown[:, : tokens.shape[1]] = tokens
        tokens, lengths, done = _extend(
            model, params, grown, lengths, done, keys, eos_id, temperature, steps
        )
        if bool(done.all()):
            break
    ends = np.asarray(lengths)
    text = np.asarray(tokens)
    return [text[i, starts[i] : ends[i]].tolist() for i in range(len(rows))]


@partial(jax.jit, static_argnames="model")
def _extend(
    model: LanguageModel,
    params: Params,
    tokens: Array,
    lengths: Array,
    done: Array,
    keys: Array,
    eos_id: Array,
    temperature: Array,
    steps: Array,
) -> tuple[Array, Array, Array]:
    """Appends up to `steps` tokens to each row [B, T] that is not done."""
    rows = jnp.arange(tokens.shape[0])

    def unfinished(state):
        step, _, _, done = state
        return (step < steps) & ~done.all()

    def append(state):
        step, tokens, lengths, done = state
        logits = _last_logits(model, params, tokens, lengths)
        drawn = jax.vmap(jax.random.fold_in)(keys, lengths)
        heat = jnp.where(temperature > 0, temperature, 1.0)
        sample = jax.vmap(jax.random.categorical)(drawn, logits / heat)
        token = jnp.where(temperature > 0, sample, logits.argmax(-1))
        # A row that is done writes its old entry again; beyond the width it is dropped.
        token = jnp.where(done, tokens[rows, lengths], token).astype(tokens.dtype)
        tokens = tokens.at[rows, lengths].set(token, mode="drop")
        lengths = lengths + ~done
        return step + 1, tokens, lengths, done | (token == eos_id)

    state = (jnp.int32(0), tokens, lengths, done)
    _, tokens, lengths, done = jax.lax.while_loop(unfinished, append, state)
    return tokens, lengths, done


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
