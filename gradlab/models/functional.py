"""The decoder as pure functions of a plain dict: the only file where nnx meets gradlab.

Everything else sees `LanguageModel` and nested dicts of arrays, and uses the transforms
of `jax` alone. Parameters are differentiated as the dict, in which a tied embedding is
one leaf; so its gradient is the sum of both uses.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from gradlab.models.config import DecoderConfig
from gradlab.models.decoder import Decoder, LayerCache
from gradlab.models.layout import Layout, packed
from gradlab.types import ApplyFn, Array, Params

Cache = list[LayerCache]


@dataclass(frozen=True)
class LanguageModel:
    """Pure functions of (params, tokens); the parameters live outside.

    A model from elsewhere needs `apply` alone: `LanguageModel(apply=my_function)`.
    With `hidden` and `head` the token statistics never hold [B, T, V].

    Attributes:
      apply: (params, tokens [B, T]) -> logits [B, T, V]; logits at t predict t + 1.
      hidden: (params, tokens [B, T]) -> [B, T, D], or None.
      head: params -> [D, V] with logits = hidden @ head, or None.
      config: the shape of the model, where it is a `Decoder`.
      hidden_packed: (params, tokens, positions, branches, each [B, T]) -> [B, T, D] for
        rows of texts that share their beginnings (`gradlab.models.layout.packed`).
      hidden_cached: (params, tokens [B, n], layout, cache, column) -> ([B, n, D],
        the grown cache) for tokens behind others (`gradlab.models.layout.cached`).
    """

    apply: ApplyFn
    hidden: Callable[[Params, Array], Array] | None = None
    head: Callable[[Params], Array] | None = None
    config: DecoderConfig | None = None
    hidden_packed: Callable[[Params, Array, Array, Array], Array] | None = None
    hidden_cached: (
        Callable[[Params, Array, Layout, Cache, Array], tuple[Array, Cache]] | None
    ) = None


def build(
    config: DecoderConfig, *, seed: int = 0, dtype: Any = jnp.float32
) -> tuple[LanguageModel, Params]:
    """A decoder and freshly initialised parameters.

    Args:
      config: the shape of the model.
      seed: of the initial weights; equal seeds give equal weights.
      dtype: of the parameters, hence of the activations.

    Returns:
      (model, params): params is a nested dict with string keys, `layers/0/...`.

    Example:
      >>> config = DecoderConfig(vocab_size=9, width=8, layers=1, heads=2,
      ...                        ff_width=16, max_length=4)
      >>> model, params = build(config)
      >>> model.apply(params, jnp.zeros((1, 3), jnp.int32)).shape
      (1, 3, 9)
    """
    params = _initial(config, jax.random.key(seed))
    return language_model(config), jax.tree.map(lambda leaf: leaf.astype(dtype), params)


def language_model(
    config: DecoderConfig, *, scan: bool = False, remat: bool = False
) -> LanguageModel:
    """The pure functions of a decoder of this shape.

    Args:
      config: the shape.
      scan: compile one layer and repeat it (`jax.lax.scan`); parameters keep their
        layout `layers/0/...` and are stacked inside. Deep models compile faster.
      remat: compute each layer again in the backward pass instead of keeping what it
        computed: less memory, one more forward pass.

    Guarantees:
      Equal arguments give the identical object, so that a jitted function which takes
      the model as a static argument is not compiled again. Values and gradients don't
      depend on `scan` and `remat`, up to rounding.
    """
    return _language_model(config, scan, remat)


@lru_cache(maxsize=64)
def _language_model(config: DecoderConfig, scan: bool, remat: bool) -> LanguageModel:
    def shape() -> Decoder:
        return Decoder(config, rngs=nnx.Rngs(0), scan=scan, remat=remat)

    graph = nnx.graphdef(nnx.eval_shape(shape))

    def module(params: Params) -> Decoder:
        return nnx.merge(graph, _integer_keys(params))

    return LanguageModel(
        apply=lambda params, tokens: module(params)(tokens),
        hidden=lambda params, tokens: module(params).hidden(tokens),
        head=lambda params: module(params).head(),
        config=config,
        hidden_packed=lambda params, tokens, positions, branches: module(params).hidden(
            tokens, packed(positions, branches)
        ),
        hidden_cached=lambda params, *rest: module(params).extend(*rest),
    )


def param_shapes(config: DecoderConfig) -> Params:
    """The nested dict of `build`, with shapes in place of arrays; allocates nothing."""
    return jax.eval_shape(lambda: _initial(config, jax.random.key(0)))


def _initial(config: DecoderConfig, key: Array) -> Params:
    state = nnx.state(Decoder(config, rngs=nnx.Rngs(key)), nnx.Param)
    return _string_keys(nnx.to_pure_dict(state))


def _string_keys(tree: Any) -> Any:
    """Layer numbers become strings: plain keys for files, tables and jax.tree."""
    if not isinstance(tree, dict):
        return tree
    return {str(key): _string_keys(value) for key, value in tree.items()}


def _integer_keys(tree: Any) -> Any:
    """The inverse of `_string_keys`, as nnx.merge wants it."""
    if not isinstance(tree, dict):
        return tree
    return {
        int(key) if key.isdigit() else key: _integer_keys(value)
        for key, value in tree.items()
    }
