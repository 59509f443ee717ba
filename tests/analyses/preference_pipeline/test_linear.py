"""The linear model: predicted thresholds against paths of the losses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from analyses.preference_pipeline.linear import BETA, DELTA, Pair, draw_pair, peak_drop

PAIR = Pair(kappa=1.6, rejected=3.0)


def drops(form: str, *factors: float) -> tuple[np.ndarray, np.ndarray]:
    with jax.enable_x64(True):
        lam = jnp.asarray(factors) * PAIR.threshold(form)
        ones = jnp.ones_like(lam)
        found = peak_drop(
            form, PAIR.kappa * ones, PAIR.rejected * ones, lam, steps=20_000
        )
    return np.asarray(found[0]), np.asarray(found[1])


@pytest.mark.parametrize("form", ["outside", "inside"])
def test_below_the_threshold_it_slides_through_and_above_it_holds(form):
    peak, last = drops(form, 0.5, 0.8, 1.25, 2.0)
    assert (peak[:2] > DELTA + 0.01).all()
    assert (peak[2:] < DELTA + 0.01).all()
    assert (last[2:] > 0.95 * DELTA).all()
    assert peak[0] > peak[1]


def test_the_inside_threshold_is_kappa_less_one():
    assert PAIR.threshold("inside") == pytest.approx(0.6)


def test_the_outside_threshold_is_that_of_the_margin_reached():
    """By a walk of DPO to the budget, in closed form of its weights."""
    a = b = 0.0
    while -a < DELTA:
        weight = BETA / (1 + np.exp(BETA * (a - b)))
        a += 0.001 * weight * (1 - PAIR.kappa)
        b += 0.001 * weight * (PAIR.kappa - PAIR.rejected)
    weight = BETA / (1 + np.exp(BETA * (a - b)))
    expected = weight * (PAIR.kappa - 1)
    assert PAIR.threshold("outside") == pytest.approx(expected, rel=1e-3)


def test_a_drawn_pair_falls_and_obeys_cauchy_and_schwarz():
    rng = np.random.default_rng(0)
    for _ in range(50):
        pair = draw_pair(rng)
        assert pair.kappa > 1
        assert pair.kappa**2 <= pair.rejected
