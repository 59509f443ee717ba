"""A tiny model and rows of data that the tests of this folder share."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.data import TokenizedPair
from gradlab.models import DecoderConfig, build, load_model
from gradlab.tables import read_table
from gradlab.training.metriclog import read_metrics

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


# Adam's first steps are signs, also of gradients that are rounding alone: with a larger
# epsilon the numbers of two runs can be compared to 1e-5.
SMOOTH = ["--optimiser.eps", "1e-3"]


def same_run(one, other):
    """The same metrics, probes of every token and parameters, all to 1e-5.

    Sums over the tokens of a response are compared relative to their size.
    """
    lines = [read_metrics(folder / "metrics.jsonl") for folder in (one, other)]
    for here, there in zip(*lines, strict=True):
        assert here["loss"] == pytest.approx(there["loss"], abs=1e-5)
        size = max(1, *(abs(v) for k, v in there.items() if k.startswith("logps_sum")))
        far = {
            name: (here[name], value)
            for name, value in there.items()
            if abs(here[name] - value) > 1e-5 * size
        }
        if abs(there.get("rewards/margins", 1)) < 1e-6:
            # Policy and reference agree: which pairs count as won is rounding.
            far.pop("rewards/accuracies", None)
        assert not far, far
    here, there = (read_table(f / "probe_tokens.parquet") for f in (one, other))
    assert list(here.columns) == list(there.columns)
    for name in here.columns:
        if here[name].dtype.kind == "f":
            np.testing.assert_allclose(
                here[name], there[name], rtol=0, atol=1e-5, err_msg=name
            )
        else:
            assert here[name].equals(there[name])
    leaves = [jax.tree.leaves(load_model(f / "model")[1]) for f in (one, other)]
    for x, y in zip(*leaves, strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=1e-5)
