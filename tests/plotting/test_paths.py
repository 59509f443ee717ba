"""Paths in a plane, and the points that no other beats."""

import numpy as np
import pandas as pd
import pytest

from gradlab.errors import GradlabError
from gradlab.plotting.paths import pareto_set, plot_paths


def test_pareto_set_against_all_comparisons():
    rng = np.random.default_rng(0)
    cost, gain = rng.integers(0, 6, size=(2, 40)).astype(float)
    found = pareto_set(cost, gain)
    for i in range(40):
        beaten = any(
            (cost[j] <= cost[i] and gain[j] > gain[i])
            or (cost[j] < cost[i] and gain[j] == gain[i])
            for j in range(40)
        )
        assert found[i] == (not beaten)


def points() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "group": ["dpo", "dpo", "ipo", "ipo"],
            "x": [2.0, 0.0, 1.0, 0.0],
            "y": [1.0, 0.1, 0.8, 0.1],
            "low": 0.0,
            "high": 2.0,
        }
    )


def test_a_line_goes_through_its_points_in_order():
    ax = plot_paths(points(), pareto=True)
    one, two, ringed = ax.lines
    assert one.get_xdata().tolist() == [0.0, 2.0]
    assert two.get_ydata().tolist() == [0.1, 0.8]
    assert sorted(ringed.get_xdata()) == [0.0, 0.0, 1.0, 2.0]
    with pytest.raises(GradlabError, match="the table of points lacks"):
        plot_paths(points().drop(columns="y"))
