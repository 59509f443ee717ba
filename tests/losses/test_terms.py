"""Numerics of the terms that losses share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradlab.losses.terms import (
    clipped_exp,
    clipped_slope,
    log1mexp,
    logistic_loss,
    masked,
    upcast,
)

log_probs = st.floats(-9.0, 4.0).map(lambda power: -(10.0**power))
fixed = settings(max_examples=200, deadline=None, derandomize=True)


def exact_log1mexp(x):
    x = np.float64(x)
    return np.where(x > -0.69, np.log(-np.expm1(x)), np.log1p(-np.exp(x)))


@fixed
@given(log_probs)
def test_log1mexp_keeps_six_digits_in_float32(x):
    x = np.float32(x)
    got, expected = log1mexp(jnp.float32(x)), exact_log1mexp(x)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=2e-38)


@fixed
@given(log_probs)
def test_odds_keep_six_digits_in_float32(x):
    x = np.float32(x)
    slope = jax.grad(log1mexp)(jnp.float32(x))
    with np.errstate(over="ignore"):
        expected = -1.0 / np.expm1(-np.float64(x))
    np.testing.assert_allclose(slope, expected, rtol=2e-6, atol=2e-38)


def test_log1mexp_of_certainty_is_minus_infinity_without_nan():
    value, slope = jax.value_and_grad(log1mexp)(0.0)
    assert value == -jnp.inf
    assert slope == -jnp.inf


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_is_upcast(dtype):
    x = jnp.asarray([-1e-3, -0.5, -20.0], dtype)
    got = log1mexp(masked(x, jnp.ones(3)))
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, exact_log1mexp(np.float64(x)), rtol=1e-6)


def test_upcast_leaves_wider_types():
    assert upcast(jnp.float32(1)).dtype == jnp.float32
    with jax.enable_x64(True):
        assert upcast(jnp.float64(1)).dtype == jnp.float64


@fixed
@given(st.floats(-1e4, 1e4), st.floats(0.0, 0.99))
def test_logistic_loss_is_that_of_a_soft_label(margin, eps):
    got = logistic_loss(jnp.float32(margin), eps)
    margin = np.float64(np.float32(margin))
    expected = (1 - eps) * np.logaddexp(0, -margin) + eps * np.logaddexp(0, margin)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-37)


def test_label_smoothing_may_be_traced():
    sweep = jax.vmap(lambda eps: logistic_loss(jnp.float32(0.3), eps))
    values = sweep(jnp.array([0.0, 0.25]))
    np.testing.assert_allclose(values[0], logistic_loss(jnp.float32(0.3)))
    np.testing.assert_allclose(values[1], logistic_loss(jnp.float32(0.3), 0.25))


def test_clipped_exponentials_stand_still_at_and_above_the_clip():
    slope = jax.vmap(jax.grad(lambda z: clipped_exp(z, 2.0)))
    z = jnp.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(slope(z), [jnp.e, 0.0, 0.0], rtol=1e-6)
    np.testing.assert_array_equal(slope(z), clipped_slope(z, 2.0))
    np.testing.assert_allclose(clipped_exp(z, 2.0)[1:], jnp.exp(2.0))
    assert jnp.isinf(clipped_exp(jnp.float32(100.0), None))
    assert jnp.isinf(clipped_slope(jnp.float32(100.0), None))
