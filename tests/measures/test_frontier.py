"""Paths of a loss: matched levels, by hand."""

import numpy as np
import pytest

from gradlab.errors import GradlabError
from gradlab.measures import at_level, shared_levels


def test_between_the_points_of_a_path():
    cost, gain = np.array([4.0, 0.0, 2.0]), np.array([0.0, 1.0, 3.0])
    assert at_level(cost, gain, 1.0) == 2.0
    assert at_level(cost, gain, 3.0) == 1.5
    assert np.isnan(at_level(cost, gain, 4.1))
    assert np.isnan(at_level(cost[:0], gain[:0], 1.0))
    with pytest.raises(GradlabError, match="expected the same"):
        at_level(cost, gain[:2], 1.0)


def test_levels_lie_where_all_paths_are():
    levels = shared_levels(np.array([0.0, 4.0]), np.array([2.0, 9.0]), count=3)
    np.testing.assert_allclose(levels, [2.5, 3.0, 3.5])
    assert not len(shared_levels(np.array([0.0, 1.0]), np.array([2.0, 3.0])))
