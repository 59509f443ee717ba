"""Case bars: shares sum to the whole, intervals are Wilson's, all cases known."""

import numpy as np
import pandas as pd
import pytest

from gradlab.errors import GradlabError
from gradlab.measures.entanglement import CASES, case_shares
from gradlab.plotting import plot_cases
from gradlab.plotting.cases import CASE_LOOK, wilson
from tests.plotting.drawing import flaws, texts
from tests.plotting.drifts import LOSSES, UNDIVIDED, drift_pairs


def table(*cases: str) -> pd.DataFrame:
    return pd.DataFrame({"loss": "dpo", "case": cases})


def test_the_cases_are_those_of_the_measure():
    assert set(CASE_LOOK) == set(CASES)


def test_widths_are_shares_from_left_to_right():
    cases = ["ideal"] * 5 + ["both fall"] * 3 + ["reversed"] + ["no push"]
    ax = plot_cases(table(*cases))
    found = {c.get_label(): c.patches[0] for c in ax.containers}
    widths = {name: patch.get_width() for name, patch in found.items()}
    assert widths == pytest.approx(
        {"both fall": 0.3, "reversed": 0.1, "both rise": 0, "ideal": 0.5,
         "no push": 0.1}
    )  # fmt: skip
    assert found["ideal"].get_x() == pytest.approx(0.4)
    shown = {t.get_text() for t in texts(ax.figure)}
    assert {"30", "50", "3 of 10"} <= shown


def test_the_interval_is_that_of_the_measure():
    codes = [2] * 7 + [1] * 33
    share, low, high = case_shares(codes)["both fall"]
    mine = wilson(np.array([7]), np.array([40]))
    np.testing.assert_allclose(mine, [[low], [high]], rtol=1e-12)
    ax = plot_cases(table(*(["both fall"] * 7 + ["ideal"] * 33)))
    (line,) = [s for c in ax.collections for s in c.get_segments() if np.ptp(s[:, 0])]
    np.testing.assert_allclose(line[:, 0], [low, high])
    assert low < share < high
    np.testing.assert_array_equal(wilson(np.array([0]), np.array([5]))[0], 0)
    np.testing.assert_array_equal(wilson(np.array([5]), np.array([5]))[1], 1)


def test_a_step_without_a_split_says_so():
    for empty in ("", np.nan):
        pairs = drift_pairs(losses=("dpo", UNDIVIDED)).replace({"case": {"": empty}})
        shown = [t.get_text() for t in texts(plot_cases(pairs).figure)]
        assert shown.count("this step has no split by side") == 1
        assert sum(" of 60" in text for text in shown) == 1


def test_thirteen_losses_do_not_collide():
    ax = plot_cases(drift_pairs())
    assert flaws(ax.figure) == []
    shown = [t.get_text() for t in ax.get_yticklabels()]
    assert shown == list(LOSSES)


def test_one_pair_and_a_column_of_categories():
    pairs = table("both rise").astype("category")
    ax = plot_cases(pairs)
    assert "100" in {t.get_text() for t in texts(ax.figure)}
    assert flaws(ax.figure) == []


def test_refusals():
    with pytest.raises(GradlabError, match=r"unknown case 'both up' of 'dpo'.*ideal"):
        plot_cases(table("ideal", "both up"))
    with pytest.raises(GradlabError, match=r"lacks the column\(s\) case"):
        plot_cases(table("ideal").drop(columns="case"))
    with pytest.raises(GradlabError, match="no loss 'ipo'"):
        plot_cases(table("ideal"), losses=["ipo"])
    with pytest.raises(GradlabError, match="no rows"):
        plot_cases(table("ideal").iloc[:0])
