"""Fan charts: means, ranges over seeds, names at the ends that don't collide."""

import numpy as np
import pandas as pd
import pytest

from gradlab.errors import GradlabError
from gradlab.plotting import loss_styles
from gradlab.plotting.fan import plot_fan
from tests.plotting.drawing import flaws


def runs(slopes: dict[str, float], seeds: int = 3) -> pd.DataFrame:
    rows = [
        {"step": step, "probe": probe, "seed": seed, "value": (slope + seed) * step}
        for probe, slope in slopes.items()
        for seed in range(seeds)
        for step in (4, 0, 2)
    ]
    return pd.DataFrame(rows)


def test_lines_are_means_and_bands_ranges():
    ax = plot_fan(runs({"chosen": 1, "rejected": -9}), x="step", group="probe")
    lines = [line for line in ax.lines if len(line.get_xdata()) == 3]
    np.testing.assert_array_equal(lines[0].get_xdata(), [0, 2, 4])
    np.testing.assert_array_equal(lines[0].get_ydata(), [0, 4, 8])
    np.testing.assert_array_equal(lines[1].get_ydata(), [0, -16, -32])
    band = ax.collections[1].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (-36, 0)


def test_names_stand_apart_in_the_order_of_the_ends():
    slopes = {f"a probe {n}": 0.01 * n for n in range(7)}
    ax = plot_fan(runs(slopes, seeds=1), x="step", group="probe")
    assert flaws(ax.figure) == []
    heights = [text.get_position()[1] for text in ax.texts]
    assert heights == sorted(heights)
    assert [text.get_text() for text in ax.texts][-1] == "a probe 6 0.24"


def test_groups_choose_and_share_styles():
    styles = loss_styles(["rejected", "chosen"])
    table = runs({"chosen": 1, "rejected": -2})
    ax = plot_fan(table, x="step", group="probe", groups=["rejected"], styles=styles)
    (line,) = [line for line in ax.lines if len(line.get_xdata()) == 3]
    assert line.get_color() == styles["rejected"].color
    with pytest.raises(GradlabError, match="no probe 'greedy' in the table; it has"):
        plot_fan(table, x="step", group="probe", groups=["greedy"])
    with pytest.raises(GradlabError, match=r"the table of runs lacks .*seed"):
        plot_fan(table.drop(columns="seed"), x="step", group="probe")
