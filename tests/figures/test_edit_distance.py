"""The study's figures from a made-up table with its schema."""

from dataclasses import replace

import numpy as np
import pytest

from analyses.edit_distance.cells import KINDS
from analyses.edit_distance.config import FOUR, Config, Runs
from analyses.edit_distance.rows import SIGN_ERROR_LABEL, make_table
from figures import _edit_cells as cells
from figures.edit_distance import FIGURES, draw
from gradlab.errors import GradlabError
from tests.analyses.edit_distance.made_up import BASE, study_rows
from tests.plotting.drawing import flaws

CONFIG = replace(Config(), seeds=(0, 1, 2))


@pytest.fixture(scope="module")
def table():
    return make_table(study_rows(CONFIG))


@pytest.fixture(scope="module")
def figures(table):
    return draw(table)


def test_names_are_those_of_the_study():
    assert tuple(cells.KINDS) == KINDS
    assert cells.FOUR == FOUR
    assert cells.CONTROL == SIGN_ERROR_LABEL


@pytest.mark.parametrize("name", list(FIGURES))
def test_figures_without_flaws(figures, name):
    assert flaws(figures[name]) == []


@pytest.mark.parametrize("name", list(FIGURES))
def test_a_figure_without_its_metric_is_left_out(table, name):
    needed = sorted(FIGURES[name][0] - {"profile"} or {"profile"})[0]
    assert name not in draw(table[table["metric"] != needed])


def test_profiles_hold_means_over_seeds(figures):
    ax = figures["profile"].axes[0]
    line = ax.lines[1]  # after the line at 0: DPO, whose tokens fell by .1
    np.testing.assert_allclose(line.get_ydata(), -0.1 + 1e-3, atol=1e-9)
    assert list(line.get_xdata()) == list(range(-3, 8))


def test_sizes_stand_in_order(figures):
    names = [
        [t.get_text() for t in ax.get_xticklabels()] for ax in figures["distance"].axes
    ]
    assert names[0] == names[1] == ["1", "4", "16", "all"]
    assert names[2] == names[3] == ["one wrong\nresult", "4", "all"]


def test_strengths_have_a_cell_for_each_pair_of_strengths(figures):
    ax = figures["strengths"].axes[0]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["0", "5", "50", "500"]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0.1", "0.3", "1"]
    assert len(ax.texts) == 12
    lowest = f"{100 * (BASE - 0.3 + 1e-3):.0f} %"
    assert [t.get_text() for t in ax.texts[:3]] == [lowest] * 3


def test_a_users_loss_is_drawn_too():
    mine = "tests.analyses.edit_distance.test_runs:my_loss"
    config = replace(CONFIG, extra_losses=(mine,))
    found = draw(make_table(study_rows(config)))["accuracy"]
    names = [t.get_text() for t in found.axes[1].get_yticklabels()]
    assert cells.name_of(mine) in names


def test_a_table_without_word_problems():
    config = replace(CONFIG, word_runs=Runs(stages=0))
    found = draw(make_table(study_rows(config)))
    for name in ("profile", "distance", "plane", "regions", "falls"):
        assert flaws(found[name]) == []


def test_refuses_another_schema(table):
    with pytest.raises(GradlabError, match=r"edit_distance lacks .*metric"):
        draw(table.drop(columns="metric"))
