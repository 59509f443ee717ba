"""`gradlab sweep` as a user calls it: whole sweeps of tiny runs."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from gradlab.cli import main
from gradlab.disk import locked
from gradlab.tables import read_table

ROOT = Path(__file__).resolve().parents[3]
RATES = {"optimiser.learning_rate": [0.01, 0.001]}


@pytest.fixture
def sweep_file(place, tmp_path):
    """Writes a sweep of short runs; gives its path."""

    def write(grid, **more):
        base = {
            "model": {"path": str(place.model)},
            "data": {"path": str(place.data), "batch_size": 4, "max_shapes": 1},
            "probes": {"kinds": ""},
            "steps": 3,
        }
        path = tmp_path / "sweep.yaml"
        path.write_text(yaml.safe_dump(base | more | {"sweep": grid}))
        return path

    return write


def results(out):
    """What every run left, as bytes."""
    names = ("metrics.jsonl", "model/model.safetensors")
    return {
        (run.name, name): (run / name).read_bytes()
        for run in sorted((out / "runs").iterdir())
        if run.is_dir()
        for name in names
    }


def start(file, out, *more):
    """A sweep in a process of its own."""
    cache = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    return subprocess.Popen(
        [sys.executable, "-m", "gradlab", "sweep", str(file), "--out", str(out), *more],
        cwd=ROOT,
        env=os.environ | cache | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_sweep_ends_in_a_table_and_is_not_done_twice(
    sweep_file, tmp_path, capsys, place
):
    probes = {"kinds": "chosen,rejected", "pairs": 4, "evaluations": 2}
    file, out = sweep_file(RATES, probes=probes), tmp_path / "out"
    assert main(["sweep", str(file), "--list", "--out", str(out)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "waiting  learning_rate=0.01",
        "waiting  learning_rate=0.001",
    ]
    assert not out.exists()
    assert main(["sweep", str(file), "--out", str(out)]) == 0
    table = read_table(out / "sweep.parquet")
    assert list(table["status"]) == ["done"] * 2
    assert list(table["optimiser.learning_rate"]) == [0.01, 0.001]
    last = out / "runs" / table["run"][1]
    line = json.loads((last / "metrics.jsonl").read_text().splitlines()[-1])
    assert table["final.loss"][1] == line["loss"]
    probes = pd.read_csv(last / "probes.csv").query("step == 3 & metric == 'accuracy'")
    assert table["probe.chosen-rejected.accuracy"][1] == probes["value"].item()
    pd.testing.assert_frame_equal(table, read_table(out / "sweep.csv"))
    before = results(out)
    assert main(["sweep", str(file), "--out", str(out)]) == 0
    assert capsys.readouterr().err.count("done before") == 2
    assert results(out) == before
    # The same run alone ends with the same bits.
    alone = tmp_path / "alone"
    config = ["--config", str(last / "config.json"), "--no-resume"]
    assert main(["train", *config, "--out", str(alone)]) == 0
    name = "model/model.safetensors"
    assert (alone / name).read_bytes() == (last / name).read_bytes()


@pytest.mark.parametrize("together", ["1", pytest.param("3", marks=pytest.mark.slow)])
def test_a_run_that_fails_leaves_the_others_alone(
    sweep_file, tmp_path, capsys, together
):
    # A step of this size overflows the next forward pass.
    grid = {"optimiser.learning_rate": [1e30, 0.01, 0.001]}
    file = sweep_file(grid, optimiser={"name": "sgd", "clip_norm": None})
    out = tmp_path / "out"
    arguments = ["sweep", str(file), "--out", str(out), "--together", together]
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert "1 of 3 runs failed" in message
    assert "not finite" in message
    table = read_table(out / "sweep.csv")
    assert list(table["status"]) == ["failed", "done", "done"]
    assert table["final.loss"].notna().tolist() == [False, True, True]


def test_a_killed_sweep_goes_on(sweep_file, tmp_path):
    file = sweep_file({"seed": [0, 1]}, steps=40, checkpoint={"every": 3})
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    process = start(file, whole)
    assert process.communicate()[1]
    assert process.returncode == 0
    process = start(file, broken)
    second = broken / "runs" / "seed=1" / "checkpoints"
    while process.poll() is None and not (second / "3").exists():
        time.sleep(0.005)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (broken / "sweep.csv").exists()
    again = start(file, broken)
    error = again.communicate()[1]
    assert again.returncode == 0, error
    assert "seed=0: done before" in error
    assert "seed=1: goes on from step" in error
    assert results(broken) == results(whole)
    assert (broken / "sweep.csv").read_bytes() == (whole / "sweep.csv").read_bytes()


@pytest.mark.slow
def test_two_processes_share_a_folder(sweep_file, tmp_path):
    file, one, two = sweep_file({"seed": [0, 1]}), tmp_path / "one", tmp_path / "two"
    assert main(["sweep", str(file), "--out", str(one)]) == 0
    processes = [start(file, two, "--shard", f"{k}/2") for k in (1, 2)]
    for process in processes:
        error = process.communicate()[1]
        assert process.returncode == 0, error
    assert (two / "sweep.csv").read_bytes() == (one / "sweep.csv").read_bytes()
    assert results(two) == results(one)


def test_a_run_in_training_elsewhere_is_left_alone(sweep_file, tmp_path, capsys):
    file, out = sweep_file({"seed": [0, 1]}), tmp_path / "out"
    (out / "runs").mkdir(parents=True)
    with locked(out / "runs" / "seed=0" / ".lock") as held:
        assert held
        assert main(["sweep", str(file), "--out", str(out)]) == 0
    assert "seed=0: left to another process" in capsys.readouterr().err
    assert list(read_table(out / "sweep.csv")["status"]) == ["waiting", "done"]
    assert not (out / "runs" / "seed=0").exists()


def test_a_folder_made_when_its_process_was_killed_is_used(sweep_file, tmp_path):
    file, out = sweep_file({"seed": [0]}), tmp_path / "out"
    (out / "runs" / "seed=0" / ".partial-abc").mkdir(parents=True)
    assert main(["sweep", str(file), "--out", str(out)]) == 0


def test_what_is_refused_trains_nothing(sweep_file, tmp_path, capsys):
    out = tmp_path / "out"

    def refused(file, *more):
        assert main(["sweep", str(file), "--out", str(out), *more]) == 2
        return capsys.readouterr().err

    message = refused(sweep_file({"loss": ["dpo", "dpoo"]}))
    assert "unknown loss 'dpoo'; did you mean" in message
    file = sweep_file({"seed": [0]})
    assert "--together is 0" in refused(file, "--together", "0")
    assert "--shard 3/2" in refused(file, "--shard", "3/2")
    assert "missing.yaml: no such file" in refused("missing.yaml")
    assert not out.exists()
    assert main(["sweep", str(file), "--out", str(out)]) == 0
    message = refused(sweep_file({"seed": [0]}, steps=4))
    assert "another configuration" in message
    assert "steps: 3 there, 4 here" in message
