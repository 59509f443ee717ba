"""Optima by minimising the losses themselves, against the closed forms."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from analyses.length_sensitivity import tabular
from analyses.length_sensitivity.config import Config

CONFIG = replace(Config.smoke(), instances=3, responses=(4, 6), instance_length=9)


@pytest.fixture(autouse=True)
def wide():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("loss", ["averaged_dpo", "ipo"])
def test_the_minimum_is_the_closed_form(loss):
    problems = tabular.draw(CONFIG, 3, 3)
    found = tabular.fit(problems, loss, CONFIG)
    for problem, logps in zip(problems, found, strict=True):
        strength = tabular.strength_of(problem, loss)
        expected = tabular.closed_form(problem, loss, strength)
        np.testing.assert_allclose(logps, expected, atol=1e-6)
        assert np.abs(logps - problem["ref"]).max() > 0.05


def test_the_other_closed_form_is_far_off():
    """The optimum of one kind of loss does not pass for that of the other."""
    problem = tabular.draw(CONFIG, 3, 1)[0]
    one, two = (
        tabular.closed_form(problem, loss, 5.0) for loss in ("averaged_dpo", "dpo")
    )
    assert np.abs(one - two).max() > 0.1


def test_distances_between_the_optima():
    rows = list(tabular._distance_rows(tabular.draw(CONFIG, 0, 5), 0))
    by_part = {}
    for row in rows:
        by_part.setdefault(row["part"], []).append(row["value"])
    assert max(by_part["equal lengths"]) < 1e-12
    assert np.median(by_part["any lengths"]) > 1e-3
