"""Every command that writes, on a tiny model and little data."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.report.material import LOSSES, tokens_table, write_run
from tests.training.conftest import place as place

WRITERS = ("compare", "drift", "length", "train", "sweep", "rank", "report", "table")


@pytest.fixture(scope="session")
def arguments(place, tmp_path_factory):
    """(command, folder) -> arguments of a short run that writes into the folder."""
    folder = tmp_path_factory.mktemp("inputs")
    rows = [
        {"prompt": f"p{n}", "completions": ["a", "b", "c"], "scores": [1, 2, 3]}
        for n in range(40)
    ]
    (folder / "ranked.jsonl").write_text("\n".join(map(json.dumps, rows)))
    tokens = tokens_table(2).assign(region="prefix")
    summary = pd.DataFrame({"loss": LOSSES, "pairs": 2, "value": np.arange(3.0)})
    run = write_run(folder / "run", tokens, summary=summary, prompts=("a", "b"))
    settings = {
        "model": {"path": str(place.model)},
        "data": {"path": str(place.data), "batch_size": 4, "max_shapes": 1},
        "probes": {"kinds": ""},
        "steps": 2,
        "sweep": {"seed": [0, 1]},
    }
    (folder / "sweep.json").write_text(json.dumps(settings))
    inputs = ["--model", str(place.model), "--data", str(place.data), "-n", "3"]
    weighed = [*inputs, "--losses", "dpo,mle", "--batch-size", "4"]

    def make(command: str, out: Path) -> list[str]:
        rest = {
            "sweep": [str(folder / "sweep.json")],
            "rank": [str(folder / "ranked.jsonl"), "--judge", "scores"],
            "report": [str(run)],
            "table": [str(run), "--draws", "5", "--format", "latex"],
        }.get(command, weighed)
        files = {"rank": "p.jsonl", "report": "p.html", "table": "t.tex"}
        where = ["--out", str(out / files.get(command, ""))]
        if command == "train":
            return place.arguments(out, "--steps", "2")
        return [command, *rest, *where]

    return make


@pytest.fixture
def mounted(tmp_path) -> Iterator:
    """Mounts a disk of so many kB; such a test needs the right to do that."""
    folders = []

    def mount(kilobytes: int, *options: str) -> Path:
        folder = tmp_path / f"disk-{len(folders)}"
        folder.mkdir()
        how = ",".join([f"size={kilobytes}k", *options])
        command = ["mount", "-t", "tmpfs", "-o", how, "tmpfs", str(folder)]
        if os.geteuid() or not shutil.which("mount"):
            pytest.skip("mounting a small disk needs root")
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("this system mounts nothing")
        folders.append(folder)
        return folder

    yield mount
    for folder in folders:
        # Lazily: a test that failed may have left a file open there.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
