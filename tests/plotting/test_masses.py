"""Masses and shares: right places, exact zeros, intervals, refusals."""

import numpy as np
import pandas as pd
import pytest

from gradlab.errors import GradlabError
from gradlab.plotting import plot_mass, plot_region_shares
from tests.plotting.drawing import flaws, texts
from tests.plotting.synthetic import LOSSES, summary_table


def places(ax):
    """x of the chosen and of the rejected dots."""
    return [c.get_offsets()[:, 0] for c in ax.collections if len(c.get_offsets()) > 1][
        :2
    ]


def test_dots_stand_at_their_masses_and_zero_has_its_own_place():
    summary = summary_table()
    ax = plot_mass(summary)
    chosen, rejected = places(ax)
    np.testing.assert_allclose(chosen, summary["mass_chosen"])
    np.testing.assert_allclose(rejected[1:], summary["mass_rejected"][1:])
    low, high = ax.get_xlim()
    assert low < rejected[0] < summary["mass_rejected"][1:].min()
    assert high > 100
    assert ax.get_xticklabels()[0].get_text() == "0"
    assert ax.get_xticks()[0] == pytest.approx(rejected[0])


@pytest.mark.parametrize(
    ("good", "bad"),
    [([1.0, 2.0], [0.0, 3.0]), ([1.0, 1.0], [0.0, 0.0]), ([0.0, 0.0], [0.0, 0.0]),
     ([1e-6, 5.0], [1e-9, 1e2]), ([np.nan, 1.0], [1.0, 2.0])],
)  # fmt: skip
def test_every_dot_is_inside(good, bad):
    summary = pd.DataFrame(
        {"loss": ["a", "b"], "mass_chosen": good, "mass_rejected": bad}
    )
    ax = plot_mass(summary)
    low, high = ax.get_xlim()
    for x in places(ax):
        known = np.asarray(x)[np.isfinite(x)]
        assert ((low <= known) & (known <= high)).all()
    assert flaws(ax.figure) == []


def test_ratios_stand_beside_their_losses():
    summary = pd.DataFrame(
        {"loss": ["a", "b", "c"], "mass_chosen": [2.0, 1.0, 0.0],
         "mass_rejected": [1.0, 0.0, 1.0]}
    )  # fmt: skip
    shown = [t.get_text() for t in texts(plot_mass(summary).figure)]
    assert {"bad/good", "0.5", "–"} <= set(shown)


def test_intervals_are_drawn_where_the_table_has_them():
    summary = summary_table(LOSSES[:3])
    without = len(plot_mass(summary).collections)
    for side in ("chosen", "rejected"):
        summary[f"mass_{side}_low"] = summary[f"mass_{side}"] - 1  # may be below 0
        summary[f"mass_{side}_high"] = summary[f"mass_{side}"] * 2
    ax = plot_mass(summary)
    assert len(ax.collections) == without + 2
    ax.figure.draw_without_rendering()


def test_single_column_is_legible():
    for plot in (plot_mass, plot_region_shares):
        figure = plot(summary_table()).figure
        assert figure.get_figwidth() == 3.25
        assert flaws(figure) == []


def test_shares_stack_to_one():
    summary = summary_table(LOSSES[:2])
    summary.loc[1, ["share_before", "share_at", "share_after"]] = [0.0, 0.0, 1.0]
    ax = plot_region_shares(summary)
    widths = np.array([[b.get_width() for b in c] for c in ax.containers])
    np.testing.assert_allclose(widths, [[0.25, 0], [0.05, 0], [0.7, 1]])
    lefts = np.array([[b.get_x() for b in c] for c in ax.containers])
    np.testing.assert_allclose(lefts[:, 0], [0, 0.25, 0.3])
    shown = {t.get_text() for t in texts(ax.figure)}
    assert {"25", "70", "100"} <= shown
    assert "5" not in shown  # too narrow for its number


def test_refusals():
    summary = summary_table(LOSSES[:3])
    with pytest.raises(GradlabError, match="more than one row for a loss"):
        plot_mass(pd.concat([summary, summary]))
    with pytest.raises(GradlabError, match="found a negative one"):
        plot_mass(summary.assign(mass_chosen=-1.0))
    with pytest.raises(GradlabError, match=r"the shares of 'mle' sum to 1\.25, not"):
        plot_region_shares(summary.assign(share_before=0.5))
    with pytest.raises(GradlabError, match=r"lacks the column\(s\) mass_chosen"):
        plot_mass(summary.drop(columns="mass_chosen"))
