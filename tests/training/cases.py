"""A tiny model and rows of data that the tests of this folder share."""

import jax
import numpy as np
import pytest

from gradlab.data import TokenizedPair
from gradlab.models import DecoderConfig, build
from gradlab.tables import read_table
from gradlab.training.metriclog import read_metrics

CONFIG = DecoderConfig(
    vocab_size=29, width=16, layers=1, heads=2, ff_width=24, max_length=40
)


def tiny(seed: int = 0):
    """A model with parameters far enough from 0 that probabilities differ."""
    model, params = build(CONFIG, seed=seed)
    return model, jax.tree.map(lambda leaf: 2 * leaf, params)


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


def same_tables(one, other):
    """The same metrics and probe tables, up to rounding."""
    for here, there in zip(*(read_metrics(f / "metrics.jsonl") for f in (one, other)),
                           strict=True):  # fmt: skip
        assert here == pytest.approx(there, abs=1e-5, rel=1e-5)
    here, there = (read_table(f / "probe_tokens.parquet") for f in (one, other))
    assert list(here.columns) == list(there.columns)
    for name in here.columns:
        if here[name].dtype.kind == "f":
            np.testing.assert_allclose(here[name], there[name], atol=1e-5, err_msg=name)
        else:
            assert here[name].equals(there[name])
