"""Signed scales: symmetric, zero in the middle, ticks that don't collide."""

import numpy as np
import pytest
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure

from gradlab.plotting.scales import (
    apart,
    log_odds,
    norm_ticks,
    set_log_ticks,
    set_probability_axis,
    set_weight_axis,
    tick_text,
    weight_norm,
)


@pytest.mark.parametrize("seed", range(5))
def test_places_move_as_little_as_can_be(seed):
    wanted = np.random.default_rng(seed).uniform(0, 3, 8)
    found = apart(wanted, 0.5)
    order = np.argsort(wanted)
    assert (np.diff(found[order]) >= 0.5 - 1e-12).all()
    # A least-squares solution: the moves of each cluster of neighbours add up to 0.
    breaks = np.flatnonzero(np.diff(found[order]) > 0.5 + 1e-9) + 1
    for cluster in np.split((found - wanted)[order], breaks):
        assert cluster.sum() == pytest.approx(0, abs=1e-12)
    np.testing.assert_array_equal(apart([3.0, 0.0, 1.0], 0.5), [3, 0, 1])
    assert apart([], 1.0).size == 0


@pytest.mark.parametrize(
    "values",
    [[0.5, -0.2], [-1e-6, 1e2, 3.0], [0.0], [], [np.nan, np.inf, 2.0], [7e-9]],
)
def test_zero_is_the_middle_and_the_largest_the_end(values):
    norm = weight_norm(values)
    assert float(norm(0.0)) == pytest.approx(0.5)
    sizes = [abs(v) for v in values if np.isfinite(v)]
    largest = max(sizes, default=0) or 1.0
    assert (norm.vmin, norm.vmax) == (-largest, largest)
    ticks = norm_ticks(norm)
    assert ticks == sorted(ticks)
    assert ticks == [-t for t in reversed(ticks)]
    assert max(ticks) <= largest * (1 + 1e-9)


def test_symlog_only_where_magnitudes_differ_widely():
    assert not isinstance(weight_norm([1.0, -0.1]), SymLogNorm)
    wide = weight_norm([-1.0, 1e-4, 3e3])
    assert isinstance(wide, SymLogNorm)
    # A decade takes the same room wherever it lies.
    steps = np.diff(np.ma.getdata(wide(np.array([1.0, 10.0, 100.0, 1000.0]))))
    np.testing.assert_allclose(steps, steps[0], rtol=1e-9)
    # A weight of 1 beside one of 3,000 can still be seen.
    assert 0.5 - float(wide(-1.0)) > 0.1


def axes():
    return Figure().add_subplot()


def test_axis_is_log_symlog_or_linear():
    for values, scale in (
        ([1e-3, 1e3], "log"),
        ([0.0, 1e-3, 1e3], "symlog"),
        ([-1.0, 1e-3, 1e3], "symlog"),
        ([1.0, 2.0], "linear"),
        ([0.0, 0.0], "linear"),
    ):
        ax = axes()
        set_weight_axis(ax, values)
        assert ax.get_yscale() == scale
        low, high = ax.get_ylim()
        if scale != "linear":
            assert low < min(values)
            assert high > max(values)


def test_symlog_ticks_keep_a_distance():
    ax = axes()
    set_weight_axis(ax, [-3.0, 0.0, 1e-9, 1e4])
    places = ax.yaxis.get_transform().transform(np.array(ax.get_yticks()))
    low, high = ax.yaxis.get_transform().transform(np.array(ax.get_ylim()))
    assert 0.0 in ax.get_yticks()
    assert np.diff(places).min() >= 0.099 * (high - low)


def test_log_odds_is_exact_and_finite():
    p = np.array([1e-12, 0.2, 0.5, 0.999])
    np.testing.assert_allclose(log_odds(np.log(p)), np.log(p / (1 - p)), atol=1e-12)
    assert np.isfinite(log_odds([0.0, -0.0, -1e-30, -800.0])).all()


@pytest.mark.parametrize("ends", [(-9, 9), (-30, 3), (-0.4, 0.4), (2, 16)])
def test_probability_ticks_keep_a_distance(ends):
    ax = axes()
    ax.set_xlim(ends)
    set_probability_axis(ax.xaxis, np.linspace(*ends, 50))
    ticks = ax.get_xticks()
    assert len(ticks) >= 1
    if len(ticks) > 1:
        assert np.diff(ticks).min() >= 0.119 * (ends[1] - ends[0])


def test_tick_text():
    assert [tick_text(t) for t in (-1e3, 0.01, 1.0, 1e-6, 0.0022)] == [
        "−10³", "0.01", "1", "10⁻⁶", "0.0022",
    ]  # fmt: skip


def test_log_ticks_are_plain_text():
    ax = Figure().add_subplot()
    ax.set_xscale("log")
    ax.set_xlim(1e-4, 1e2)
    set_log_ticks(ax.xaxis)
    ax.figure.draw_without_rendering()
    labels = [text.get_text() for text in ax.get_xticklabels()]
    assert "0.01" in labels
    assert "10⁻⁴" in labels
    assert list(ax.xaxis.get_minorticklocs()) == []
