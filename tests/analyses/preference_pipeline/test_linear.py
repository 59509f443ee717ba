"""The linear model: predicted thresholds against paths of the losses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from analyses.preference_pipeline import CLAIMS, Config, linear
from analyses.preference_pipeline.linear import (
    BASES,
    BEYOND,
    DELTA,
    LENGTHS,
    Pair,
    draw_pair,
    linear_rows,
    peak_drop,
)
from gradlab.gradients import token_weights
from gradlab.types import PairLogps

PAIR = Pair(kappa=1.6, rejected=3.0)
# Of SimPO, whose weight on the rejected sum is two thirds of that on the chosen one.
SHORTER = Pair(kappa=2.4, rejected=6.75)


def drops(form: str, base: str, *factors: float) -> tuple[np.ndarray, np.ndarray]:
    pair = SHORTER if base == "simpo" else PAIR
    with jax.enable_x64(True):
        lam = jnp.asarray(factors) * pair.threshold(form, BASES[base])
        ones = jnp.ones_like(lam)
        found = peak_drop(
            form, base, pair.kappa * ones, pair.rejected * ones, lam, steps=20_000
        )
    return np.asarray(found[0]), np.asarray(found[1])


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("form", ["outside", "inside"])
def test_below_the_threshold_it_slides_through_and_above_it_holds(form, base):
    peak, last = drops(form, base, 0.5, 0.8, 1.25, 2.0)
    assert (peak[:2] > DELTA + 0.01).all()
    assert (peak[2:] < DELTA + 0.01).all()
    assert (last[2:] > 0.95 * DELTA).all()
    assert peak[0] > peak[1]


def test_the_inside_threshold_is_kappa_less_one():
    assert PAIR.threshold("inside", BASES["dpo"]) == pytest.approx(0.6)
    assert PAIR.threshold("inside", BASES["ipo"]) == pytest.approx(0.6)
    assert SHORTER.threshold("inside", BASES["simpo"]) == pytest.approx(0.6)


@pytest.mark.parametrize("base", BASES)
def test_the_pull_of_a_base_is_its_token_weight(base):
    """Two chosen tokens fell by half a nat each, three rejected by two thirds."""
    level = [jnp.full((1, length), -5.0) for length in LENGTHS]
    masks = [jnp.ones((1, length), bool) for length in LENGTHS]
    pairs = PairLogps(level[0] - 0.5, level[1] - 2 / 3, *masks, *level)
    weights = token_weights(BASES[base].spec, pairs)
    pull, ratio = BASES[base].pull(-1.0, -2.0), BASES[base].ratio
    np.testing.assert_allclose(weights.chosen, np.full((1, 2), -pull), rtol=1e-5)
    np.testing.assert_allclose(
        weights.rejected, np.full((1, 3), ratio * pull), rtol=1e-5
    )


@pytest.mark.parametrize("base", BASES)
def test_the_outside_threshold_is_that_of_the_margin_reached(base):
    """By a walk of the base to the budget, in closed form of its weights."""
    a, b, own = 0.0, 0.0, BASES[base]
    pair = SHORTER if base == "simpo" else PAIR
    step = 0.001 / own.pull(0, 0)
    while -a < DELTA:
        pull = step * own.pull(a, b)
        a += pull * (1 - own.ratio * pair.kappa)
        b += pull * (pair.kappa - own.ratio * pair.rejected)
    expected = own.pull(a, b) * (own.ratio * pair.kappa - 1)
    assert pair.threshold("outside", own) == pytest.approx(expected, rel=1e-3)


def test_a_drawn_pair_falls_and_obeys_cauchy_and_schwarz():
    rng = np.random.default_rng(0)
    for base in BASES.values():
        for _ in range(50):
            pair = draw_pair(rng, base)
            assert base.ratio * pair.kappa > 1
            assert pair.kappa**2 <= pair.rejected


def test_what_no_factor_holds_lies_outside_the_margin(monkeypatch):
    """So that the claim can fail, at either end of the factors."""
    for drop, expected in ((2 * DELTA, BEYOND), (DELTA, 0.25)):
        monkeypatch.setattr(
            linear, "peak_drop", lambda *a, drop=drop: (drop + 0 * a[-1], None)
        )
        rows = list(linear_rows(Config.smoke(), 0))
        found = {one["value"] for one in rows if one["metric"] == "transition"}
        assert found == {expected}
        assert abs(np.log(expected)) > CLAIMS["S3.7a"].e
