"""`gradlab table`: numbers as in the summary, intervals over pairs, hostile text."""

import io
import json

import numpy as np
import pandas as pd
import pytest

from gradlab.cli import main
from gradlab.errors import GradlabError
from gradlab.paper.command import paper_table
from gradlab.paper.config import TableConfig
from gradlab.paper.estimates import estimate_columns
from gradlab.paper.pairsums import Ratio
from gradlab.paper.writing import number_text
from gradlab.tables import write_table

LOSSES = ("good", "as_good", "bad_{x}|$")
PAIRS = 60


@pytest.fixture
def drift_run(tmp_path):
    """Two losses that no pair tells apart, and a worse one."""
    rng = np.random.default_rng(0)
    base = rng.normal(0.2, 0.05, PAIRS)
    noise = rng.normal(0, 0.01, PAIRS)
    chosen = dict(zip(LOSSES, (base, base + noise - noise.mean() - 1e-4, base - 0.3),
                      strict=True))  # fmt: skip
    rows, summary = [], []
    for loss in LOSSES:
        pairs = pd.DataFrame(
            {
                "loss": loss, "pair": range(PAIRS), "value": 1.0,
                "predicted_chosen": chosen[loss], "realised_chosen": chosen[loss],
                "case": np.where(chosen[loss] < 0, "both fall", "ideal"),
            }
        )  # fmt: skip
        rows.append(pairs)
        summary.append(
            {
                "loss": loss, "pairs": PAIRS, "value": 1.0,
                "share_falls": (chosen[loss] < 0).mean(),
                "predicted_chosen": chosen[loss].mean(),
                "both_fall": (chosen[loss] < 0).mean(),
                "pearson": 0.99, "relative_error": 2e-3,
            }
        )  # fmt: skip
    write_table(pd.concat(rows, ignore_index=True), tmp_path / "pairs.csv")
    write_table(pd.DataFrame(summary), tmp_path / "summary.csv")
    manifest = {"command": "gradlab drift", "pairs": PAIRS, "seed": 0,
                "policy": "a_b & c", "losses": {"dpo + 0.5*exmate": {}}}  # fmt: skip
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path


@pytest.fixture
def comparison_run(tmp_path):
    rng = np.random.default_rng(1)
    regions = ("prefix", "first", "middle", "suffix")
    tokens = pd.DataFrame(
        [
            (loss, pair, side, region, rng.normal())
            for loss in LOSSES
            for pair in range(8)
            for side in ("chosen", "rejected")
            for region in regions
        ],
        columns=["loss", "pair", "side", "region", "weight"],
    )
    write_table(tokens, tmp_path / "tokens.parquet")
    size = tokens.assign(weight=tokens["weight"].abs())
    summary = []
    for loss in LOSSES:
        own = size[size["loss"] == loss]
        by_side = own.groupby("side")["weight"].sum() / 8
        by_region = own.groupby("region")["weight"].sum() / own["weight"].sum()
        summary.append(
            {
                "loss": loss, "value": 0.5,
                "mass_chosen": by_side["chosen"], "mass_rejected": by_side["rejected"],
                "ratio_bad_good": by_side["rejected"] / by_side["chosen"],
                "share_before": by_region["prefix"], "share_at": by_region["first"],
                "share_after": by_region["middle"] + by_region["suffix"],
            }
        )  # fmt: skip
    write_table(pd.DataFrame(summary), tmp_path / "summary.csv")
    (tmp_path / "manifest.json").write_text("{}")
    return tmp_path


def test_the_best_and_those_like_it_are_bold(drift_run):
    columns = paper_table(TableConfig(drift_run)).columns
    assert columns["predicted_chosen"].bold.tolist() == [True, True, False]
    assert columns["share_falls"].bold.tolist() == [True, True, False]
    assert not columns["value"].bold.any()  # no way is better
    turned = TableConfig(drift_run, best=("predicted_chosen=min", "share_falls=none"))
    columns = paper_table(turned).columns
    assert columns["predicted_chosen"].bold.tolist() == [False, False, True]
    assert not columns["share_falls"].bold.any()


def test_values_are_those_of_the_summary_and_lie_in_their_intervals(comparison_run):
    columns = paper_table(TableConfig(comparison_run)).columns
    summary = pd.read_csv(comparison_run / "summary.csv")
    for name in ("mass_chosen", "ratio_bad_good", "share_before", "share_after"):
        found = columns[name]
        np.testing.assert_allclose(found.values, summary[name])
        assert ((found.low < found.values) & (found.values < found.high)).all()
    assert columns["value"].low is None


def test_an_interval_is_that_of_the_mean():
    rng = np.random.default_rng(2)
    values = rng.normal(3, 2, (1, 400))
    summary = pd.DataFrame({"loss": ["a"], "x": values.mean(1)})
    ratios = {"x": Ratio(values, np.ones_like(values))}
    found = estimate_columns(summary, ratios, {}, draws=4000, seed=0)["x"]
    half = 1.96 * values.std() / 20
    np.testing.assert_allclose(found.low, values.mean() - half, atol=0.02)
    np.testing.assert_allclose(found.high, values.mean() + half, atol=0.02)


def test_intervals_of_the_summary_are_kept(tmp_path):
    summary = pd.DataFrame(
        {"loss": ["a"], "rho": [0.5], "rho_low": [0.25], "rho_high": [0.75]}
    )
    write_table(summary, tmp_path / "summary.csv")
    write_table(pd.DataFrame({"loss": ["a"], "pair": [0]}), tmp_path / "pairs.csv")
    (tmp_path / "manifest.json").write_text("{}")
    columns = paper_table(TableConfig(tmp_path)).columns
    assert list(columns) == ["rho"]
    assert (columns["rho"].low, columns["rho"].high) == (0.25, 0.75)


def test_latex_is_escaped_and_whole(drift_run, capsys):
    assert main(["table", str(drift_run), "--label", "tab:x"]) == 0
    printed = capsys.readouterr().out
    assert r"bad\_\{x\}\textbar{}\$ &" in printed
    assert r"policy a\_b \& c" in printed
    assert r"\label{tab:x}" in printed
    assert r"\textbf{+0.2" in printed
    assert r"2$\cdot10^{-3}$" in printed
    assert "$-$" in printed
    assert printed.count(r"\toprule") == printed.count(r"\bottomrule") == 1
    assert printed.count("{") == printed.count("}")


def test_bold_reaches_the_powers_of_ten(tmp_path, capsys):
    summary = pd.DataFrame({"loss": ["a", "b"], "predicted_chosen": [2e-5, 1e-5]})
    write_table(summary, tmp_path / "summary.csv")
    write_table(pd.DataFrame({"loss": ["a"], "pair": [0]}), tmp_path / "pairs.csv")
    (tmp_path / "manifest.json").write_text("{}")
    assert main(["table", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert r"{\boldmath\textbf{+2.00$\cdot10^{-5}$}}" in printed
    assert r"& +1.00$\cdot10^{-5}$" in printed


def test_the_caption_says_what_is_there(drift_run):
    caption = paper_table(TableConfig(drift_run)).caption
    assert "Brackets: 95 %" in caption
    without = paper_table(TableConfig(drift_run, intervals=False)).caption
    assert "Brackets" not in without
    assert "Bold" in without
    manifest = {"commit": 40 * "a" + "+changes"}
    (drift_run / "manifest.json").write_text(json.dumps(manifest))
    caption = paper_table(TableConfig(drift_run)).caption
    assert "commit aaaaaaaaaaaa+changes." in caption
    assert "seed" not in caption


def test_markdown_keeps_its_columns(drift_run, capsys):
    assert main(["table", str(drift_run), "--format", "markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    bars = {line.replace(r"\|", "").count("|") for line in lines[:5]}
    assert len(bars) == 1
    assert lines[4].startswith(r"| bad\_\{x\}\|\$ |")


def test_csv_has_all_digits(drift_run, tmp_path, capsys):
    out = tmp_path / "new" / "table.csv"
    arguments = ["table", str(drift_run), "--format", "csv", "--out", str(out)]
    assert main(arguments) == 0
    found = pd.read_csv(io.StringIO(out.read_text()))
    summary = pd.read_csv(drift_run / "summary.csv")
    assert found["predicted_chosen"].tolist() == summary["predicted_chosen"].tolist()
    assert found["predicted_chosen_bold"].tolist() == [True, True, False]
    assert main(arguments) == 2
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (0.0, "number", "0.00"),
        (-1234.4, "number", "-1234"),
        (9.996, "number", "10.0"),
        (1.2e9, "number", "1.20e+09"),
        (0.0, "short", "0"),
        (0.456, "percent", "45.6 %"),
        (0.05, "signed", "+0.0500"),
        (float("nan"), "number", "–"),
        (float("-inf"), "number", "-∞"),
    ],
)
def test_numbers(value, form, text):
    assert number_text(value, form, 3) == text


def test_files_of_two_runs_are_refused(drift_run):
    pairs = pd.read_csv(drift_run / "pairs.csv")
    pairs["predicted_chosen"] *= 2
    write_table(pairs, drift_run / "pairs.csv")
    with pytest.raises(GradlabError, match=r"differ in predicted_chosen: .* one run"):
        paper_table(TableConfig(drift_run))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": ("masss",)}, "no column of numbers 'masss'; expected some of"),
        ({"best": ("pearson",)}, "expected COLUMN=max, COLUMN=min or COLUMN=none"),
        ({"best": ("nothing=max",)}, "with a column of summary.csv"),
    ],
)
def test_refused_settings(drift_run, options, message):
    with pytest.raises(GradlabError, match=message):
        paper_table(TableConfig(drift_run, **options))


def test_a_folder_without_a_run(tmp_path, capsys):
    assert main(["table", str(tmp_path)]) == 2
    assert "no summary.csv there" in capsys.readouterr().err


def test_citations_of_a_run(drift_run, capsys):
    assert main(["cite", str(drift_run), "gradlab"]) == 0
    printed = capsys.readouterr().out
    for part in ("2305.18290", "2212.10515", "2410.13828", "@software{gradlab"):
        assert printed.count(part) == 1
    assert "2410.08847" not in printed  # CHES isn't in this summary


def test_only_what_a_loss_is_made_of_is_cited(tmp_path, capsys):
    losses = {"my.ipo:slic": {"orpo": 1}, "simpo(gamma=dpo)": {}, "sft": {}}
    (tmp_path / "manifest.json").write_text(json.dumps({"losses": losses}))
    assert main(["cite", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("@") == 3  # simpo, mle, gradlab
    assert "2405.14734" in printed
    assert "bishop2006pattern" in printed


def test_the_name_of_a_loss_is_no_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dpo").mkdir()
    assert main(["cite", "dpo"]) == 0
    assert "2305.18290" in capsys.readouterr().out
    assert main(["cite", "./dpo"]) == 2
    assert "manifest.json" in capsys.readouterr().err


def test_citations_of_a_training_run(tmp_path, capsys):
    (tmp_path / "manifest.json").write_text('{"loss": "dpop(lam=5) + 0.5*exmate"}')
    assert main(["cite", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    for part in ("2402.13228", "@software{gradlab"):
        assert printed.count(part) == 1
    assert printed.count("@") == 3
