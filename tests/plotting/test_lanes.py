"""Lanes: signs point the right way, scales are said, long responses are cut."""

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from gradlab.errors import GradlabError
from gradlab.plotting import plot_token_weights, weight_norm
from gradlab.plotting.style import LOWERED, RAISED
from gradlab.tables import select
from tests.plotting.drawing import clipped, flaws, texts
from tests.plotting.synthetic import LOSSES, tokens_table


def pair(lengths=(12, 9), losses=LOSSES[:4]):
    return tokens_table((lengths,), losses=losses)


def bars(ax):
    (collection,) = [c for c in ax.collections if isinstance(c, PolyCollection)]
    return collection


def test_negative_goes_down_in_blue_and_positive_up_in_red():
    table = pair((3, 3), ("dpo",))
    table["weight"] = np.where(table["position"] == 1, 2.0, -1.0)
    ax = plot_token_weights(table)
    assert ax.yaxis_inverted()
    paths = bars(ax).get_paths()
    ends = [path.vertices[1, 1] for path in paths]  # the far end of each bar
    np.testing.assert_allclose(ends, [0.21, -0.42, 0.21], atol=1e-9)  # y points down
    colors = [tuple(c[:3]) for c in bars(ax).get_facecolor()]
    assert colors == [to_rgb(RAISED), to_rgb(LOWERED), to_rgb(RAISED)]


def test_a_zero_weight_has_no_bar():
    ax = plot_token_weights(pair((5, 5), ("mle",)), side="rejected")
    assert bars(ax).get_paths() == []


def test_both_sides_share_a_losss_scale():
    table = pair((4, 4), ("dpo",))
    table["weight"] = np.where(table["side"] == "chosen", -4.0, 1.0)
    chosen, rejected = (
        bars(plot_token_weights(table, side=side)).get_paths()[0].vertices[:, 1]
        for side in ("chosen", "rejected")
    )
    assert np.ptp(chosen) == pytest.approx(4 * np.ptp(rejected))


def test_a_small_negative_beside_a_large_weight_is_seen():
    table = pair((6, 6), ("unlikelihood_token",))
    table["weight"] = [1e-2, -1.0, 1e4, 3.0, -0.1, 20.0] * 2
    ax = plot_token_weights(table)
    heights = [np.ptp(p.vertices[:, 1]) for p in bars(ax).get_paths()]
    assert min(heights[1:]) > 0.05
    assert "−1 to 10⁴ (log)" in {t.get_text() for t in texts(ax.figure)}


def test_long_responses_say_how_many_tokens_are_outside():
    ax = plot_token_weights(pair((100, 60)), max_tokens=30)
    shown = {t.get_text() for t in texts(ax.figure)}
    assert "…+70" in shown
    assert len(ax.get_xticks()) == 30
    assert flaws(ax.figure) == []


def test_one_loss_in_given_axes_of_one_column():
    figure = Figure(figsize=(3.25, 1.2), layout="constrained")
    ax = figure.add_subplot()
    table = pair((12, 9))
    norm = weight_norm([1.0])
    assert plot_token_weights(table, losses=["dpo"], norm=norm, ax=ax) is ax
    assert [t.get_text() for t in ax.get_yticklabels()] == ["dpo"]
    assert clipped(figure) == []


def test_refuses_several_pairs():
    with pytest.raises(GradlabError, match="one pair can be drawn"):
        plot_token_weights(tokens_table())


def test_the_first_difference_is_marked_and_may_be_missing():
    ax = plot_token_weights(pair())
    assert "first difference" in {t.get_text() for t in texts(ax.figure)}
    ax = plot_token_weights(select(pair((4, 9), ("dpo",)), pair=0), side="chosen")
    assert "first difference" not in {t.get_text() for t in texts(ax.figure)}
