"""Whole runs that must not differ: parts, packing, the cache, and the same twice."""

import json
from dataclasses import fields

import jax
import numpy as np
import pytest

from gradlab.cli import main
from gradlab.data import load_tokenizer
from gradlab.models import load_model, save_model
from gradlab.training.checkpoint import Checkpoints
from gradlab.training.config import OptimiserSettings
from gradlab.training.metriclog import read_metrics
from gradlab.training.optimisers import make_optimiser
from gradlab.training.step import TrainState

WRITTEN = ("metrics.jsonl", "model/model.safetensors", "model/tokenizer.json")
STEPS = 8


@pytest.fixture(scope="module")
def trained(place, tmp_path_factory):
    """A function: name, settings -> the folder of a run of `STEPS` steps."""
    folder = tmp_path_factory.mktemp("equal")

    def run(name, *more):
        out = folder / name
        settings = ["--steps", str(STEPS), "--checkpoint.every", "0", *more]
        assert main(place.arguments(out, *settings)) == 0
        return out

    return run


@pytest.fixture(scope="module")
def plain(trained):
    return trained("plain")


def same_bytes(one, other):
    for name in WRITTEN:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def close(one, other, atol):
    """Metrics of every step and final weights, up to rounding."""
    logs = [read_metrics(folder / "metrics.jsonl") for folder in (one, other)]
    assert [len(log) for log in logs] == [STEPS, STEPS]
    for a, b in zip(*logs, strict=True):
        assert a.keys() == b.keys()
        # Which of two equal rewards is larger is rounding, as long as they are equal.
        names = [n for n in a if n != "rewards/accuracies"]
        np.testing.assert_allclose(
            [a[n] for n in names], [b[n] for n in names], rtol=1e-4, atol=atol
        )
    weights = [load_model(folder / "model")[1] for folder in (one, other)]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=atol), *weights
    )


def test_the_same_run_twice_gives_the_same_bytes(plain, trained):
    again = trained("again")
    same_bytes(plain, again)


@pytest.mark.slow
@pytest.mark.parametrize("packing", ["packing", "no-packing"])
def test_a_batch_in_parts_is_the_batch(plain, trained, packing):
    whole = plain if packing == "packing" else trained("whole", "--data.no-packing")
    parts = trained(
        f"parts-{packing}", "--data.micro-batches", "4", f"--data.{packing}"
    )
    close(whole, parts, 1e-4)


@pytest.mark.slow
def test_packed_rows_are_separate_rows(trained):
    # The order follows the lengths, which differ; without shuffling it is that of
    # the data.
    packed = trained("packed", "--data.no-shuffle")
    separate = trained("separate", "--data.no-shuffle", "--data.no-packing")
    close(packed, separate, 1e-4)
    saved = json.loads((separate / "config.json").read_text())
    assert saved["data"]["packing"] is False


def test_a_cached_reference_changes_nothing(plain, trained, tmp_path, capsys):
    cache = ["--reference.cache", str(tmp_path / "cache")]
    first = trained("first", *cache)
    assert "computed and stored" in capsys.readouterr().err
    second = trained("second", *cache)
    assert " read from " in capsys.readouterr().err
    same_bytes(first, second)
    same_bytes(plain, first)
    # Another model is another entry.
    trained("fresh", *cache, "--model.fresh", "--seed", "3")
    assert "computed and stored" in capsys.readouterr().err
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_the_written_model_is_the_trained_one(plain, place, tmp_path):
    model, params = load_model(plain / "model")
    optimiser = make_optimiser(OptimiserSettings(), STEPS)
    state = TrainState.start(params, optimiser)
    checkpoints = Checkpoints(plain / "checkpoints")
    kept = {f.name: getattr(state, f.name) for f in fields(state)}
    arrays, _ = checkpoints.load(STEPS, kept | {"reference": {}})
    checkpoints.close()
    jax.tree.map(np.testing.assert_array_equal, arrays["params"], params)
    save_model(tmp_path, model.config, params)
    expected = (plain / "model" / "model.safetensors").read_bytes()
    assert (tmp_path / "model.safetensors").read_bytes() == expected
    written, before = (load_tokenizer(f) for f in (plain / "model", place.model))
    assert written.encode("1 + 2 = 3") == before.encode("1 + 2 = 3")
    for name in ("bos_id", "eos_id", "pad_id", "adds_bos"):
        assert getattr(written, name) == getattr(before, name)
