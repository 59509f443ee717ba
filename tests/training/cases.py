"""A tiny model and rows of data that the tests of this folder share."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.data import TokenizedPair
from gradlab.models import DecoderConfig, build

CONFIG = DecoderConfig(
    vocab_size=29, width=16, layers=1, heads=2, ff_width=24, max_length=40
)


def tiny(seed: int = 0):
    """A model with parameters far enough from 0 that probabilities differ."""
    model, params = _tiny(seed)
    return model, jax.tree.map(jnp.array, params)  # a step may take over its memory


@cache
def _tiny(seed: int):
    with jax.enable_x64(False):
        model, params = build(CONFIG, seed=seed)
    return model, jax.tree.map(lambda leaf: 2 * np.asarray(leaf), params)


def rows(count: int, seed: int = 0, demonstrations: bool = False):
    """Rows of random ids; prompts and responses of many lengths."""
    rng = np.random.default_rng(seed)

    def ids(low: int, high: int) -> list[int]:
        return rng.integers(3, CONFIG.vocab_size, rng.integers(low, high)).tolist()

    return [
        TokenizedPair(
            row=number + 1,
            prompt=ids(1, 9),
            chosen=ids(1, 12),
            rejected=[] if demonstrations else ids(1, 12),
        )
        for number in range(count)
    ]


def references(pairs, sides: int, seed: int = 5):
    """Random reference log-probabilities, by row and side, long enough to be cut."""
    rng = np.random.default_rng(seed)
    lengths = [(len(p.chosen), len(p.rejected)) for p in pairs]
    lengths = [(*pair, max(*pair, 1))[:sides] for pair in lengths]
    return [[-rng.random(n).astype(np.float32) * 3 for n in row] for row in lengths]
