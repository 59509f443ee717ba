"""Continues prompts with a language model, greedily or by sampling.

Models with a cache (every `Decoder`) keep the keys and values of earlier tokens, so
that a new token costs one column. Others run the whole text for each token.
"""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.data import TokenizedPair
from gradlab.errors import GradlabError
from gradlab.models.functional import LanguageModel
from gradlab.training.growth import Continuation as Continuation
from gradlab.training.growth import Job, with_cache, without_cache
from gradlab.training.sampling import sampler
from gradlab.types import Array, Params


def generate(
    model: LanguageModel,
    params: Params,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    eos_id: int | None = None,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    key: Array | None = None,
    seeds: Sequence[int] | None = None,
    batch_size: int = 64,
) -> list[list[int]]:
    """The ids of `continuations` alone, in the order of the prompts.

    Example:
      >>> from gradlab.models import DecoderConfig, build
      >>> config = DecoderConfig(vocab_size=9, width=8, layers=1, heads=2,
      ...                        ff_width=16, max_length=8)
      >>> model, params = build(config)
      >>> rows = generate(model, params, [[1, 2], [3]], max_new_tokens=4)
      >>> [len(row) for row in rows]
      [4, 4]
    """
    written = continuations(
        model,
        params,
        prompts,
        max_new_tokens=max_new_tokens,
        eos_id=eos_id,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        key=key,
        seeds=seeds,
        batch_size=batch_size,
    )
    return [text.ids for text in written]


def continuations(
    model: LanguageModel,
    params: Params,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    eos_id: int | None = None,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    key: Array | None = None,
    seeds: Sequence[int] | None = None,
    batch_size: int = 64,
) -> list[Continuation]:
    """Continues each prompt until EOS or `max_new_tokens`.

    Args:
      model: its `config`, where there is one, bounds the length.
      params: of the model.
      prompts: ids, BOS included where the model wants one; none may be empty.
      max_new_tokens: the most that a prompt is continued by.
      eos_id: ends a continuation; None: nothing does.
      temperature: 0 takes the most likely token; else logits are divided by it and a
        token is drawn.
      top_k: draw among the k most likely tokens; None: among all.
      top_p: draw from the smallest set of likely tokens (of those that `top_k` leaves)
        that has at least this probability; None: among all.
      key: a typed key from `jax.random.key`, needed where the temperature is not 0.
      seeds: one integer for each prompt; None: its place in `prompts`.
      batch_size: rows of a forward pass.

    Returns:
      The new tokens of each prompt and their log-probabilities.

    Raises:
      GradlabError: an empty prompt, a text longer than the model's context, settings
        that don't fit, or a temperature without key.

    Guarantees:
      A prompt's continuation depends on the key and its own seed, not on the batch size
      or its neighbours (up to rounding). A model with a cache and one without choose
      the same tokens (up to rounding).
    """
    chosen, heat = sampler(temperature, top_k, top_p)
    _check(model, prompts, max_new_tokens, batch_size)
    if not chosen.greedy and key is None:
        raise GradlabError(f"temperature={temperature}: expected 0, or a key as well")
    if seeds is not None and len(seeds) != len(prompts):
        raise GradlabError(f"seeds: {len(seeds)} of them for {len(prompts)} prompts")
    if not len(prompts):
        return []
    job = Job(
        model,
        params,
        [list(prompt) for prompt in prompts],
        max_new_tokens,
        -1 if eos_id is None else eos_id,
        chosen,
        heat,
        _row_keys(key, seeds, len(prompts)),
        batch_size,
    )
    cached = model.hidden_cached is not None and model.config is not None
    grown = with_cache(job) if cached else without_cache(job)
    return [text for _, text in sorted(grown, key=lambda found: found[0])]


def _check(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    batch_size: int,
) -> None:
    if max_new_tokens < 1 or batch_size < 1:
        raise GradlabError(
            f"max_new_tokens={max_new_tokens}, batch_size={batch_size}: expected both "
            "to be at least 1"
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


def _row_keys(key: Array | None, seeds: Sequence[int] | None, count: int) -> Array:
    key = jax.random.key(0) if key is None else key
    own = np.arange(count) if seeds is None else np.asarray(seeds)
    return jax.vmap(partial(jax.random.fold_in, key))(jnp.asarray(own, jnp.uint32))


def generator(
    model: LanguageModel,
    eos_id: int | None,
    *,
    max_new_tokens: int,
    seed: int,
    batch_size: int,
) -> Callable[[Params, Sequence[TokenizedPair], float], list[list[int]]]:
    """(params, rows, temperature) -> responses that fit the model's context."""

    def respond(
        params: Params, rows: Sequence[TokenizedPair], temperature: float
    ) -> list[list[int]]:
        longest = max(len(row.prompt) for row in rows)
        room = max_new_tokens
        if model.config is not None:
            room = min(room, model.config.max_length - longest)
        if room < 1:
            return [[] for _ in rows]
        return generate(
            model,
            params,
            [row.prompt for row in rows],
            max_new_tokens=room,
            eos_id=eos_id,
            temperature=temperature,
            key=jax.random.key(seed),
            batch_size=batch_size,
        )

    return respond
