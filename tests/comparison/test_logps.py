"""`gradlab compare --logps`: everything but the model."""

import json

import numpy as np
import pandas as pd
import pytest

import gradlab
from gradlab.cli import main
from gradlab.types import PairLogps
from tests.inputs.test_token_table import table, written

LOSSES = "dpo,simpo(beta=2,gamma=1),dpo+0.5*exmate"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A comparison of two hand-made pairs, with its page."""
    folder = tmp_path_factory.mktemp("logps")
    path = written(table(prompt="Q?"), folder)
    out = folder / "out"
    arguments = ["compare", "--logps", str(path), "--losses", LOSSES, "--report"]
    assert main([*arguments, "--out", str(out)]) == 0
    return out


def refused(capsys, tmp_path, frame, *arguments):
    path = written(frame, tmp_path)
    assert main(["compare", "--logps", str(path), *arguments]) == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message
    assert not (tmp_path / "out").exists()
    return message.strip().splitlines()[-1]


def test_weights_are_those_of_the_losses(run):
    tokens = pd.read_parquet(run / "tokens.parquet")
    frame = table()
    arrays = {}
    for side in ("chosen", "rejected"):
        width = 4
        logps, ref, mask = np.zeros((3, 2, width))
        rows = frame[frame["side"] == side]
        at = (rows["pair"] == 2).to_numpy(int), rows["position"].to_numpy()
        logps[at], ref[at], mask[at] = rows["logp"], rows["ref_logp"], 1
        arrays |= {side: logps, f"ref_{side}": ref, f"{side}_mask": mask}
    for loss in tokens["loss"].unique():
        weights = gradlab.token_weights(loss, PairLogps(**arrays))
        rows = tokens[tokens["loss"] == loss]
        for side in ("chosen", "rejected"):
            found = rows[rows["side"] == side]
            expected = np.asarray(getattr(weights, side))
            at = found["pair"].to_numpy(), found["position"].to_numpy()
            np.testing.assert_allclose(found["weight"], expected[at], rtol=1e-4)
    assert tokens["logit_grad_norm"].isna().all()  # no column log_sum_sq
    assert tokens["region"].iloc[0] == "first"


def test_figures_summary_table_and_page_are_there(run, capsys):
    names = {path.name for path in run.iterdir()}
    assert {"mass.pdf", "token_heat.png", "report.html", "summary.csv"} <= names
    assert pd.read_parquet(run / "prompts.parquet")["prompt"].tolist() == ["Q?"] * 2
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["pairs"] == 2
    assert manifest["policy"].endswith("logps.parquet (log-probabilities as given)")
    assert manifest["reference"] == "column ref_logp"
    assert manifest["dtype"] == "float64 scores as given, float64 weights"
    capsys.readouterr()
    assert main(["table", str(run), "--format", "csv"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("dpo,")
    assert main(["cite", str(run)]) == 0
    assert "2212.10515" in capsys.readouterr().out  # of exmate


def test_what_needs_more_than_the_table_is_refused_by_name(capsys, tmp_path):
    frame = table().drop(columns="ref_logp")
    message = refused(capsys, tmp_path, frame, "--losses", "simpo,dpo")
    assert "loss 'dpo' needs the column ref_logp, which is not there" in message
    message = refused(capsys, tmp_path, table(), "--losses", "wpo")
    assert "loss 'wpo' needs the column log_sum_sq" in message
    message = refused(capsys, tmp_path, table(), "--losses", "kto")
    assert "needs a model, which scores prompts with other pairs' responses" in message
    message = refused(capsys, tmp_path, table(), "--model", "folder")
    assert "--logps and --model" in message
    message = refused(capsys, tmp_path, table(), "--no-append-eos")
    assert "--logps and --append-eos: that is a setting of reading" in message
    same = table(token_id=1, position=[0, 1, 2, 0, 1, 0, 0, 1, 2, 3])
    same = same[same["position"] == 0]
    message = refused(capsys, tmp_path, same, "--losses", "mle")
    assert "pair 0 (row 7): chosen and rejected are the same 1 tokens" in message
    assert main(["compare", "--step", "3"]) == 2
    assert "--step chooses from the table" in capsys.readouterr().err
