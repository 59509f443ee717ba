"""Folders of runs: what is read, and what is refused with which message."""

import json

import pytest

from gradlab.errors import GradlabError
from gradlab.report import read_run
from gradlab.report.runs import make_run
from tests.report.material import LOSSES, tokens_table, write_run


def test_a_run_is_read_and_sorted(tmp_path):
    shuffled = tokens_table().sample(frac=1, random_state=0)
    losses = list(shuffled["loss"].unique())
    run = read_run(write_run(tmp_path / "r", shuffled))
    assert run.losses == losses
    assert run.pairs == run.total == 4
    assert run.prompts[2] == "How many?\n"
    first = run.tokens[run.tokens["loss"] == losses[0]]
    keys = list(zip(first["pair"], first["side"], first["position"], strict=True))
    assert keys == sorted(keys)


def test_only_the_first_pairs_are_read(tmp_path):
    run = read_run(write_run(tmp_path / "r"), max_pairs=2)
    assert sorted(run.tokens["pair"].unique()) == [0, 1]
    assert (run.pairs, run.total) == (2, 4)


def test_a_run_of_before_prompts_were_written(tmp_path):
    folder = write_run(tmp_path / "r")
    (folder / "prompts.parquet").unlink()
    assert read_run(folder).prompts == {}


def test_no_run_there(tmp_path):
    with pytest.raises(GradlabError, match=r"no summary\.csv or metrics\.jsonl there"):
        read_run(tmp_path)
    folder = write_run(tmp_path / "r")
    (folder / "tokens.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(GradlabError, match="not a readable table"):
        read_run(folder)
    folder = write_run(tmp_path / "s")
    (folder / "manifest.json").write_text(json.dumps([1]))
    with pytest.raises(GradlabError, match="expected a JSON object"):
        read_run(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="token_id"), "token_id"),
        (lambda t: t.replace({"side": {"chosen": "good"}}), "side 'good'"),
        (lambda t: t.iloc[:0], "has no rows"),
        (lambda t: t.iloc[1:], "differ in their tokens"),
        (lambda t: t[t["position"] != 3], "don't count from 0 up"),
        (lambda t: t[t["position"] > 0], "don't count from 0 up"),
        (lambda t: t[(t["pair"] != 1) | (t["side"] == "chosen")], "pair 1 lacks"),
    ],
)
def test_tables_that_do_not_fit_together(change, message):
    with pytest.raises(GradlabError, match=message):
        make_run(change(tokens_table()), name="x")


def test_other_tokens_under_another_loss_are_refused():
    table = tokens_table()
    place = table.index[table["loss"] == LOSSES[1]][0]
    table.loc[place, "token_id"] += 1
    with pytest.raises(GradlabError, match="differ in their tokens"):
        make_run(table)
