"""Gradient fields: published forms, finite differences, symmetry, null lines."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.errors import GradlabError
from gradlab.losses import LOSSES, resolve
from gradlab.measures.field import function_field, gradient_field, null_lines
from gradlab.types import PairLogps
from tests.losses.cases import one_setting


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def ratios(field):
    return np.meshgrid(np.exp(field.chosen), np.exp(field.rejected), indexing="ij")


@pytest.mark.parametrize("beta", [0.1, 1.0, 3.0])
def test_dpo_in_ratio_coordinates_is_the_published_form(beta):
    field = gradient_field("dpo", beta=beta, points=9)
    x_c, x_r = ratios(field)
    total = x_c**beta + x_r**beta
    expected = np.stack(
        [-beta * x_r**beta / (x_c * total), beta * x_r ** (beta - 1) / total], axis=-1
    )
    np.testing.assert_allclose(field.ratio_gradient, expected, rtol=1e-11)
    sizes = np.abs(field.ratio_gradient)
    np.testing.assert_allclose(sizes[..., 0] / sizes[..., 1], x_r / x_c, rtol=1e-11)
    log = field.log_gradient
    np.testing.assert_allclose(log[..., 0], -log[..., 1], rtol=1e-13)
    assert field.null_lines == ()


def of_two_sums() -> list[str]:
    """Losses of one pair whose slopes are those of their values."""
    bound = {name: resolve(name, **one_setting(name)) for name in LOSSES}
    references = {"ref_chosen", "ref_rejected"}
    return [
        name
        for name, loss in bound.items()
        if references >= set(loss.needs_fields)
        and not (loss.couples_batch or loss.stops_gradient)
    ]


@pytest.mark.parametrize("name", of_two_sums())
def test_every_loss_against_finite_differences(name):
    """Off the kinks: the span and the references leave every grid point smooth."""
    lengths, refs, eps = (2, 3), (-9.3, -8.1), 1e-6
    hyper = {"ref_logps": refs, "lengths": lengths, "points": 4, "span": 2.0}
    field = gradient_field(name, **hyper, **one_setting(name))
    h = np.stack(np.meshgrid(field.chosen, field.rejected, indexing="ij"), axis=-1)

    def value(h):
        sides = []
        for k in (0, 1):
            logps = np.repeat((h[k] + refs[k]) / lengths[k], lengths[k])[None]
            ref = np.full((1, lengths[k]), refs[k] / lengths[k])
            sides.append((jnp.asarray(logps), jnp.ones((1, lengths[k])), ref))
        (c, mask_c, ref_c), (r, mask_r, ref_r) = sides
        pair = PairLogps(c, r, mask_c, mask_r, jnp.asarray(ref_c), jnp.asarray(ref_r))
        return float(resolve(name, **one_setting(name))(pair)[0])

    for i, j in ((0, 0), (1, 3), (2, 1), (3, 2)):
        np.testing.assert_allclose(field.value[i, j], value(h[i, j]), rtol=1e-12)
        for k in (0, 1):
            step = eps * np.eye(2)[k]
            slope = (value(h[i, j] + step) - value(h[i, j] - step)) / (2 * eps)
            got = field.log_gradient[i, j, k]
            np.testing.assert_allclose(got, slope, rtol=1e-6, atol=1e-8)
            ratio = got / np.exp(h[i, j, k])
            np.testing.assert_allclose(field.ratio_gradient[i, j, k], ratio)


def test_swapping_the_sides_of_a_margin_loss():
    """IPO with its target at 0 doesn't know which side is which."""

    def square(h_c, h_r):
        return (h_c - h_r) ** 2

    field = function_field(square, points=8)
    swapped = field.log_gradient.transpose(1, 0, 2)[..., ::-1]
    np.testing.assert_allclose(field.log_gradient, swapped, atol=1e-12)


@pytest.mark.parametrize(
    ("loss", "margin"),
    [("ipo(tau=0.2)", 2.5), ("dpo(beta=0.5,label_smoothing=0.2)", 2 * np.log(4))],
)
def test_null_lines_lie_at_the_target(loss, margin):
    """IPO: h = 1/(2 tau). cDPO: s(beta h) = 1 - eps."""
    field = gradient_field(loss, points=41)
    assert {line.side for line in field.null_lines} == {"chosen", "rejected"}
    for line in field.null_lines:
        at = line.points[:, 0] - line.points[:, 1]
        np.testing.assert_allclose(at, margin, atol=0.01)


def test_null_line_of_one_side_alone():
    """h_c^2 + h_r: the chosen push changes its sign at 0, the rejected one never."""
    field = function_field(lambda c, r: c**2 + r, points=6)
    (line,) = field.null_lines
    assert line.side == "chosen"
    np.testing.assert_allclose(line.points[:, 0], 0, atol=1e-12)
    assert np.ptp(line.points[:, 1]) == np.ptp(field.rejected)


def test_a_hinge_that_is_met_is_no_change_of_sign():
    assert gradient_field("hinge", beta=1.0).null_lines == ()
    axis = np.arange(3.0)
    assert null_lines(axis, axis, np.zeros((3, 3))) == []


def test_columns_are_tidy():
    field = gradient_field("ipo", tau=0.2, points=5)
    table = field.columns()
    assert {len(column) for column in table.values()} == {25}
    row = 5 * 3 + 1
    assert table["h_chosen"][row] == field.chosen[3]
    assert table["h_rejected"][row] == field.rejected[1]
    assert table["d_x_rejected"][row] == field.ratio_gradient[3, 1, 1]
    lines = field.null_columns()
    assert len(lines["side"]) == sum(len(line.points) for line in field.null_lines)
    assert all(len(c) == 0 for c in gradient_field("dpo").null_columns().values())


def test_refusals():
    with pytest.raises(GradlabError, match="ref_logps"):
        gradient_field("dpo", ref_logps=(-1.0, -20.0))
    with pytest.raises(GradlabError, match="points=1"):
        gradient_field("dpo", points=1)
