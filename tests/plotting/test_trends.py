"""Trend lines: values, intervals, shifts, refusals."""

import numpy as np
import pandas as pd
import pytest

from gradlab.errors import GradlabError
from gradlab.plotting import loss_styles
from gradlab.plotting.trends import group_handles, plot_trends
from tests.plotting.drawing import flaws


def trends() -> pd.DataFrame:
    rows = [
        {"step": step, "probe": probe, "value": sign * step, "low": sign * step - 1,
         "high": sign * step + 1}
        for probe, sign in (("chosen", 1), ("rejected", -2))
        for step in (4, 0, 2)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_lines_run_along_x_with_bands():
    ax = plot_trends(trends(), x="step", group="probe")
    lines = [line for line in ax.lines if len(line.get_xdata()) == 3]
    np.testing.assert_array_equal(lines[0].get_xdata(), [0, 2, 4])
    np.testing.assert_array_equal(lines[1].get_ydata(), [0, -4, -8])
    assert len(ax.collections) == 2
    assert ax.collections[0].get_paths()[0].vertices[:, 1].max() == 5
    assert flaws(ax.figure) == []


def test_shifted_lines_have_whiskers():
    ax = plot_trends(trends(), x="step", group="probe", shift=0.2)
    lines = [line for line in ax.lines if len(line.get_xdata()) == 3]
    np.testing.assert_allclose(lines[0].get_xdata(), [-0.1, 1.9, 3.9])
    np.testing.assert_allclose(lines[1].get_xdata(), [0.1, 2.1, 4.1])
    whiskers = ax.collections[0].get_segments()
    np.testing.assert_allclose(whiskers[-1], [[3.9, 3], [3.9, 5]])


def test_groups_choose_and_order_and_share_styles():
    styles = loss_styles(["rejected", "chosen"])
    ax = plot_trends(
        trends(), x="step", group="probe", groups=["rejected"], styles=styles
    )
    lines = [line for line in ax.lines if len(line.get_xdata()) == 3]
    assert [line.get_color() for line in lines] == [styles["rejected"].color]
    handles, labels = group_handles(["rejected", "chosen"], styles)
    assert labels == ["rejected", "chosen"]
    assert handles[0].get_color() == styles["rejected"].color
    with pytest.raises(GradlabError, match="no probe 'greedy' in the table; it has"):
        plot_trends(trends(), x="step", group="probe", groups=["greedy"])
    with pytest.raises(GradlabError, match=r"the table of trends lacks .*step"):
        plot_trends(trends().drop(columns="step"), x="step", group="probe")
