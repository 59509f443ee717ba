"""Study tables: schema, file pair, intervals over seeds."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gradlab.errors import GradlabError
from gradlab.tables import (
    build_manifest,
    check_study_table,
    read_manifest,
    read_table,
    require_columns,
    seed_intervals,
    select,
    write_study,
)


def study(**changes) -> pd.DataFrame:
    columns = {
        "study": "tiny",
        "loss": ["dpo", "dpo", "ipo"],
        "seed": [0, 1, 0],
        "step": [math.nan] * 3,
        "side": ["", "", "chosen"],
        "metric": "mass",
        "value": [1.0, 2.0, 3.0],
    }
    return pd.DataFrame(columns | changes)


def test_pair_of_files_is_written_and_read(tmp_path):
    table, manifest = write_study(tmp_path, study(), build_manifest(config={"n": 1}))
    assert (table.name, manifest.name) == ("tiny.csv", "tiny.json")
    check_study_table(read_table(table))
    pd.testing.assert_frame_equal(read_table(table), study(), check_dtype=False)
    assert set(read_manifest(manifest)["sha256"]) == {"tiny.csv"}


def test_a_manifest_that_fails_leaves_no_table(tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("gradlab.tables.studies.write_manifest", fail)
    with pytest.raises(KeyboardInterrupt):
        write_study(tmp_path / "tables", study(), {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"value": ["1", "2", "3"]}, "value must hold numbers"),
        ({"study": ["a", "b", "a"]}, "mixes the studies a, b"),
        ({"metric": ["mass", "", "mass"]}, "row 2 names no metric"),
        ({"metric": ["mass", None, "mass"]}, "row 2 names no metric"),
        ({"seed": [0, 0, 0]}, r"row 2 repeats an observation: .*'dpo'"),
    ],
)
def test_what_is_no_study_table(changes, message):
    with pytest.raises(GradlabError, match=message):
        check_study_table(study(**changes))


def test_missing_columns_and_rows_are_named():
    with pytest.raises(GradlabError, match=r"lacks the column\(s\) seed, step; found"):
        check_study_table(study().drop(columns=["seed", "step"]))
    with pytest.raises(GradlabError, match="has no rows"):
        check_study_table(study().iloc[:0])
    with pytest.raises(GradlabError, match=r"the sheet lacks .* found none"):
        require_columns(pd.DataFrame(), ["a"], "the sheet")


def test_a_name_that_would_leave_the_folder_is_refused(tmp_path):
    with pytest.raises(GradlabError, match="not a Python identifier"):
        write_study(tmp_path, study(study="../evil"), {})
    assert list(tmp_path.iterdir()) == []


def test_select():
    assert list(select(study(), loss="dpo", seed=1)["value"]) == [2.0]
    assert list(select(study(), loss=("ipo", "dpo"))["value"]) == [1.0, 2.0, 3.0]
    assert select(study(), loss="none").empty


def test_interval_is_students_over_seed_means():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4, 3))  # seeds, rows of a seed
    table = pd.DataFrame(
        {"loss": "b", "seed": np.repeat(range(4), 3), "value": values.ravel()}
    )
    one = pd.DataFrame({"loss": "a", "seed": [0], "value": [5.0]})
    found = seed_intervals(pd.concat([table, one]), ["loss"])
    means = values.mean(axis=1)
    low, high = stats.t.interval(0.95, 3, means.mean(), stats.sem(means))
    np.testing.assert_allclose(
        found.iloc[0][["value", "low", "high", "seeds"]].astype(float),
        [means.mean(), low, high, 4],
        rtol=1e-12,
    )
    assert list(found["loss"]) == ["b", "a"]  # order of appearance
    assert found.iloc[1]["value"] == 5.0
    assert np.isnan(found.iloc[1][["low", "high"]].astype(float)).all()


def test_a_group_key_may_be_missing():
    table = pd.DataFrame({"p": [np.nan, 0.5], "seed": [0, 0], "value": [1.0, 2.0]})
    assert len(seed_intervals(table, ["p"])) == 2
