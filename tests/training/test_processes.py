"""Real processes over loopback: the numbers of one, one writer, and a resumed run."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gradlab.errors import GradlabError
from gradlab.training.config import DataSettings, MeshSettings, TrainConfig
from gradlab.training.config_checks import check
from tests.training.cases import SMOOTH, same_run

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 240  # seconds after which processes count as hung
PROBED = ["--probes.pairs", "4", "--probes.evaluations", "3", "--epochs", "2"]
PROBED += ["--probes.kinds", "chosen,rejected", "--checkpoint.every", "4"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": 3}, "data.batch_size is 16; expected a multiple of 3"),
        ({"fsdp": 0}, "mesh.fsdp is 0; expected at least 1"),
        ({"processes": 2, "process": 0}, "mesh.coordinator is None; expected a value"),
        (
            {"coordinator": "a:1", "processes": 2, "process": 2},
            "mesh.process is 2; expected 0 to 1",
        ),
        ({"distributed": "auto", "processes": 2}, "mesh.distributed is 'auto'"),
    ],
)
def test_refusals_name_the_key(settings, message):
    with pytest.raises(GradlabError, match=message):
        check(TrainConfig(mesh=MeshSettings(**settings)))


def test_parts_and_devices_divide_a_batch():
    data = DataSettings(batch_size=12, micro_batches=3)
    check(TrainConfig(data=data, mesh=MeshSettings(data=2, fsdp=2)))
    data = DataSettings(batch_size=12, micro_batches=2)
    with pytest.raises(GradlabError, match="a multiple of 8: data"):
        check(TrainConfig(data=data, mesh=MeshSettings(data=2, fsdp=2)))


@pytest.fixture(scope="module")
def launch(place, tmp_path_factory):
    """Starts the processes of a run: as many as its mesh has devices."""
    cache = tmp_path_factory.mktemp("compiled")
    settings = {"JAX_COMPILATION_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT)}

    def start(out, data, fsdp, *more):
        count = data * fsdp
        mesh = ["--mesh.data", str(data), "--mesh.fsdp", str(fsdp)]
        if count > 1:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            mesh += ["--mesh.coordinator", f"127.0.0.1:{port}"]
            mesh += ["--mesh.processes", str(count)]
        command = [sys.executable, "-m", "gradlab"]
        command += place.arguments(out, *PROBED, *SMOOTH, *mesh, *more)
        own = [["--mesh.process", str(i)] if count > 1 else [] for i in range(count)]
        return [
            subprocess.Popen(
                [*command, *arguments],
                cwd=ROOT,
                env=os.environ | settings,
                stderr=subprocess.PIPE,
                text=True,
            )
            for arguments in own
        ]

    return start


def finish(processes):
    """Waits for all; a hang becomes a failure, and leaves no process behind."""
    end = time.monotonic() + LIMIT
    try:
        errors = [p.communicate(timeout=end - time.monotonic())[1] for p in processes]
    finally:
        for process in processes:
            process.kill()
    for process, error in zip(processes, errors, strict=True):
        assert process.returncode == 0, error
    return errors


@pytest.fixture(scope="module")
def one(launch, tmp_path_factory):
    out = tmp_path_factory.mktemp("one") / "run"
    finish(launch(out, 1, 1))
    return out


@pytest.mark.slow
@pytest.mark.parametrize(("data", "fsdp"), [(1, 2), (2, 2)])
def test_the_numbers_are_those_of_one_process(launch, one, tmp_path, data, fsdp):
    out = tmp_path / "run"
    errors = finish(launch(out, data, fsdp))
    same_run(out, one)
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["devices"] == manifest["processes"] == data * fsdp
    assert "step 12/12" in errors[0]
    assert not any("step" in error for error in errors[1:])


@pytest.mark.slow
def test_a_stopped_run_goes_on(launch, one, tmp_path):
    out = tmp_path / "run"
    processes = launch(out, 2, 1)
    end = time.monotonic() + LIMIT
    lines = out / "metrics.jsonl"
    while not (lines.exists() and lines.read_bytes()):
        assert time.monotonic() < end
        assert all(process.poll() is None for process in processes)
        time.sleep(0.005)
    processes[1].send_signal(signal.SIGTERM)
    errors = finish(processes)
    assert "by a signal to another process; go on with --resume" in errors[0]
    assert not (out / "manifest.json").exists()
    finish(launch(out, 1, 2, "--resume"))
    same_run(out, one)


@pytest.mark.slow
def test_refused_settings_end_all_processes(launch, tmp_path):
    for process in launch(tmp_path / "run", 2, 1, "--loss", "dpoo"):
        error = process.communicate(timeout=LIMIT)[1]
        assert process.returncode == 2
        assert "unknown loss 'dpoo'" in error
    assert not (tmp_path / "run").exists()
