"""Killed at random moments and resumed, a run ends as if nothing had happened."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def launch(place, tmp_path_factory):
    """Starts a run of 60 steps with a checkpoint every third one."""
    cache = tmp_path_factory.mktemp("compiled")
    settings = {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "PYTHONPATH": str(ROOT),
    }

    def start(out, *more):
        steps = ["--epochs", "10", "--checkpoint.every", "3"]
        steps += ["--probes.kinds", "chosen"]
        return subprocess.Popen(
            [sys.executable, "-m", "gradlab", *place.arguments(out, *steps, *more)],
            cwd=ROOT,
            env=os.environ | settings,
            stderr=subprocess.PIPE,
        )

    return start


@pytest.fixture(scope="module")
def unbroken(launch, tmp_path_factory):
    out = tmp_path_factory.mktemp("unbroken") / "run"
    process = launch(out)
    assert process.communicate()[0] is None
    assert process.returncode == 0
    return out


def results(out):
    """Final parameters and tables, as bytes."""
    names = ["metrics.jsonl", "model/model.safetensors", "probes.csv", "probes.parquet"]
    return {name: (out / name).read_bytes() for name in names if (out / name).exists()}


def writing(out):
    """Whether a checkpoint is being written at this moment."""
    return any(
        "tmp" in path.name or not (path / "_CHECKPOINT_METADATA").exists()
        for path in (out / "checkpoints").glob("*")
    )


def kill(process, out, rng):
    """SIGKILL at a random moment, every other time while a checkpoint is being written.

    Says whether the kill left an unfinished checkpoint behind.
    """
    in_write = rng.random() < 0.5
    while process.poll() is None and not (out / "checkpoints").exists():
        time.sleep(0.01)
    time.sleep(rng.random() * 2)
    end = time.monotonic() + 5
    while in_write and process.poll() is None and time.monotonic() < end:
        if writing(out):
            break
    process.kill()
    process.communicate()
    return writing(out)


@pytest.mark.parametrize("most", [3, pytest.param(12, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_again_and_again(launch, unbroken, tmp_path, most):
    rng = random.Random(most)
    kills = hits = 0
    while kills < most:
        out = tmp_path / f"run-{kills}"
        process = launch(out)
        # A run is killed up to three times, and then left alone.
        for _ in range(3):
            hits += kill(process, out, rng)
            if process.returncode == 0:
                break
            assert process.returncode == -signal.SIGKILL
            kills += 1
            resume = ["--resume"] if (out / "config.json").exists() else []
            process = launch(out, *resume)
        error = process.communicate()[1]
        assert process.returncode == 0, error.decode()
        assert results(out) == results(unbroken)
    print(f"{kills} kills, {hits} of them within a checkpoint write")
    # Few kills may all fall between two writes.
    assert hits > 0 or most < 12


def test_sigterm_saves_and_ends_cleanly(launch, unbroken, tmp_path):
    out = tmp_path / "run"
    process = launch(out)
    while (
        not (out / "metrics.jsonl").exists() or not (out / "metrics.jsonl").read_bytes()
    ):
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    error = process.communicate()[1].decode()
    assert process.returncode == 0, error
    assert "by SIGTERM; go on with --resume" in error
    lines = (out / "metrics.jsonl").read_text().splitlines()
    newest = max(int(path.name) for path in (out / "checkpoints").iterdir())
    assert 0 < newest == len(lines) < 60
    again = launch(out, "--resume")
    again.communicate()
    assert again.returncode == 0
    assert results(out) == results(unbroken)
