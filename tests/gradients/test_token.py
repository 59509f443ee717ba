"""Token weights and logit gradients against the gradient on the logits themselves."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.gradients import logit_gradient_norm, token_weights
from gradlab.losses import LOSSES, resolve
from tests.losses.cases import random_pairs

V = 11


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def pick(logits, targets):
    logps = jax.nn.log_softmax(logits)
    return jnp.take_along_axis(logps, targets[..., None], -1)[..., 0]


@pytest.mark.parametrize("name", [n for n in LOSSES if not LOSSES[n].required])
def test_logit_norm_equals_autodiff_through_the_softmax(name):
    pairs = random_pairs(0)
    rng = np.random.default_rng(1)
    logits, targets = {}, {}
    for side in ("chosen", "rejected"):
        shape = getattr(pairs, side).shape
        logits[side] = jnp.asarray(rng.normal(0, 2, (*shape, V)))
        targets[side] = jnp.asarray(rng.integers(0, V, shape))

    def with_logits(logits):
        return replace(pairs, **{s: pick(logits[s], targets[s]) for s in logits})

    def total(logits):
        return jnp.sum(resolve(name)(with_logits(logits)))

    scored = with_logits(logits)
    weights = token_weights(name, scored)
    dense = jax.grad(total)(logits)
    for side in logits:
        w, logps = getattr(weights, side), getattr(scored, side)
        probs = jax.nn.softmax(logits[side])
        onehot = jax.nn.one_hot(targets[side], V)
        np.testing.assert_allclose(
            dense[side], w[..., None] * (onehot - probs), rtol=1e-12, atol=1e-14
        )
        log_sum_sq = jnp.log(jnp.sum(probs**2, -1))
        norm = logit_gradient_norm(w, logps, log_sum_sq)
        expected = jnp.linalg.norm(dense[side], axis=-1)
        np.testing.assert_allclose(norm, expected, rtol=1e-12, atol=1e-14)


def test_logit_norm_limits():
    w = jnp.array([2.0])
    certain = logit_gradient_norm(w, jnp.zeros(1), jnp.zeros(1))
    np.testing.assert_allclose(certain, 0.0)
    uniform = jnp.full(1, -jnp.log(V))
    expected = 2.0 * np.sqrt(1 - 1 / V)
    np.testing.assert_allclose(logit_gradient_norm(w, uniform, uniform), expected)


def test_logit_norm_keeps_its_digits_when_the_model_is_sure():
    """1 - p = 1e-9: 1 - 2p + q in float64 would keep no digit of 1e-18."""
    miss = 1e-9
    q = (1 - miss) ** 2 + miss**2
    norm = logit_gradient_norm(
        jnp.ones(1), jnp.log1p(-jnp.full(1, miss)), jnp.full(1, np.log(q))
    )
    np.testing.assert_allclose(norm, np.sqrt(2) * miss, rtol=0.3)
    assert norm[0] >= miss * 0.999


def test_logit_norm_bounds():
    rng = np.random.default_rng(3)
    logits = jnp.asarray(rng.normal(0, 3, (50, V)))
    probs = jax.nn.softmax(logits)
    miss = 1 - probs[:, 0]
    norm = logit_gradient_norm(
        jnp.ones(50), jnp.log(probs[:, 0]), jnp.log(jnp.sum(probs**2, -1))
    )
    assert jnp.all(norm <= np.sqrt(2) * miss + 1e-12)
    assert jnp.all(norm >= miss * np.sqrt(1 + 1 / (V - 1)) - 1e-12)


def test_zero_weight_gives_zero_whatever_the_statistics_hold():
    junk = jnp.array([jnp.nan, -jnp.inf, 5.0])
    assert jnp.all(logit_gradient_norm(jnp.zeros(3), junk, junk) == 0.0)


def test_weights_times_length_is_the_derivative_of_the_sum():
    pairs = random_pairs(4)
    weights = token_weights("dpo", pairs)

    def shifted(delta):
        return jnp.sum(resolve("dpo")(replace(pairs, chosen=pairs.chosen + delta)))

    np.testing.assert_allclose(
        jnp.sum(weights.chosen), jax.grad(shifted)(0.0), rtol=1e-12
    )
