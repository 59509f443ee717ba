"""`gradlab length` from the command line: what it writes, and refusals."""

import json

import pandas as pd
import pytest

from gradlab.cli import main
from gradlab.report import read_run

LOSSES = ("dpo", "averaged_dpo", "simpo")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "length"
    command = ["length", "--losses", ",".join(LOSSES), "-n", "12", "--draws", "50"]
    command += ["--report", "--source-data"]
    assert main([*command, "--padding", "4", "--out", str(out)]) == 0
    return out


def test_everything_is_written(run):
    names = {path.name for path in run.iterdir()}
    assert {"pairs.csv", "summary.csv", "prompts.parquet", "manifest.json"} <= names
    for figure in ("weights", "correlations", "maps"):
        assert {f"{figure}.pdf", f"{figure}.png"} <= names
        assert (run / "source_data" / f"{figure}.csv").is_file()
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["command"] == "gradlab length"
    assert manifest["config"]["padding"] == 4
    assert list(manifest["losses"]) == list(LOSSES)


def test_the_page_and_the_source_data_are_of_the_tables(run):
    found = read_run(run)
    pairs = pd.read_csv(run / "pairs.csv")
    assert found.losses == list(LOSSES)
    weight = found.tokens["weight"].abs()
    mass = weight.groupby([found.tokens[k] for k in ("loss", "pair", "side")]).sum()
    of = {key: dict(rows) for key, rows in mass.unstack("side").items()}
    for side in ("chosen", "rejected"):
        for loss, pair, want in pairs[["loss", "pair", f"mass_{side}"]].to_numpy():
            assert of[side][loss, pair] == pytest.approx(want, rel=1e-6)
    assert str(run) in (run / "report.html").read_text()
    rows = pd.read_csv(run / "source_data" / "weights.csv")
    pd.testing.assert_frame_equal(rows, pairs[list(rows.columns)])


def test_tables_hold_every_loss_and_pair(run):
    pairs, summary = (pd.read_csv(run / f"{n}.csv") for n in ("pairs", "summary"))
    assert list(summary["loss"]) == list(LOSSES)
    assert pairs.groupby("loss")["pair"].nunique().to_dict() == dict.fromkeys(
        LOSSES, 12
    )
    assert dict(zip(summary["loss"], summary["averaged"], strict=True)) == {
        "dpo": False,
        "averaged_dpo": True,
        "simpo": True,
    }
    gap = pairs["length_chosen"] - pairs["length_rejected"]
    assert (gap == pairs["length_gap"]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--padding", "0"], "--padding is 0; expected at least 1"),
        (["--draws", "-3"], "--draws is -3; expected at least 1"),
        (["--losses", "dpoo"], "did you mean"),
        (["--model", "nowhere"], "--model without --data"),
    ],
)
def test_refusals(capsys, tmp_path, arguments, message):
    assert main(["length", *arguments, "--out", str(tmp_path / "out")]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in last
    assert not list(tmp_path.iterdir())
