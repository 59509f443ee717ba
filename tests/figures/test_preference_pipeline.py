"""The study's figures from a made-up table with its schema."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analyses.preference_pipeline.config import Config
from figures._preference_runs import FORMS
from figures.preference_pipeline import DISTORTIONS, draw, zero_crossings
from gradlab.errors import GradlabError
from tests.analyses.preference_pipeline.made_up import made_up_table
from tests.plotting.drawing import flaws

NEEDS = {
    "calls": "matched", "pairs": "matched", "distortions": "drift",
    "judges": "ties", "budget": "delta", "threshold": "lambda", "quadratic": "delta",
    "losses": "control", "grid": "grid", "planes": "plane",
    "paths": "reference",
}  # fmt: skip


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return made_up_table(replace(Config(), seeds=(0, 1, 2), tuning_seeds=()))


@pytest.fixture(scope="module")
def figures(table):
    return draw(table)


def test_all_figures_from_the_documented_table(figures):
    assert set(figures) == set(NEEDS)
    for name, figure in figures.items():
        assert flaws(figure) == [], name


@pytest.mark.parametrize("part", sorted(set(NEEDS.values())))
def test_a_figure_without_its_part_is_left_out(table, part):
    found = draw(table[table["part"] != part])
    gone = {name for name, needed in NEEDS.items() if needed == part}
    assert not gone & set(found)
    assert "calls" in found or part == "matched"


def test_the_crossing_of_each_distortion_is_marked(table):
    """The made-up difference, moved: .4 strength - .09 crosses at .225."""
    moved = table.copy()
    moved.loc[moved["scheme"].str.startswith("scores x 1"), "value"] += 0.01
    for ax in draw(moved)["distortions"].axes:
        rings = [
            float(line.get_xdata()[0])
            for line in ax.lines
            if line.get_markerfacecolor() == "none"
        ]
        assert rings == pytest.approx([0.225] * len(DISTORTIONS), rel=1e-6)


def test_crossings_of_zero():
    x = np.array([0.0, 1.0, 2.0, 4.0])
    assert zero_crossings(x, np.array([1.0, -1.0, -1.0, 1.0])) == [0.5, 3.0]
    assert zero_crossings(x, np.array([1.0, 1.0, 2.0, 3.0])) == []


def test_the_budget_panel_shows_the_means(figures, table):
    ax = figures["budget"].axes[0]
    rows = table[(table["part"] == "delta") & (table["metric"] == "utility")]
    for form in FORMS:
        own = rows[rows["loss"] == form].groupby("delta")["value"].mean()
        assert any(
            len(line.get_ydata()) == len(own) and np.allclose(line.get_ydata(), own)
            for line in ax.lines
        ), form


def test_paths_lead_from_the_reference_to_the_means(figures, table):
    rows = table[(table["part"] == "plane") & (table["delta"] == np.inf)]
    reference = table[(table["part"] == "reference") & (table["metric"] == "utility")]
    for ax, base in zip(figures["paths"].axes, ("dpo", "simpo", "ipo"), strict=True):
        means = rows[rows["loss"] == base].groupby("metric")["value"].mean()
        line = ax.lines[-1]
        np.testing.assert_allclose(line.get_xdata(), [0.0, means["kl"]])
        expected = [reference["value"].mean(), means["utility"]]
        np.testing.assert_allclose(line.get_ydata(), expected)


def test_the_planes_show_every_base_in_both_forms(figures, table):
    rows = table[(table["part"] == "plane") & (table["metric"] == "utility")]
    bottom = figures["planes"].axes[3:]
    assert [ax.get_title(loc="left") for ax in figures["planes"].axes[:3]] == [
        "dpo", "simpo", "ipo"
    ]  # fmt: skip
    for ax, on in zip(bottom, ("", "(base=simpo)", "(base=ipo)"), strict=True):
        for form, delta in itertools.product(FORMS, (2.0, 8.0)):
            own = rows[(rows["loss"] == form + on) & (rows["delta"] == delta)]
            means = own.groupby("strength")["value"].mean()
            assert any(
                len(line.get_ydata()) == len(means)
                and np.allclose(line.get_ydata(), means)
                for line in ax.lines
            ), (form, on, delta)


def test_refuses_another_schema(table):
    with pytest.raises(GradlabError, match=r"preference_pipeline lacks .*metric"):
        draw(table.drop(columns="metric"))
