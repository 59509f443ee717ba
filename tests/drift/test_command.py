"""`gradlab drift` from the command line: tables that add up, and refusals."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from gradlab.cli import main
from gradlab.data.arithmetic import pairs
from gradlab.data.embedded import embedded_model_folder
from gradlab.models import DecoderConfig, build, save_model

LOSSES = ("dpo", "unlikelihood_token", "simpo")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small fresh model with the embedded tokenizer."""
    folder = tmp_path_factory.mktemp("model")
    config = DecoderConfig(
        vocab_size=512, width=16, layers=1, heads=2, ff_width=32, max_length=256
    )
    save_model(folder, config, build(config)[1])
    for name in ("tokenizer.json", "tokenizer_config.json"):
        source = embedded_model_folder() / name
        if source.is_file():
            shutil.copy(source, folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "pairs.jsonl"
    rows = [
        {"prompt": p.prompt, "chosen": p.chosen, "rejected": p.rejected}
        for p in pairs(6, 1)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def run(model, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "drift"
    command = ["drift", "--model", str(model), "--data", str(data)]
    command += ["--losses", ",".join(LOSSES), "--step-norm", "1e-4", "--max-shapes"]
    command += ["1", "--precision", "float64", "--pair", "0"]
    assert main([*command, "--out", str(out)]) == 0
    return out


def test_everything_is_written(run):
    names = {path.name for path in run.iterdir()}
    assert {"tokens.parquet", "pairs.csv", "summary.csv", "manifest.json"} <= names
    for figure in ("agreement", "waterfall", "cases", "buckets", "gram"):
        assert {f"{figure}.pdf", f"{figure}.png"} <= names
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["command"] == "gradlab drift"
    assert manifest["config"]["step_norm"] == 1e-4


def test_tokens_add_up_to_pairs(run):
    tokens = pd.read_parquet(run / "tokens.parquet")
    keys = ["pair", "side", "position", "loss"]
    assert not tokens.duplicated(keys).any()
    parts = tokens["by_chosen"] + tokens["by_rejected"] + tokens["carried"]
    np.testing.assert_allclose(parts, tokens["predicted"], atol=1e-14)
    gap = np.linalg.norm(tokens["realised"] - tokens["predicted"])
    assert 0 < gap < 0.05 * np.linalg.norm(tokens["realised"])
    pairs = pd.read_csv(run / "pairs.csv").set_index(["loss", "pair"])
    assert len(pairs) == len(LOSSES) * 6
    for name in ("predicted", "realised", "own"):
        sums = tokens.groupby(["loss", "pair", "side"], observed=True)[name].sum()
        for side in ("chosen", "rejected"):
            expected = sums.xs(side, level="side").reindex(pairs.index)
            np.testing.assert_allclose(pairs[f"{name}_{side}"], expected, atol=1e-12)
    causes = pairs["chosen_by_chosen"] + pairs["chosen_by_rejected"]
    np.testing.assert_allclose(causes, pairs["predicted_chosen"], atol=1e-12)


def test_summary_says_how_well_the_prediction_holds(run):
    summary = pd.read_csv(run / "summary.csv").set_index("loss")
    assert list(summary.index) == list(LOSSES)
    assert (summary["pearson"] > 0.999).all()
    np.testing.assert_allclose(summary["update_norm"], 1e-4)
    pairs = pd.read_csv(run / "pairs.csv")
    falls = pairs.groupby("loss")["predicted_chosen"].agg(lambda x: (x < 0).mean())
    np.testing.assert_allclose(summary["share_falls"], falls[summary.index])
    low, high = summary["share_falls_low"], summary["share_falls_high"]
    assert ((low <= summary["share_falls"]) & (summary["share_falls"] <= high)).all()
    shares = summary[["ideal", "both_fall", "both_rise", "reversed"]].sum(axis=1)
    np.testing.assert_allclose(shares, 1)


def test_the_gram_agrees_with_the_norms_of_the_pair(run):
    gram = pd.read_parquet(run / "gram.parquet")
    tokens = pd.read_parquet(run / "tokens.parquet")
    (pair,) = gram["pair"].unique()
    text = tokens[(tokens["pair"] == pair) & (tokens["loss"] == "dpo")]
    one = gram.drop_duplicates(["side", "position"])
    np.testing.assert_array_equal(one["token"], text["token"])
    # The score gradient is the sum of the token gradients.
    score = gram.groupby(["side", "other_side"])["inner"].sum()
    row = pd.read_csv(run / "pairs.csv").query("pair == @pair").iloc[0]
    for side in ("chosen", "rejected"):
        norm = np.sqrt(score[side, side])
        np.testing.assert_allclose(norm, row[f"score_{side}"], rtol=1e-9)
    cosine = score["chosen", "rejected"] / row["score_chosen"] / row["score_rejected"]
    np.testing.assert_allclose(cosine, row["score_cosine"], rtol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lr", "-1"], "--lr is -1.0; expected a positive number"),
        (["--weight-decay", "0.1"], "--weight-decay 0.1 with --optimizer sgd"),
        (["--losses", "dpoo"], "did you mean"),
        (["--pair", "9", "-n", "3"], "--pair 9 does not exist; expected 0 to 2"),
    ],
)
def test_refusals(capsys, tmp_path, arguments, message):
    assert main(["drift", *arguments, "--out", str(tmp_path / "out")]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in last
    assert not list(tmp_path.iterdir())
