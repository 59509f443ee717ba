"""Bars of the logit gradient at the first difference."""

import numpy as np
import pandas as pd
import pytest

from gradlab.errors import GradlabError
from gradlab.plotting import plot_logit_bars
from tests.plotting.drawing import clipped, flaws
from tests.plotting.synthetic import LOSSES

ROLES = ["good", "bad", "third", "rest"]


def table(losses=LOSSES) -> pd.DataFrame:
    rows = [(loss, role) for loss in losses for role in ROLES]
    values = [-0.6, 0.3, 0.2, 0.1] * len(losses)
    return pd.DataFrame(rows, columns=["loss", "role"]).assign(value=values)


def test_bars_stand_with_their_losses():
    ax = plot_logit_bars(table(), losses=["dpo", "mle"])
    heights = [[bar.get_height() for bar in c] for c in ax.containers]
    np.testing.assert_allclose(
        heights, np.repeat([[-0.6], [0.3], [0.2], [0.1]], 2, axis=1)
    )
    assert [t.get_text() for t in ax.get_xticklabels()] == ["dpo", "mle"]


@pytest.mark.parametrize("count", [1, 15])
def test_legible(count):
    figure = plot_logit_bars(table(LOSSES[:count])).figure
    assert clipped(figure) == []
    if count == 1:
        assert flaws(figure) == []


def test_a_missing_role_is_a_gap_and_intervals_are_drawn():
    bars = table(LOSSES[:2]).iloc[:-1].assign(low=-1.0, high=1.0)
    ax = plot_logit_bars(bars)
    ax.figure.draw_without_rendering()
    assert len(ax.collections) == 4


def test_refusals():
    with pytest.raises(GradlabError, match=r"unknown role\(s\) \['fourth'\]"):
        plot_logit_bars(table().assign(role="fourth"))
    with pytest.raises(GradlabError, match="repeats a role"):
        plot_logit_bars(pd.concat([table(), table()]))
