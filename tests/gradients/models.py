"""Small models with pairs of token sequences, as the gradient functions take them."""

from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.models.functional import LanguageModel, build
from gradlab.models.logps import response_logps
from gradlab.types import PairLogps
from tests.models.cases import CONFIGS, LLAMA, lively

# B, T, T' differ pairwise, so that a mixed-up axis can't go unnoticed.
B, T_CHOSEN, T_REJECTED = 3, 5, 6
SIDES = ("chosen", "rejected")
SMALL = replace(LLAMA, layers=1)
VOCAB = SMALL.vocab_size


@dataclass(frozen=True)
class Case:
    """A model, its parameters, and a batch of pairs."""

    model: LanguageModel
    params: Any
    data: dict[str, Any]
    pairs: PairLogps
    widths: tuple[int, int]

    def batch_logps(self, params, data):
        """(params, data of b pairs) -> (chosen, rejected) log-probs."""
        return tuple(
            response_logps(self.model, params, *data[side], width=width)
            for side, width in zip(SIDES, self.widths, strict=True)
        )

    @property
    def logps_fn(self):
        """params -> (chosen, rejected) log-probs of the whole batch."""
        return partial(lambda case, params: case.batch_logps(params, case.data), self)


def toy_logits(params, tokens):
    """A causal mean, a hidden layer and a tied head: compiles in no time."""
    table = params["embed"]["embedding"]
    x = jnp.take(table, tokens, axis=0, mode="clip")
    seen = jnp.arange(1, x.shape[1] + 1)[:, None]
    mixed = jnp.tanh((jnp.cumsum(x, axis=1) / seen) @ params["layers"]["0"]["mlp"])
    return (x + mixed) * params["norm"] @ table.T


@lru_cache
def _model(config):
    if config == "toy":
        shapes = {"embed": {"embedding": (VOCAB, 8)}, "norm": (8,)}
        shapes["layers"] = {"0": {"mlp": (8, 8)}}
        zeros = jax.tree.map(np.zeros, shapes, is_leaf=lambda x: isinstance(x, tuple))
        return LanguageModel(apply=toy_logits), jax.tree.map(lambda x: x + 0.2, zeros)
    return build(SMALL if config == "small" else CONFIGS[config])


def make_case(
    config="toy", *, batch=B, dtype=jnp.float64, seed=0, pad=0, prompt=3, widths=None
) -> Case:
    """Random prompts and ragged responses under a small model; `pad` widens rows."""
    model, params = _model(config)
    params = lively(params, dtype=dtype)
    rng = np.random.default_rng(seed)
    widths = widths or (T_CHOSEN, T_REJECTED)
    lengths = [rng.integers(2, w + 1, batch) for w in widths]
    data, fields = {}, {}
    for side, width, length in zip(SIDES, widths, lengths, strict=True):
        tokens = rng.integers(VOCAB, size=(batch, prompt + width))
        ref = -rng.exponential(1.0, (batch, width)) - 1.0
        tokens = np.pad(tokens, [(0, 0), (0, pad)], constant_values=1)
        ref = np.pad(ref, [(0, 0), (0, pad)])
        start = np.full(batch, prompt, np.int32)
        data[side] = (jnp.asarray(tokens, jnp.int32), start, length.astype(np.int32))
        mask = np.arange(width + pad) < length[:, None]
        fields[side] = jnp.zeros(mask.shape, dtype)
        fields[f"{side}_mask"] = jnp.asarray(mask, dtype)
        fields[f"ref_{side}"] = jnp.asarray(ref, dtype)
        fields[f"{side}_logsumsq"] = jnp.full(mask.shape, -1.0, dtype)
        fields[f"{side}_keep"] = fields[f"{side}_mask"]
    data = jax.tree.map(jnp.asarray, data)
    padded = (widths[0] + pad, widths[1] + pad)
    return Case(model, params, data, PairLogps(**fields), padded)


def take(case: Case, index) -> Case:
    """The case with its pairs reordered or selected."""
    index = jnp.asarray(index)
    data, pairs = jax.tree.map(lambda leaf: leaf[index], (case.data, case.pairs))
    return Case(case.model, case.params, data, pairs, case.widths)


def flat(tree) -> np.ndarray:
    """All leaves in one vector."""
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def random_like(tree, seed=0):
    """A random direction."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), x.dtype), tree)
