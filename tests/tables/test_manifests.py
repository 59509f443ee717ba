"""Manifests: plain JSON, with what is needed to repeat a run."""

import dataclasses
import datetime
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from gradlab.errors import GradlabError
from gradlab.tables import build_manifest, read_manifest, write_manifest


@dataclasses.dataclass(frozen=True)
class Inner:
    rate: float = float("inf")


@dataclasses.dataclass(frozen=True)
class Config:
    inner: Inner = Inner()
    losses: tuple[str, ...] = ("dpo", "my_mod:f")
    out: Path = Path("runs")
    size: object = np.float32(0.5)
    grid: object = dataclasses.field(default_factory=lambda: np.arange(2))
    names: frozenset[str] = frozenset({"b", "a"})
    function: object = json.dumps


def manifest() -> dict:
    return build_manifest(
        config=Config(), seed=[1, 2], dtype="float32", device="cpu",
        data_digest="ab" * 32, wall_seconds=np.float64(1.5), pairs=20,
    )  # fmt: skip


def test_config_becomes_plain_json():
    config = manifest()["config"]
    assert config == {
        "inner": {"rate": "inf"},
        "losses": ["dpo", "my_mod:f"],
        "out": "runs",
        "size": 0.5,
        "grid": [0, 1],
        "names": ["a", "b"],
        "function": "json:dumps",
    }
    json.dumps(manifest(), allow_nan=False)


def test_says_what_a_repetition_needs():
    found = manifest()
    assert found["seed"] == [1, 2]
    assert (found["dtype"], found["device"], found["pairs"]) == ("float32", "cpu", 20)
    assert {"numpy", "pandas", "jax", "matplotlib"} <= set(found["versions"])
    created = datetime.datetime.fromisoformat(found["created_utc"])
    assert created.utcoffset() == datetime.timedelta(0)
    assert found["platform"]
    assert found["python"].startswith("3.")


def test_commit_is_that_of_the_own_checkout():
    commit = manifest()["commit"]
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        assert commit is None
    else:
        assert len(commit.removesuffix("+changes")) == 40


def test_commit_of_the_start_is_kept():
    assert build_manifest(config={}, commit="abc")["commit"] == "abc"


def test_no_git_is_no_error(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert manifest()["commit"] is None


def test_round_trip_with_digests_of_the_files_beside(tmp_path):
    (tmp_path / "t.csv").write_text("a\n1\n")
    write_manifest(manifest(), tmp_path / "manifest.json")
    found = read_manifest(tmp_path / "manifest.json")
    assert found["sha256"] == {"t.csv": hashlib.sha256(b"a\n1\n").hexdigest()}
    assert found["config"]["losses"] == ["dpo", "my_mod:f"]


def test_refusals_name_the_file(tmp_path):
    path = tmp_path / "m.json"
    with pytest.raises(GradlabError, match=r"m.json: no such file"):
        read_manifest(path)
    path.write_text("{")
    with pytest.raises(GradlabError, match=r"m.json: not readable as JSON"):
        read_manifest(path)
    path.write_text("[1]")
    with pytest.raises(GradlabError, match=r"expected a JSON object"):
        read_manifest(path)
