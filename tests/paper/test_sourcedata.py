"""The rows behind the figures of a run."""

import json

import numpy as np
import pandas as pd
import pytest

from gradlab.cli import main
from gradlab.errors import GradlabError
from gradlab.paper.sourcedata import FIGURES, source_data
from gradlab.plotting.comparison import FIGURES as COMPARISON
from gradlab.plotting.lengths import FIGURES as LENGTH
from gradlab.tables import read_table, write_table

LOSSES = ("dpo", "ipo")
SIDES = ("chosen", "rejected")


def tokens():
    """250 pairs of few tokens; one token is a line's end."""
    rng = np.random.default_rng(0)
    rows = [
        (loss, pair, side, position, "\r" if position else f"t{side}", region)
        for loss in LOSSES
        for pair in range(250)
        for side in SIDES
        for position, region in enumerate(("first", "middle", "middle"))
    ]
    names = ["loss", "pair", "side", "position", "token", "region"]
    frame = pd.DataFrame(rows, columns=pd.Index(names))
    for name in ("weight", "logp", "predicted", "by_chosen", "by_rejected", "realised"):
        frame[name] = -rng.exponential(1.0, len(frame))
    return frame


def run_folder(folder, command, pair=None):
    write_table(tokens(), folder / "tokens.parquet")
    names = ("mass_chosen", "mass_rejected", "ratio_bad_good", "share_before",
             "share_at", "share_after", "rho_margin", "rho_margin_low")  # fmt: skip
    summary = pd.DataFrame({"loss": LOSSES, **dict.fromkeys(names, 0.5)})
    write_table(summary, folder / "summary.csv")
    manifest = {"command": command, "config": {"pair": pair}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_every_figure_of_the_commands_has_its_rows():
    assert set(FIGURES["gradlab compare"]) == set(COMPARISON)
    assert set(FIGURES["gradlab length"]) == set(LENGTH)


def test_a_comparison(tmp_path):
    run = run_folder(tmp_path, "gradlab compare", pair=230)
    assert source_data(run, "mass")["loss"].tolist() == list(LOSSES)
    example = source_data(run, "token_weights")
    assert set(example["pair"]) == {230}
    assert len(example) == 2 * 2 * 3
    penalty = source_data(run, "penalty")
    # The first 200 pairs, and that which was chosen.
    assert sorted(set(penalty["pair"])) == [*range(200), 230]
    assert set(penalty["side"]) == {"rejected"}
    expected = tokens()
    expected = expected[(expected["side"] == "rejected") & (expected["pair"] == 7)]
    found = penalty[penalty["pair"] == 7]
    assert found["weight"].tolist() == expected["weight"].tolist()


def test_an_analysis_of_length(tmp_path):
    found = source_data(run_folder(tmp_path, "gradlab length"), "correlations")
    assert list(found.columns) == ["loss", "rho_margin", "rho_margin_low"]


def test_an_analysis_of_drift(tmp_path):
    run = run_folder(tmp_path, "gradlab drift")
    keys = dict.fromkeys(("ln_ches", "ches", "edit_token", "score_cosine"), 0.1)
    rows = [
        {"loss": loss, "pair": pair, "case": "both fall", **keys,
         "predicted_chosen": -1.0, "realised_chosen": -1.1}
        for loss in LOSSES
        for pair in range(250)
    ]  # fmt: skip
    write_table(pd.DataFrame(rows), run / "pairs.csv")
    assert len(source_data(run, "agreement")) == 2 * 200 * 6
    assert source_data(run, "waterfall")["pair"].nunique() == 1
    assert list(source_data(run, "cases").columns) == ["loss", "pair", "case"]
    assert "ln_ches" in source_data(run, "buckets")
    with pytest.raises(GradlabError, match=r"gram\.parquet: there is no such"):
        source_data(run, "gram")


def test_the_file_reads_back_as_it_was(tmp_path):
    run, out = run_folder(tmp_path, "gradlab compare", pair=3), tmp_path / "rows.csv"
    assert main(["table", str(run), "--figure", "token_heat", "--out", str(out)]) == 0
    pd.testing.assert_frame_equal(read_table(out), source_data(run, "token_heat"))


def test_an_unknown_figure_is_refused(tmp_path):
    run = run_folder(tmp_path, "gradlab compare")
    with pytest.raises(GradlabError, match="expected mass, token_weights, token_heat"):
        source_data(run, "waterfall")
    with pytest.raises(GradlabError, match="expected a run of gradlab compare, drift"):
        source_data(run_folder(tmp_path, "gradlab train"), "mass")
