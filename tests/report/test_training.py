"""What a training followed: curves, a table of steps, texts."""

import json

import numpy as np
import pandas as pd
import pytest

from gradlab.data import load_tokenizer
from gradlab.errors import GradlabError
from gradlab.report import read_run
from gradlab.report.columns import summary_columns
from gradlab.report.curves import curves_payload
from gradlab.report.payload import run_payload
from gradlab.report.training import POINTS, read_curves
from gradlab.tables import read_table
from tests.report.material import write_training

STEPS = (0, 1, 10, 100)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_training(tmp_path_factory.mktemp("runs") / "dpo")


def test_curves_are_those_of_the_files(folder):
    entries = {e["key"]: e for e in curves_payload(read_curves(folder))}
    assert list(entries) == ["probes:drift_sum", "training:loss", "training:rewards"]
    table = read_table(folder / "probes.csv").set_index(["probe", "statistic"])
    drift = entries["probes:drift_sum"]
    assert drift["unit"] == "nats"
    for side in ("chosen", "rejected"):
        series = drift["series"][side]
        assert series["step"] == list(STEPS)
        for name, statistic in {"value": "mean", "low": "q10", "high": "q90"}.items():
            want = table.loc[(side, statistic), "value"]
            np.testing.assert_allclose(series[name], want, rtol=1e-5)
    loss = entries["training:loss"]["series"]
    assert list(loss) == ["training"]
    np.testing.assert_allclose(loss["training"]["value"], 0.7 / np.arange(1, 13), 1e-5)
    assert set(entries["training:rewards"]["series"]) == {"chosen"}  # the other is nan


def test_texts_are_tokens_tables_whose_losses_are_steps(folder):
    run = read_run(folder)
    assert run.losses == [f"step {step}" for step in STEPS]
    assert run.pairs == 3
    tokens = read_table(folder / "probe_tokens.parquet")
    mine = run.tokens[(run.tokens["loss"] == "step 10") & (run.tokens["pair"] == 2)]
    theirs = tokens[(tokens["step"] == 10) & (tokens["row"] == 3)]
    for side in ("chosen", "rejected"):
        one, two = mine[mine["side"] == side], theirs[theirs["probe"] == side]
        assert one["drift"].tolist() == two["drift"].tolist()
        spell = load_tokenizer(folder / "model")
        assert "".join(one["token"]) == spell.decode(two["token_id"].tolist())
    assert run.prompts[0] == load_tokenizer(folder / "model").decode([300, 301])
    payload = run_payload(run)
    assert payload["rows"] == "step"
    assert [q["key"] for q in payload["quantities"]] == ["drift", "logp"]
    assert all(q["each_loss"] for q in payload["quantities"])


def test_the_table_has_a_row_for_each_step(folder):
    summary = read_run(folder).summary
    assert summary is not None
    assert summary["loss"].tolist() == [f"step {step}" for step in STEPS]
    assert list(summary.columns[1:]) == ["drift_sum/chosen", "drift_sum/rejected"]
    table = read_table(folder / "probes.csv")
    means = table[(table["statistic"] == "mean") & (table["probe"] == "rejected")]
    assert summary["drift_sum/rejected"].tolist() == means["value"].tolist()


def test_columns_of_steps_say_set_unit_and_form():
    names = ["drift_sum/a", "drift_sum/b", "below_start/a", "accuracy/"]
    columns = summary_columns(
        pd.DataFrame({"loss": ["step 0"], **dict.fromkeys(names, 0.5)})
    )
    assert [c["heading"] for c in columns[1:4]] == [
        "Δ log p a",
        "Δ log p b",
        "fallen a",
    ]
    assert "nats" in columns[1]["note"]
    assert columns[2]["note"] == ""
    assert [c["format"] for c in columns[1:4]] == ["number", "number", "percent"]
    assert [c["main"] for c in columns] == [True, True, True, True, False]


def test_a_training_under_way_shows_its_metrics(tmp_path):
    folder = write_training(tmp_path / "run")
    for name in ("probes.csv", "probe_tokens.parquet", "manifest.json"):
        (folder / name).unlink()
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 13, "lo')
    run = read_run(folder)
    assert run.curves is not None
    assert run.curves["step"].max() == 12
    assert (run.summary, run.pairs) == (None, 0)
    assert run_payload(run)["pairs"] == {"number": []}


@pytest.mark.parametrize("missing", ["probe_tokens.parquet", "model/tokenizer.json"])
def test_without_tokens_or_tokenizer_there_are_no_texts(tmp_path, missing):
    folder = write_training(tmp_path / "run")
    (folder / missing).unlink()
    run = read_run(folder)
    assert run.pairs == 0
    assert run.summary is not None


def test_other_probe_sets_have_curves_and_no_texts(tmp_path):
    run = read_run(write_training(tmp_path / "run", sets=("argmax", "chosen")))
    assert run.pairs == 0
    assert run.curves is not None
    assert {"argmax", "chosen"} <= set(run.curves["series"])


def test_answers_have_their_interval(tmp_path):
    folder = write_training(tmp_path / "run")
    rows = {"step": [0, 100], "metric": "all_right", "right": [1, 3], "of": 4,
            "share": [0.25, 0.75], "low": [0.0, 0.3], "high": [0.7, 1.0]}  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "answers.csv", index=False)
    entries = {e["key"]: e for e in curves_payload(read_curves(folder))}
    answers = entries["probes:answers"]
    assert answers["series"]["all_right"] == {
        "step": [0, 100], "value": [0.25, 0.75], "low": [0.0, 0.3], "high": [0.7, 1.0]
    }  # fmt: skip
    assert "95 % intervals" in answers["band"]


def test_long_metrics_are_averaged(tmp_path):
    folder = write_training(tmp_path / "run")
    lines = [{"step": n + 1, "loss": float(n)} for n in range(3 * POINTS)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text)
    curves = read_curves(folder)
    loss = curves[curves["quantity"] == "loss"]
    assert loss["step"].tolist() == list(range(3, 3 * POINTS + 1, 3))
    assert loss["value"].tolist() == [3.0 * n + 1 for n in range(POINTS)]


NO_METRICS = {
    "no JSON": "nonsense", "list": "[1]", "no step": '{"loss": 1.0}',
    "object": '{"step": {}}', "infinite": '{"step": Infinity}', "half": '{"step": 0.5}',
    "negative": '{"step": -1}', "not a number": '{"step": NaN, "loss": 1}',
    "huge": f'{{"step": 1, "loss": 1{"0" * 400}}}', "deep": "[" * 100_000,
    "surrogate": r'{"step": 1, "\ud800": 1}',
}  # fmt: skip


@pytest.mark.parametrize("line", NO_METRICS.values(), ids=NO_METRICS)
def test_lines_that_are_no_metrics_are_refused(tmp_path, line):
    folder = write_training(tmp_path / "run")
    (folder / "metrics.jsonl").write_text(line + "\n")
    with pytest.raises(GradlabError, match=r"metrics\.jsonl"):
        read_run(folder)


def test_a_metric_that_is_never_a_number_has_no_curve(tmp_path):
    folder = write_training(tmp_path / "run")
    (folder / "metrics.jsonl").write_text('{"step": 1, "loss": "nan"}\n')
    assert set(read_curves(folder)["source"]) == {"probes"}


def test_any_name_may_be_a_metric(tmp_path):
    folder = write_training(tmp_path / "run")
    text = '{"step": 1}\n'
    (folder / "metrics.jsonl").write_text(text)
    assert set(read_curves(folder)["source"]) == {"probes"}
    text += '{"step": 2, "value": 3, "key": 4, "step/x": 5}\n'
    (folder / "metrics.jsonl").write_text(text)
    curves = read_curves(folder)
    curves = curves[curves["source"] == "training"]
    assert curves["quantity"].tolist() == ["value", "key", "step"]
    assert curves["series"].tolist() == ["training", "training", "x"]
    assert curves["value"].tolist() == [3, 4, 5]


@pytest.mark.parametrize(
    ("name", "column"),
    [("probes.csv", "step"), ("probes.csv", "value"), ("answers.csv", "high")],
)
def test_columns_that_hold_no_numbers_are_refused(tmp_path, name, column):
    folder = write_training(tmp_path / "run")
    row = {"step": 0, "metric": "a", "share": 0.5, "low": 0.4, "high": 0.6}
    row |= {"probe": "chosen", "statistic": "mean", "value": 1.0, column: "x"}
    pd.DataFrame([row]).to_csv(folder / name, index=False)
    with pytest.raises(GradlabError, match=f"{name}: the column {column} holds"):
        read_run(folder)


def test_tokens_of_other_texts_are_refused(tmp_path):
    folder = write_training(tmp_path / "run")
    tokens = pd.read_parquet(folder / "probe_tokens.parquet")
    tokens["position"] += 1
    tokens.to_parquet(folder / "probe_tokens.parquet")
    with pytest.raises(GradlabError, match=r"position \d+ .* is not in .*texts\.json"):
        read_run(folder)


def test_texts_that_are_none_are_refused(tmp_path):
    folder = write_training(tmp_path / "run")
    texts = folder / "probes" / "texts.json"
    short = {"row": 1, "prompt": [300], "response": [301]}
    texts.write_text(json.dumps({key: [short] for key in ("chosen", "rejected")}))
    with pytest.raises(GradlabError, match="position 1 of the chosen text of row 1"):
        read_run(folder)
    for found in ({}, short | {"prompt": ["300"]}, short | {"row": None}):
        texts.write_text(json.dumps({"chosen": [found]}))
        with pytest.raises(GradlabError, match="not the texts of probes"):
            read_run(folder)
    pd.DataFrame({"step": [0]}).to_csv(folder / "probes.csv", index=False)
    with pytest.raises(GradlabError, match="probe"):
        read_run(folder)
