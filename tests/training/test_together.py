"""Runs trained together end as each would alone."""

from dataclasses import replace

import jax
import numpy as np
import pytest
import yaml

from gradlab.cli import main
from gradlab.losses import resolve
from gradlab.models import load_model
from gradlab.tables import read_table
from gradlab.training.config import DataSettings, OptimiserSettings, TrainConfig
from gradlab.training.metriclog import read_metrics
from gradlab.training.sweep.grid import Run
from gradlab.training.sweep.groups import grouped
from gradlab.training.together import loss_numbers


def grid(losses, rates, seeds):
    return {"loss": losses, "optimiser.learning_rate": rates, "seed": seeds}


@pytest.mark.parametrize(
    ("shapes", "points"),
    [
        (1, grid(["dpop(lam=5)", "dpop(lam=0.5)"], [0.1], [0])),
        pytest.param(3, grid(["dpo+mle"], [0.1, 0.02], [0]), marks=pytest.mark.slow),
        pytest.param(
            1,
            grid(["dpop(lam=5)", "dpop(lam=0.5)"], [0.1, 0.02], [0, 1]),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_runs_together_and_alone_end_the_same(place, tmp_path, shapes, points):
    sweep = {
        "model": {"path": str(place.model)},
        "data": {"path": str(place.data), "batch_size": 4, "max_shapes": shapes},
        "probes": {"kinds": "chosen", "pairs": 4},
        "steps": 8,
        "optimiser": {"name": "sgd"},
        "sweep": points,
    }
    file = tmp_path / "sweep.yaml"
    file.write_text(yaml.safe_dump(sweep))
    for together in ("1", "8"):
        out = str(tmp_path / together)
        assert main(["sweep", str(file), "--out", out, "--together", together]) == 0
    one = read_table(tmp_path / "1" / "sweep.csv")
    assert one["final.loss"].nunique() == len(one)
    for run in one["run"]:
        alone, beside = (tmp_path / k / "runs" / run for k in ("1", "8"))
        params = [load_model(place / "model")[1] for place in (alone, beside)]
        moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), *params)
        assert max(jax.tree.leaves(moved)) <= 1e-6
        lines = [read_metrics(place / "metrics.jsonl") for place in (alone, beside)]
        for a, b in zip(*lines, strict=True):
            assert a == pytest.approx(b, rel=1e-4, abs=1e-5)


def runs(*configs):
    return [Run(str(place), {}, config) for place, config in enumerate(configs)]


def names(groups):
    return [[int(run.name) for run in group] for group in groups]


def test_what_may_differ_within_a_group():
    base = TrainConfig(loss="dpop(lam=5)", data=DataSettings(max_shapes=1))
    rate = replace(base, optimiser=OptimiserSettings(learning_rate=1.0))
    found = runs(
        base,
        rate,
        replace(base, loss="dpop(lam=7.5)"),
        replace(base, seed=1),
        replace(base, loss="dpop(beta=0.2,lam=5)"),
        replace(base, loss="dpo"),
        replace(base, steps=3),
        replace(base, data=DataSettings(max_shapes=2)),
        replace(base, data=DataSettings(max_shapes=2), seed=1),
    )
    assert names(grouped(found, 9)) == [[0, 1, 2, 3], [4], [5], [6], [7], [8]]
    assert names(grouped(found, 3))[:2] == [[0, 1, 2], [3]]
    assert names(grouped(found, 1)) == [[place] for place in range(9)]


def test_numbers_of_a_loss_that_can_be_inputs():
    assert loss_numbers(resolve("dpop(lam=5,beta=0.1)")) == {"lam": 5, "beta": 0.1}
    assert loss_numbers(resolve("dpo + mle")) == {}
    assert loss_numbers(resolve("ipo(reduction='mean')")) == {}

    def steep(pairs, power=2):
        return pairs.chosen.sum(-1) * (1 if power > 1 else 2)

    assert loss_numbers(resolve(steep, power=3)) == {}
