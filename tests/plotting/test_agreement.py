"""Predicted against realised: one scale, the right numbers, no tail cut off."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection

from gradlab.errors import GradlabError
from gradlab.gradients import agreement
from gradlab.plotting import loss_styles, plot_agreement
from gradlab.plotting.agreement import FEW, agreement_numbers, drift_scale
from tests.plotting.drawing import flaws, texts
from tests.plotting.drifts import drift_tokens


def table(predicted, realised) -> pd.DataFrame:
    return pd.DataFrame({"loss": "dpo", "predicted": predicted, "realised": realised})


def gaussian(count: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    predicted = rng.normal(size=count)
    return table(predicted, 0.9 * predicted + 0.05 * rng.normal(size=count))


def shown(ax) -> str:
    return "\n".join(t.get_text() for t in texts(ax.figure))


def test_numbers_by_hand():
    pearson, slope, error = agreement_numbers(
        np.array([1.0, -1.0, 2.0]), np.array([1.0, -2.0, 2.0])
    )
    # means 2/3 and 1/3; centred products 1/3·2/3 + 5/3·7/3 + 4/3·5/3 = 19/3
    assert pearson == pytest.approx(19 / 3 / np.sqrt(14 / 3 * 26 / 3))
    assert slope == pytest.approx(7 / 6)
    assert error == pytest.approx(1 / 3)


def test_numbers_are_those_of_the_summary_table():
    points = gaussian(500)
    mine = agreement_numbers(*points[["predicted", "realised"]].to_numpy().T)
    theirs = agreement(points["predicted"].to_numpy(), points["realised"].to_numpy())
    expected = (theirs.pearson, theirs.slope, theirs.relative_error)
    np.testing.assert_allclose(mine, expected, rtol=1e-6)


def test_undefined_numbers_are_dashes():
    assert np.isnan(agreement_numbers(np.array([]), np.array([]))).all()
    assert "r –" in shown(plot_agreement(table([0.0, 0.0], [0.0, 0.0])))
    assert flaws(plot_agreement(table([0.3], [0.2])).figure) == []


def test_the_diagonal_is_where_both_agree():
    ax = plot_agreement(gaussian(50))
    diagonal = [tuple(li.get_xdata()) == tuple(li.get_ydata()) for li in ax.lines]
    assert diagonal.count(True) == 1
    assert ax.get_xlim() == ax.get_ylim()


def test_few_tokens_are_dots_where_they_belong():
    points = gaussian(FEW)
    ax = plot_agreement(points)
    (dots,) = ax.collections
    assert drift_scale(points[["predicted", "realised"]].to_numpy()).width is None
    np.testing.assert_allclose(dots.get_offsets(), points[["predicted", "realised"]])
    assert "(asinh)" not in shown(ax)


def test_many_tokens_are_counted():
    points = gaussian(FEW + 1)
    (hexagons,) = plot_agreement(points).collections
    assert isinstance(hexagons, PolyCollection)
    assert hexagons.get_array().sum() == len(points)


def test_a_heavy_tail_is_compressed_and_nothing_is_cut_off():
    points = gaussian(FEW)
    points.iloc[0, 1:] = 1e4, -1e4
    ax = plot_agreement(points)
    low, high = ax.get_xlim()
    (dots,) = ax.collections
    places = np.asarray(dots.get_offsets())
    assert ((low < places) & (places < high)).all()
    typical = np.ptp(places[1:, 0])
    assert typical > 0.1 * (high - low)  # on a linear axis 0.0003
    assert "(asinh)" in shown(ax)
    order = np.argsort(points["predicted"])
    assert (np.diff(places[order, 0]) >= 0).all()


def test_rows_that_are_not_finite_are_left_out_and_counted_so():
    points = gaussian(10)
    points.loc[0, "realised"], points.loc[1, "predicted"] = np.nan, np.inf
    assert "8 tokens" in shown(plot_agreement(points))
    assert "0 tokens" in shown(plot_agreement(points.assign(realised=np.nan)))


def test_the_colour_is_that_of_the_loss():
    styles = loss_styles(["mle", "dpo"])
    (dots,) = plot_agreement(gaussian(20), styles=styles).collections
    np.testing.assert_allclose(
        dots.get_facecolor()[0][:3], (0.835, 0.369, 0), atol=0.01
    )


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6])
def test_no_text_collides(scale):
    tokens = drift_tokens(losses=("dpo+0.5*exmate(reduction=token)",))
    tokens[["predicted", "realised"]] *= scale
    assert flaws(plot_agreement(tokens).figure) == []


def test_refusals():
    with pytest.raises(GradlabError, match=r"lacks the column\(s\) realised"):
        plot_agreement(gaussian(3).drop(columns="realised"))
    with pytest.raises(GradlabError, match=r"no loss 'dpoo'.*dpo"):
        plot_agreement(gaussian(3), loss="dpoo")
