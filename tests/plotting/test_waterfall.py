"""The waterfall: parts add up, totals are right, the worst tokens are the worst."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from gradlab.errors import GradlabError
from gradlab.plotting import plot_waterfall
from gradlab.plotting.falls import fall_window, falling_tokens
from gradlab.plotting.style import LOWERED, RAISED
from gradlab.tables import select
from tests.plotting.drawing import clipped, flaws, texts
from tests.plotting.drifts import UNDIVIDED, drift_tokens
from tests.plotting.synthetic import NASTY, NASTY_LABELS


def pair(lengths=(14, 12), losses=("dpo",), **options):
    return drift_tokens((lengths,), losses, **options)


def bars(ax, color):
    """(bottom, top) of the bars of one colour, by x."""
    found = [
        (p.get_x(), *sorted((p.get_y(), p.get_y() + p.get_height())))
        for p in ax.patches
        if to_rgb(p.get_facecolor()) == to_rgb(color) and p.get_width() < 0.9
    ]
    return np.array(sorted(found))[:, 1:]


def totals(ax):
    """label -> levels of the running totals."""
    (below,) = ax.child_axes
    return {
        p.get_label().split()[0]: p.get_data().values
        for p in below.patches
        if p.get_label()
    }


def heading(ax):
    return ax.get_title(loc="left")


def test_bars_of_one_sign_are_stacked_and_signs_go_opposite_ways():
    table = select(pair((3, 3)), side="chosen").assign(
        by_chosen=[0.3, 0.2, -0.1], by_rejected=[-0.5, 0.1, -0.2], carried=0.0,
        predicted=[-0.2, 0.3, -0.3],
    )  # fmt: skip
    ax = plot_waterfall(table)
    np.testing.assert_allclose(bars(ax, RAISED), [[0, 0.3], [0, 0.2], [-0.1, 0]])
    np.testing.assert_allclose(
        bars(ax, LOWERED), [[-0.5, 0], [0.2, 0.3], [-0.3, -0.1]], atol=1e-12
    )


def test_running_totals_and_the_heading():
    table = select(pair((3, 3)), side="chosen").assign(
        by_chosen=[0.3, 0.2, -0.1], by_rejected=[-0.5, 0.1, -0.2], carried=0.0,
        predicted=[-0.2, 0.3, -0.3], realised=[-0.1, 0.3, -0.4],
        token=[" a", " b", "\n"],
    )  # fmt: skip
    ax = plot_waterfall(table.sample(frac=1, random_state=0))
    found = totals(ax)
    np.testing.assert_allclose(found["predicted"], [-0.2, 0.1, -0.2])
    np.testing.assert_allclose(found["realised"], [-0.1, 0.2, -0.2])
    assert heading(ax).splitlines() == [
        "chosen response: −0.2 nats = +0.4 by chosen −0.6 by rejected tokens",
        "falls most: “⏎” −0.3, “·a” −0.2 (100 % of all that falls)",
    ]


def test_what_the_state_carries_is_drawn_where_there_is_any():
    without, with_ = pair(), pair(losses=("rpo",))
    assert "carried over" not in heading(plot_waterfall(without))
    ax = plot_waterfall(with_)
    assert "carried over" in heading(ax)
    assert "carried over" in {t.get_text() for t in texts(ax.figure)}


def test_without_a_split_the_net_is_drawn():
    table = pair(losses=(UNDIVIDED,))
    ax = plot_waterfall(table)
    assert " by " not in heading(ax)
    shown = {t.get_text() for t in texts(ax.figure)}
    assert "net (no split)" in shown
    assert "by chosen tokens" not in shown
    net = select(table, side="chosen")["predicted"].to_numpy()
    heights = [p.get_height() for p in ax.patches if 0.7 < p.get_width() < 0.8]
    np.testing.assert_allclose(heights, net)


def test_a_missing_realised_drift_leaves_its_line_out():
    assert set(totals(plot_waterfall(pair().assign(realised=np.nan)))) == {"predicted"}
    table = pair().drop(columns=["realised", "carried"])
    assert set(totals(plot_waterfall(table))) == {"predicted"}


def test_the_worst_tokens_are_marked():
    net = np.array([0.0, -1.0, 2.0, -3.0, -0.2, -0.5])
    assert falling_tokens(net) == [3, 1, 5]
    assert falling_tokens(net, 4) == [3, 1, 5]  # -0.2 is under a tenth of -3
    assert falling_tokens(np.array([0.0, 1.0])) == []
    assert falling_tokens(np.array([np.nan, -1.0])) == [1]
    table = select(pair((6, 6)), side="chosen").assign(predicted=net)
    ax = plot_waterfall(table)
    (marks,) = [line for line in ax.lines if line.get_label() == "falls most"]
    assert list(marks.get_xdata()) == [3, 1, 5]
    colors = [t.get_color() for t in ax.get_xticklabels()]
    assert len(set(colors)) == 2
    assert colors[1] == colors[3] == colors[5] != colors[0]


def test_the_window_holds_the_deepest_fall():
    net = np.zeros(100)
    net[[5, 70, 75]] = -1.0
    shown = fall_window(net, 0, 20)
    assert shown.stop - shown.start == 20
    assert shown.start <= 70 < 75 < shown.stop
    assert fall_window(net[:20], 0, 20) == slice(0, 20)
    assert fall_window(np.ones(100), 50, 20) == slice(45, 65)  # nothing falls


def test_a_long_response_says_what_lies_outside():
    table = pair((200, 12))
    ax = plot_waterfall(table, max_tokens=30)
    net = select(table, side="chosen").sort_values("position")["predicted"].to_numpy()
    shown = fall_window(net, 4, 30)
    total = np.cumsum(net)[shown]
    np.testing.assert_allclose(totals(ax)["predicted"], total)  # from the first token
    assert f"tokens {shown.start + 1} to {shown.stop} of 200" in heading(ax)
    assert len(ax.get_xticks()) == 30
    assert flaws(ax.figure) == []


@pytest.mark.parametrize("lengths", [(1, 1), (2, 3), (40, 48), (48, 90)])
@pytest.mark.parametrize("side", ["chosen", "rejected"])
def test_no_text_collides(lengths, side):
    table = drift_tokens((lengths,), ("rpo",), prefix=min(4, lengths[0] - 1))
    assert flaws(plot_waterfall(table, side=side).figure) == []


@pytest.mark.parametrize("scale", [0.0, 1e-9, 1e5])
def test_any_size_of_drift(scale):
    table = pair()
    table[["predicted", "by_chosen", "by_rejected", "realised"]] *= scale
    assert flaws(plot_waterfall(table).figure) == []


def test_drifts_that_are_not_finite_draw_as_gaps():
    table = pair()
    table.loc[3, ["predicted", "by_chosen"]] = np.nan
    table.loc[5, ["predicted", "by_rejected"]] = np.inf
    ax = plot_waterfall(table)
    assert np.isfinite(totals(ax)["predicted"]).all()


def test_untrusted_text_draws_without_a_warning():
    table = pair((24, 30))
    table["token"] = [NASTY[t % len(NASTY)] for t in table["position"]]
    table["loss"] = NASTY_LABELS[1]
    ax = plot_waterfall(table)
    assert clipped(ax.figure) == []


def test_refusals():
    table = drift_tokens(losses=("dpo",))
    with pytest.raises(GradlabError, match="has 8 pairs; say which"):
        plot_waterfall(table)
    with pytest.raises(GradlabError, match="pair 77 of 'dpo' in the tokens table"):
        plot_waterfall(table, pair=77)
    with pytest.raises(GradlabError, match=r"no loss 'dp'.*dpo"):
        plot_waterfall(table, pair=0, loss="dp")
    with pytest.raises(GradlabError, match="side is 'chosen' or 'rejected'"):
        plot_waterfall(table, pair=0, side="good")
    with pytest.raises(GradlabError, match=r"lacks the column\(s\) by_chosen"):
        plot_waterfall(table.drop(columns="by_chosen"), pair=0)
