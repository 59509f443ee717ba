"""Agreement by hand, against scipy, and the orders of the two predictions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from gradlab.errors import GradlabError
from gradlab.gradients import agreement, measurement_floor, order_test, side_gradients
from gradlab.gradients.groups import tree_norm
from tests.gradients.models import make_case


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def drifts(seed=0, n=50):
    rng = np.random.default_rng(seed)
    real = rng.normal(size=n)
    return jnp.asarray(real + 0.3 * rng.normal(size=n)), jnp.asarray(real)


def test_correlations_equal_scipys():
    pred, real = drifts()
    pred = jnp.round(pred, 1)  # ties
    got = agreement(pred, real)
    expected = scipy.stats.pearsonr(pred, real).statistic
    np.testing.assert_allclose(got.pearson, expected, rtol=1e-12)
    expected = scipy.stats.spearmanr(pred, real).statistic
    np.testing.assert_allclose(got.spearman, expected, rtol=1e-12)
    assert got.tokens == 50


def test_numbers_by_hand():
    pred, real = jnp.array([1.0, -1.0, 2.0]), jnp.array([2.0, 1.0, 2.0])
    got = agreement(pred, real)
    np.testing.assert_allclose(got.relative_error, np.sqrt(1 + 4) / 3)
    np.testing.assert_allclose(got.slope, (2 - 1 + 4) / 6)
    np.testing.assert_allclose(got.sign, 2 / 3)
    np.testing.assert_allclose(got.explained, 1 - 5 / (2 / 3))
    assert not got.below_floor


def test_signs_below_the_floor_do_not_count():
    pred, real = jnp.array([1.0, -1.0, 2.0]), jnp.array([2.0, 1e-9, 2.0])
    assert agreement(pred, real, floor=1e-8).sign == 1.0
    assert agreement(pred, real, floor=jnp.full(3, 1e-8)).sign == 1.0
    assert agreement(pred, real, floor=0.5).below_floor
    assert np.isnan(agreement(pred, real, floor=5.0).sign)


def test_masked_entries_do_not_count():
    pred, real = drifts()
    mask = jnp.arange(50) < 20
    spoilt = jnp.where(mask, real, jnp.nan)
    got = agreement((pred, pred), (spoilt, spoilt), (mask, mask))
    expected = agreement(pred[:20], real[:20])
    np.testing.assert_allclose(got.pearson, expected.pearson, rtol=1e-12)
    assert got.tokens == 40


def test_refusals():
    one = jnp.ones(2)
    with pytest.raises(GradlabError, match="realised 3"):
        agreement(one, jnp.ones(3))
    with pytest.raises(GradlabError, match="no token is left"):
        agreement(one, one, jnp.zeros(2))
    with pytest.raises(GradlabError, match="two or more, positive"):
        order_test(lambda p: p, one, one, [1.0])


def test_floor_is_measured_but_never_below_rounding():
    values = jnp.asarray([[-2.0, -1.0], [-2.0, -1.5]], jnp.float32)
    floor = measurement_floor((values,))[0]
    np.testing.assert_allclose(floor, [2 * 2**-24, 0.25])


def test_orders_of_line_and_trapezoid():
    """Relative error falls with the step, and with its square for the trapezoid."""
    case = make_case()
    split = jax.jit(lambda p: side_gradients("dpo", case.logps_fn, p, case.pairs).total)
    gradient = split(case.params)
    size = tree_norm(gradient)
    direction = jax.tree.map(lambda leaf: -leaf / size, gradient)
    # Three decades, above rounding.
    scales = [0.1 * 2.0**-k for k in range(11)]
    test = order_test(case.logps_fn, case.params, direction, scales)
    assert abs(test.linear_slope - 1) < 0.05
    assert abs(test.trapezoid_slope - 2) < 0.05
    assert test.linear[-1] < 1e-3 * test.linear[0] * 1.5
