"""The grid of losses: every number in its cell, shades by size."""

import numpy as np
import pandas as pd
import pytest

from gradlab.errors import GradlabError
from gradlab.plotting.lossgrid import plot_loss_grid
from tests.plotting.drawing import flaws, texts
from tests.plotting.synthetic import LOSSES

COLUMNS = ["edits", "hh", "blimp"]


def cells() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        {"loss": loss, "column": column, "value": 10.0 ** -rng.uniform(1, 8)}
        for loss in LOSSES
        for column in COLUMNS
    ]
    return pd.DataFrame(rows)


def test_every_number_stands_in_its_cell():
    table = cells()
    table.loc[0, "value"] = 0.25
    ax = plot_loss_grid(
        table, rows=LOSSES, columns=COLUMNS, text=lambda x: f"{x:.3g}", marked=["dpo"]
    )
    found = {t.get_position(): t.get_text() for t in ax.texts}
    assert found[(0.5, 0.5)] == "0.25"
    assert len(found) == len(LOSSES) * len(COLUMNS)
    names = [t.get_text() for t in ax.get_yticklabels()]
    assert "dpo *" in names
    assert names[0] == "mle"
    assert flaws(ax.figure) == []


def test_larger_values_are_darker_and_text_turns_white():
    table = pd.DataFrame({"loss": ["a", "b"], "column": "x", "value": [1e-6, 1e-1]})
    ax = plot_loss_grid(table, rows=["a", "b"], columns=["x"])
    ax.figure.draw_without_rendering()
    light, dark = ax.collections[0].get_facecolor()[:, :3].sum(1)
    assert dark < light
    assert [t.get_color() for t in ax.texts] == ["#222222", "white"]


def test_absent_cells_stay_empty():
    table = cells().iloc[1:]
    ax = plot_loss_grid(table, rows=LOSSES, columns=COLUMNS)
    found = {t.get_position(): t.get_text() for t in ax.texts}
    assert found[(0.5, 0.5)] == "–"
    nothing = table.assign(value=np.nan)
    assert texts(plot_loss_grid(nothing, rows=LOSSES, columns=COLUMNS).figure)


def test_refuses_another_table():
    with pytest.raises(GradlabError, match=r"the table of cells lacks .*value"):
        plot_loss_grid(cells().drop(columns="value"), rows=LOSSES, columns=COLUMNS)
