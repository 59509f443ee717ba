"""Squeezing bars and absorbed shares: heights, factors, the log axis, refusals."""

import numpy as np
import pandas as pd
import pytest

from gradlab.errors import GradlabError
from gradlab.plotting.squeezing import plot_absorbed, plot_squeezed_mass
from tests.plotting.drawing import flaws

MASSES = {"top": (0.5, 0.6), "target": (0.02, 0.005), "rest": (0.48, 0.395)}


def masses(spread: float = 0.1) -> pd.DataFrame:
    rows = [
        {"role": role, "when": when, "value": value, "low": (1 - spread) * value,
         "high": (1 + spread) * value}
        for role, values in MASSES.items()
        for when, value in zip(("before", "after"), values, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_bars_have_the_masses_and_their_factors():
    ax = plot_squeezed_mass(masses())
    heights = [bar.get_height() for bar in ax.patches]
    np.testing.assert_allclose(heights, [v for pair in MASSES.values() for v in pair])
    assert [text.get_text() for text in ax.texts] == ["×1.2", "×0.25", "×0.82"]
    assert flaws(ax.figure) == []


@pytest.mark.parametrize("spread", [0.1, 3.0])
def test_on_a_log_axis_every_bar_is_seen(spread):
    ax = plot_squeezed_mass(masses(spread), log=True)
    assert ax.get_yscale() == "log"
    assert ax.get_ylim()[0] < 0.005 / 1.25
    whiskers = np.concatenate([c.get_segments() for c in ax.collections])
    assert (whiskers[..., 1] > 0).all()
    assert flaws(ax.figure) == []


def test_without_intervals():
    ax = plot_squeezed_mass(masses()[["role", "when", "value"]])
    assert len(ax.collections) == 0


def test_absorbed_shares_are_dots():
    rows = pd.DataFrame({"top_before": [0.2, 0.9], "absorbed": [0.0, 1.0]})
    ax = plot_absorbed(rows, name="decoder")
    dots = np.asarray(ax.collections[0].get_offsets())
    np.testing.assert_array_equal(dots, [[0.2, 0], [0.9, 1]])
    assert flaws(ax.figure) == []


def test_refusals():
    with pytest.raises(GradlabError, match="one row of each role"):
        plot_squeezed_mass(masses().iloc[1:])
    with pytest.raises(GradlabError, match="one row of each role"):
        plot_squeezed_mass(pd.concat([masses(), masses().iloc[:1]]))
    with pytest.raises(GradlabError, match="a probability over 0"):
        plot_squeezed_mass(masses().assign(value=0.0))
    with pytest.raises(GradlabError, match=r"the table of positions lacks .*absorbed"):
        plot_absorbed(pd.DataFrame({"top_before": [0.1]}))
