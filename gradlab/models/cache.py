"""The keys and values of earlier tokens, kept so that a new token costs one column.

A row's prompt fills the first columns, padded on the right; generated tokens follow at
the same columns in all rows. `gradlab.models.layout.cached` hides the padding.
"""

from typing import Any

import jax.numpy as jnp

from gradlab.errors import GradlabError
from gradlab.models.functional import Cache, LanguageModel
from gradlab.models.layout import cached
from gradlab.types import Array, Params


def empty_cache(model: LanguageModel, rows: int, columns: int, dtype: Any) -> Cache:
    """Zeros for `rows` texts of at most `columns` tokens, padding included.

    Raises:
      GradlabError: the model has no cache.
    """
    if model.hidden_cached is None or model.config is None:
        raise GradlabError("model: it has no hidden_cached; expected a gradlab Decoder")
    config = model.config
    shape = (rows, columns, config.key_value_heads, config.head_width)
    return [
        (jnp.zeros(shape, dtype), jnp.zeros(shape, dtype)) for _ in range(config.layers)
    ]


def extend_cache(
    model: LanguageModel,
    params: Params,
    tokens: Array,
    cache: Cache,
    *,
    lengths: Array,
    prompt: int,
    column: Any,
) -> tuple[Array, Cache]:
    """Runs new tokens behind those in the cache.

    Args:
      model: a gradlab Decoder.
      params: of the model.
      tokens: [B, n]; all prompts at once (column 0, n = `prompt`), or new ones.
      cache: from `empty_cache` or from here.
      lengths: [B] tokens of each prompt, the rest up to `prompt` being padding.
      prompt: columns set aside for prompts.
      column: where the first of the new tokens goes.

    Returns:
      Hidden states [B, n, D] and the cache with the new tokens in it.

    Guarantees:
      Hidden states equal those of the whole text in one pass, up to rounding.
    """
    assert model.hidden_cached is not None
    layout = cached(lengths, prompt, column, tokens.shape[1], cache[0][0].shape[1])
    return model.hidden_cached(params, tokens, layout, cache, column)
