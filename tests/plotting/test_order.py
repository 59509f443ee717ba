"""Order plots: medians, ranges, and guides of the expected slope."""

import numpy as np
import pandas as pd
import pytest

from gradlab.errors import GradlabError
from gradlab.plotting.order import plot_order
from tests.plotting.drawing import flaws, texts

SLOPES = {"rel_err": 1, "trap_err": 2}


def errors(losses: int = 5) -> pd.DataFrame:
    eta = 10.0 ** -np.arange(3, 7)
    rows = [
        pd.DataFrame({"metric": m, "eta": eta, "value": (1 + i) * eta**s, "loss": i})
        for i in range(losses)
        for m, s in SLOPES.items()
    ]
    return pd.concat(rows, ignore_index=True)


def test_line_is_the_median_and_band_the_range():
    ax = plot_order(errors(), slopes=SLOPES)
    line, guide = ax.lines[:2]
    np.testing.assert_allclose(line.get_ydata(), 3 * line.get_xdata())
    band = ax.collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(5e-3)
    assert band[:, 1].min() == pytest.approx(1e-6)
    # The guide starts at the median of the smallest step, with its slope.
    x, y = guide.get_data()
    assert y[0] == pytest.approx(3e-6)
    np.testing.assert_allclose(np.diff(np.log(y)) / np.diff(np.log(x)), 1)


def test_both_axes_are_logarithmic_and_nothing_collides():
    ax = plot_order(errors(), slopes=SLOPES, names={"rel_err": "first order"})
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    shown = [t.get_text() for t in texts(ax.figure)]
    assert {"slope 1", "slope 2"} <= set(shown)
    assert flaws(ax.figure) == []


def test_refuses_another_table():
    with pytest.raises(GradlabError, match=r"the table of errors lacks .*eta"):
        plot_order(errors().drop(columns="eta"), slopes=SLOPES)
