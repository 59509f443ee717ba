"""`gradlab doctor`: one verdict a line, JSON, and an exit status that can be used."""

import contextlib
import io
import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from gradlab.cli import main
from gradlab.data.embedded import embedded_model_folder
from gradlab.doctor import installation
from gradlab.doctor.findings import Finding, Limits, as_values, judged, worst
from gradlab.doctor.printing import print_findings
from tests.training.conftest import place as place

ROOT = Path(__file__).resolve().parents[2]
QUICK = ["--limit", "2", "--losses", "dpo"]


@pytest.fixture(scope="module")
def found(place):
    """What the command prints with --json on a tiny model."""
    printed = io.StringIO()
    inputs = ["--model", str(place.model), "--data", str(place.data)]
    with contextlib.redirect_stdout(printed):
        assert main(["doctor", *QUICK, *inputs, "--json"]) == 0
    return json.loads(printed.getvalue())


@pytest.mark.slow
def test_the_embedded_model_is_sound(capsys):
    assert main(["doctor"]) == 0
    assert "0 FAIL" in capsys.readouterr().out


def test_a_sound_model(found):
    assert found["verdict"] in ("ok", "warn")
    named = {finding["name"]: finding for finding in found["findings"]}
    names = (
        "python", "jaxlib", "extra hub", "devices", "precision", "compile cache",
        "vocabulary", "prompts", "ends", "masks", "finite numbers", "step 0",
        "loss dpo", "padding", "batch size", "dtype", "gradient",
    )  # fmt: skip
    assert set(names) <= set(named)
    for name in ("step 0", "loss dpo", "padding", "batch size", "dtype", "gradient"):
        assert named[name]["verdict"] == "ok"
        assert 0 <= named[name]["value"] <= named[name]["limits"]["ok"]


def test_one_verdict_a_line(found, capsys):
    rows = [
        row | {"limits": row["limits"] and Limits(**row["limits"])}
        for row in found["findings"]
    ]
    print_findings([Finding(**row) for row in rows])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(rows) + 1
    for line, row in zip(lines, rows, strict=False):
        assert line.split()[0] == row["verdict"]
        assert f"  {row['name']} " in line
    assert lines[-1].endswith("0 FAIL")


def test_a_damaged_model_fails_with_the_reason(tmp_path, capsys):
    folder = tmp_path / "model"
    shutil.copytree(embedded_model_folder(), folder)
    tensors = load_file(folder / "model.safetensors")
    shape = tensors["model.norm.weight"].shape
    tensors["model.norm.weight"] = np.full(shape, 3e38, np.float32)
    save_file(tensors, folder / "model.safetensors")
    assert main(["doctor", *QUICK, "--model", str(folder)]) == 1
    lines = capsys.readouterr().out.splitlines()
    failed = [line for line in lines if line.startswith("FAIL")]
    assert len(failed) == 1
    assert "finite numbers" in failed[0]


def test_a_model_that_is_not_there_is_a_finding(capsys):
    assert main(["doctor", *QUICK, "--model", "no/such/folder-here"]) == 1
    assert "FAIL  model and data" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--limit", "--batch-size"])
def test_settings_out_of_range_are_refused(option, capsys):
    assert main(["doctor", option, "0"]) == 2
    assert f"{option} is 0; expected at least 1" in capsys.readouterr().err


def test_verdicts_follow_the_limits():
    limits = Limits(1.0, 2.0)
    found = [judged("x", value, limits, "") for value in (1.0, 2.0, 2.1, float("nan"))]
    assert [f.verdict for f in found] == ["ok", "warn", "FAIL", "FAIL"]
    assert [f.number for f in found] == [
        "1.0e+00 <= 1e+00", "2.0e+00 > 1e+00", "2.1e+00 > 2e+00", "nan > 2e+00",
    ]  # fmt: skip
    assert worst(found) == "FAIL"
    assert as_values(found)["findings"][3]["value"] == "nan"
    assert worst(found[:2]) == "warn"


def test_a_package_that_breaks_is_a_finding(monkeypatch):
    monkeypatch.setattr(installation, "NEEDED", {"no-such": "no_such_module_x"})
    found = list(installation.installation())
    assert found[1].verdict == "FAIL"
    assert "ModuleNotFoundError" in found[1].text
    assert "devices" not in {f.name for f in found}


def test_extras_and_packages_are_those_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for extra, names in installation.EXTRAS.items():
        assert [r.partition(">")[0] for r in extras[extra]] == list(names)
    development = {"test", "parity", "docs"}
    assert set(extras) - set(installation.EXTRAS) <= development
    required = {r.partition(">")[0] for r in project["dependencies"]}
    command_line = {"tyro", "rich", "pyyaml"}
    assert set(installation.NEEDED) == (required | {"jaxlib"}) - command_line


def test_an_unwritable_cache_is_a_warning(monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert installation._unwritable(blocked / "cache")
    assert not installation._unwritable(tmp_path / "not" / "yet")
    assert list(tmp_path.iterdir()) == [blocked]


def test_hostile_text_is_shown_not_obeyed(capsys):
    print_findings([Finding("\x1b[31mx", "ok", "[red]a\x1b]0;title\x07\u202eb")])
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\u202e" not in printed
    assert "[red]a" in printed
