"""Gradient fields: directions, colours, null lines, and no text out of place."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.quiver import Quiver

from gradlab.errors import GradlabError
from gradlab.plotting.field import (
    MAX_ARROWS,
    magnitude_norm,
    plot_gradient_field,
    plot_gradient_fields,
)
from tests.plotting.drawing import flaws


def table(points=9, loss="dpo") -> pd.DataFrame:
    """The field of -log s(h_c - h_r), in closed form."""
    h = np.linspace(-6, 6, points)
    h_c, h_r = (x.ravel() for x in np.meshgrid(h, h, indexing="ij"))
    push = 1 / (1 + np.exp(h_c - h_r))
    return pd.DataFrame(
        {
            "loss": loss,
            "h_chosen": h_c,
            "h_rejected": h_r,
            "d_h_chosen": -push,
            "d_h_rejected": push,
            "d_x_chosen": -push / np.exp(h_c),
            "d_x_rejected": push / np.exp(h_r),
        }
    )


def null_table(loss="dpo") -> pd.DataFrame:
    ends = {"h_chosen": [-4.0, 6.0], "h_rejected": [-6.0, 4.0]}
    sides = [
        pd.DataFrame({"loss": loss, "side": side, "line": k, **ends})
        for k, side in enumerate(("chosen", "rejected"))
    ]
    return pd.concat(sides)


def arrows(ax) -> Quiver:
    (found,) = [c for c in ax.collections if isinstance(c, Quiver)]
    return found


def test_arrows_descend_and_have_unit_length():
    quiver = arrows(plot_gradient_field(table()))
    assert (quiver.U > 0).all()  # the chosen ratio grows
    assert (quiver.V < 0).all()
    np.testing.assert_allclose(np.hypot(quiver.U, quiver.V), 1)
    np.testing.assert_allclose(quiver.U, -quiver.V)


def test_ratio_coordinates_turn_the_arrows():
    rows = table()
    quiver = arrows(plot_gradient_field(rows, coordinates="ratio"))
    x, y = quiver.X, quiver.Y
    np.testing.assert_allclose(quiver.U / -quiver.V, y / x, rtol=1e-9)
    size = np.sort(np.hypot(rows["d_x_chosen"], rows["d_x_rejected"]))
    np.testing.assert_allclose(np.sort(quiver.get_array()), size)


def test_zero_gradients_are_dots():
    rows = table()
    rows.loc[rows["h_chosen"] > 0, ["d_h_chosen", "d_h_rejected"]] = 0.0
    ax = plot_gradient_field(rows)
    dots = [line for line in ax.lines if line.get_marker() == "."]
    assert len(dots[0].get_xdata()) == (rows["h_chosen"] > 0).sum()
    assert len(arrows(ax).U) == (rows["h_chosen"] <= 0).sum()


def test_large_grids_are_thinned():
    quiver = arrows(plot_gradient_field(table(41)))
    assert len(quiver.U) <= MAX_ARROWS**2


def test_row_order_does_not_matter():
    one = arrows(plot_gradient_field(table()))
    two = arrows(plot_gradient_field(table().sample(frac=1, random_state=0)))
    np.testing.assert_array_equal(one.U, two.U)
    np.testing.assert_array_equal(one.X, two.X)


def test_both_coordinates_side_by_side():
    figure = plot_gradient_fields(table(), null_table())
    assert flaws(figure) == []
    assert len(figure.legends[0].get_texts()) == 2
    assert not plot_gradient_fields(table()).legends


def test_null_lines_of_other_losses_are_left_out():
    both = pd.concat([table(), table(loss="ipo")])
    ax = plot_gradient_field(both, null_table("ipo"), loss="dpo")
    other = plot_gradient_field(both, null_table("ipo"), loss="ipo")
    assert len(other.lines) == len(ax.lines) + 4  # two lines, each with a white rim


def test_norm_spans_at_most_eight_decades():
    norm = magnitude_norm(np.array([[1e-30, 1.0], [0.0, 0.0]]))
    assert (norm.vmin, norm.vmax) == (1e-8, 1.0)
    assert magnitude_norm(np.ones((2, 3))).vmin == 0
    assert magnitude_norm(np.zeros((2, 3))).vmax == 1


def test_refusals():
    with pytest.raises(GradlabError, match="coordinates='polar'"):
        plot_gradient_field(table(), coordinates="polar")
    with pytest.raises(GradlabError, match="full grid"):
        plot_gradient_field(table().iloc[1:])
    rows = table().drop(columns="d_x_chosen")
    with pytest.raises(GradlabError, match="d_x_chosen"):
        plot_gradient_field(rows, coordinates="ratio")
    with pytest.raises(GradlabError, match="nothing"):
        plot_gradient_field(table(), loss="nothing")
