"""Paths at an equal level, and seeds that several runs share."""

import numpy as np
import pandas as pd
import pytest

from analyses.self_imitation.reading import (
    at_equal_fall,
    at_equal_margin,
    at_level,
    paired,
    paths,
)


def test_the_first_crossing_counts():
    progress = np.array([0.0, 2.0, 1.0, 4.0])
    along = np.array([0.0, 10.0, 20.0, 30.0])
    assert at_level(progress, along, 1.0) == 5.0
    assert at_level(progress, along, 3.0) == pytest.approx(20 + 10 * 2 / 3)
    assert np.isnan(at_level(progress, along, 5.0))
    assert np.isnan(at_level(progress, along, -1.0))


def test_runs_are_compared_where_both_have_been():
    one = np.array([[0.0, 1.0, 2.0], [0.0, -1.0, -4.0]])
    two = np.array([[0.0, -1.0, -2.0], [0.0, -1.0, -2.0]])
    # Fall 2: a third of the way from the first to the second stage, and the end.
    assert at_equal_fall(one, two) == pytest.approx(4 / 3 + 2)
    # The second never gains a margin.
    assert np.isnan(at_equal_margin(one, two))


def test_seeds_that_one_run_lacks_are_left_out():
    runs = ({0: np.array([1.0]), 2: np.array([3.0])}, {2: np.array([5.0])})
    assert list(paired(*runs)) == [(3.0, 5.0)]


def test_paths_begin_at_nought():
    rows = [
        {"loss": "dpo", "seed": 4, "step": step, "metric": f"d_{side}_sum", "value": v}
        for step in (2, 1)
        for side, v in (("chosen", step), ("rejected", -step))
    ]
    found = paths(pd.DataFrame(rows), loss="dpo")
    np.testing.assert_array_equal(found[4], [[0, 1, 2], [0, -1, -2]])
