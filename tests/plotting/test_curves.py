"""Curves: the closed forms come out as the shapes that they are."""

import numpy as np
import pandas as pd
import pytest

from gradlab.errors import GradlabError
from gradlab.plotting import (
    loss_styles,
    plot_length_curves,
    plot_net_weight,
    plot_penalty_curves,
    plot_penalty_scatter,
)
from gradlab.plotting.curves import MAX_POINTS
from gradlab.tables import select
from tests.plotting.drawing import clipped, flaws, texts
from tests.plotting.synthetic import LOSSES, tokens_table

P = 1 / (1 + np.exp(-np.linspace(-12, 12, 81)))


def curves(**forms) -> pd.DataFrame:
    return pd.concat(
        [pd.DataFrame({"loss": k, "p": P, "weight": v}) for k, v in forms.items()]
    )


def lines(ax):
    return [line for line in ax.lines if len(line.get_xdata()) == len(P)]


def test_odds_are_a_straight_line():
    ax = plot_penalty_curves(curves(unlikelihood_token=P / (1 - P), exmate=P))
    assert ax.get_yscale() == "log"
    line = lines(ax)[0]
    slope = np.diff(np.log(line.get_ydata())) / np.diff(line.get_xdata())
    np.testing.assert_allclose(slope, 1, rtol=1e-6)


def test_p_and_logp_give_the_same_curve():
    by_p = curves(a=P)
    by_logp = by_p.assign(logp=np.log(P)).drop(columns="p")
    one, two = (lines(plot_penalty_curves(t))[0] for t in (by_p, by_logp))
    np.testing.assert_allclose(one.get_xdata(), two.get_xdata(), rtol=1e-9)


def test_zeros_and_negatives_stay_on_the_axis():
    ax = plot_penalty_curves(curves(mle=0 * P, ul=P / (1 - P), ipo=0 * P - 3))
    assert ax.get_yscale() == "symlog"
    assert ax.get_ylim()[0] < -3
    assert clipped(ax.figure) == []


def test_fifteen_losses_have_a_legend_that_fits():
    forms = {loss: P * 10.0 ** (i - 7) for i, loss in enumerate(LOSSES)}
    ax = plot_penalty_curves(curves(**forms))
    assert flaws(ax.figure) == []
    assert len(ax.get_legend().get_texts()) == 15


def test_labels_are_literal_and_never_hidden():
    ax = plot_penalty_curves(curves(_hidden=P, **{"$\\alpha$": P}))
    legend = [t.get_text() for t in ax.get_legend().get_texts()]
    assert legend == [" _hidden", "$\\alpha$"]
    assert not any(t.get_parse_math() for t in ax.get_legend().get_texts())


def test_styles_are_shared():
    styles = loss_styles(["x", "b", "a"])
    ax = plot_penalty_curves(curves(a=P, b=2 * P), styles=styles)
    assert [line.get_color() for line in lines(ax)] == [
        styles["a"].color,
        styles["b"].color,
    ]


def test_bands():
    table = curves(a=P).assign(
        low=lambda t: t["weight"] / 2, high=lambda t: t["weight"] * 2
    )
    assert len(plot_penalty_curves(table).collections) == 1


def rings(ax):
    return [
        float(line.get_xdata()[0]) for line in ax.lines if len(line.get_xdata()) == 1
    ]


def test_the_ring_marks_where_the_sign_flips():
    alpha = 0.25  # unlikelihood's net weight flips at 1 / (1 + alpha) = 0.8
    ax = plot_net_weight(curves(ul=alpha * P / (1 - P) - 1, mle=0 * P - 1, dpo=0 * P))
    (place,) = rings(ax)
    assert 1 / (1 + np.exp(-place)) == pytest.approx(0.8, abs=0.005)


def test_the_ring_is_found_at_an_exact_zero():
    (place,) = rings(plot_net_weight(curves(ul=P / (1 - P) - 1)))  # zero at p = 1/2
    assert place == pytest.approx(0, abs=0.02)


def test_length_curves():
    length = np.arange(1, 129)
    table = pd.concat(
        [
            pd.DataFrame({"loss": "sum", "length": length, "weight": 0.7**length}),
            pd.DataFrame({"loss": "mean", "length": length, "weight": 0.7}),
        ]
    )
    ax = plot_length_curves(table)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    labels = [t.get_text() for t in ax.get_xticklabels()]
    assert labels == ["1", "2", "4", "8", "16", "32", "64", "128"]
    assert flaws(ax.figure) == []


def test_scatter_thins_large_tables():
    table = tokens_table(((10, 3000),), losses=("unlikelihood_token",))
    ax = plot_penalty_scatter(table)
    (dots,) = ax.collections
    assert MAX_POINTS / 2 < len(dots.get_offsets()) <= MAX_POINTS
    x, y = np.asarray(dots.get_offsets()).T
    np.testing.assert_allclose(np.log(y), x, atol=1e-6)  # odds again
    assert clipped(ax.figure) == []


def test_refusals():
    with pytest.raises(GradlabError, match="a probability above 1"):
        plot_penalty_curves(pd.DataFrame({"loss": ["a"], "p": [1.5], "weight": [1.0]}))
    with pytest.raises(GradlabError, match=r"lacks the column\(s\) p"):
        plot_penalty_curves(pd.DataFrame({"loss": ["a"], "weight": [1.0]}))
    chosen = select(tokens_table(), side="chosen")
    with pytest.raises(GradlabError, match="no rejected tokens for 'mle'"):
        plot_penalty_scatter(chosen)
    with pytest.raises(GradlabError, match=r"lacks the column\(s\) length"):
        plot_length_curves(curves(a=P))


def test_scatter_texts():
    shown = {t.get_text() for t in texts(plot_penalty_scatter(tokens_table()).figure)}
    assert {"mle", "∂L/∂log p"} <= shown
