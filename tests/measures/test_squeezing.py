"""Squeezing: the exact softmax step, its guarantees, and where the mass goes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from gradlab.errors import GradlabError
from gradlab.measures.squeezing import (
    rank_correlation,
    softmax_change,
    softmax_step,
    squeeze,
    squeeze_stream,
    top_mass,
    top_movers,
    unembedding_alignment,
)

V = 9


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def rows(count=200, seed=0, scale=3.0):
    rng = np.random.default_rng(seed)
    logits = jnp.asarray(rng.normal(0, scale, (count, V)))
    return jax.nn.log_softmax(logits), jnp.asarray(rng.integers(V, size=count))


def by_hand():
    before = jnp.log(jnp.array([0.70, 0.20, 0.08, 0.02]))
    return before, softmax_step(before, jnp.array(3), 1.0), jnp.array(3)


def test_vector():
    """p' ~ p exp(p_i - [i = y]): .70 e^.7, .20 e^.2, .08 e^.08, .02 e^-.98 over Z."""
    before, after, target = by_hand()
    raw = np.array([0.7, 0.2, 0.08, 0.02]) * np.exp([0.7, 0.2, 0.08, -0.98])
    np.testing.assert_allclose(jnp.exp(after), raw / raw.sum(), rtol=1e-13)
    np.testing.assert_allclose(jnp.exp(after), [0.806, 0.140, 0.050, 0.004], atol=5e-4)
    got = squeeze(before, after, target)
    # freed: what tokens 1, 2, 3 lose; all of it goes to token 0
    np.testing.assert_allclose(got.freed, 0.806 - 0.7, atol=5e-4)
    np.testing.assert_allclose(got.absorbed, 1.0)
    assert (int(got.peak), int(got.target_rank)) == (0, 3)
    np.testing.assert_allclose(got.rest_before, 0.28)


def test_step_is_that_of_gradient_descent_on_one_row():
    before, targets = rows(20)

    def value(logits, target, weight):
        return weight * jax.nn.log_softmax(logits)[target]

    for logps, target in zip(before, targets, strict=True):
        gradient = jax.grad(value)(logps, target, 0.8)
        expected = jax.nn.log_softmax(logps - 0.5 * gradient)
        got = softmax_step(logps, target, 0.4)
        np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_first_order_change_is_the_derivative():
    before, targets = rows(20)
    strength = jnp.linspace(-2, 2, 20)
    eps = 1e-6
    up, down = (softmax_step(before, targets, s * eps * strength) for s in (1, -1))
    got = softmax_change(before, targets, strength)
    np.testing.assert_allclose((up - down) / (2 * eps), got, rtol=1e-6, atol=1e-8)
    p = jnp.exp(before)
    q = (p**2).sum(-1, keepdims=True)
    p_y = jnp.take_along_axis(p, targets[:, None], -1)
    formula = p - jax.nn.one_hot(targets, V) - q + p_y
    np.testing.assert_allclose(got, strength[:, None] * formula, atol=1e-14)
    third = jnp.arange(V) != targets[:, None]
    gains = np.asarray(softmax_change(before, targets, 1.0) > 0)
    np.testing.assert_array_equal(gains[third], np.asarray(p + p_y > q)[third])


def test_guarantees_on_random_rows():
    before, targets = rows(2000)
    for strength in (0.01, 1.0, 30.0):
        after = softmax_step(before, targets, strength)
        got = squeeze(before, after, targets)
        assert (got.target_after <= got.target_before).all()
        assert (got.top_after > got.top_before * (1 - 1e-13)).all()
        for when in ("before", "after"):
            total = sum(getattr(got, f"{k}_{when}") for k in ("top", "target", "rest"))
            np.testing.assert_allclose(total, 1, rtol=1e-12)
        assert ((got.absorbed >= 0) & (got.absorbed <= 1 + 1e-9)).all()
        variation = jnp.abs(jnp.exp(after) - jnp.exp(before)).sum(-1) / 2
        np.testing.assert_allclose(got.freed, variation, atol=1e-14)


def test_valley_feeds_the_peak_and_a_peak_feeds_the_rest():
    """An unlikely token pushed hard: the peak absorbs nearly all."""
    before = jnp.log(jnp.array([0.9, 0.05, 0.03, 0.02]))
    valley = squeeze(before, softmax_step(before, jnp.array(3), 2.0), jnp.array(3))
    np.testing.assert_allclose(valley.absorbed, 1.0, rtol=1e-12)
    assert valley.entropy_change < 0
    peak = squeeze(before, softmax_step(before, jnp.array(0), 2.0), jnp.array(0))
    assert int(peak.target_rank) == 0
    assert int(peak.peak) == 1
    assert peak.entropy_change > 0
    assert peak.max_change < 0


def test_measures_of_a_step_that_does_nothing():
    before, targets = rows(3)
    got = squeeze(before, before, targets)
    assert (got.freed == 0).all()
    assert jnp.isnan(got.absorbed).all()
    np.testing.assert_array_equal(got.entropy_change, 0)


def test_top_movers_predicted_and_realised():
    before, targets = rows(50)
    strength = 1e-5
    after = softmax_step(before, targets, strength)
    movers = top_movers(before, after, softmax_change(before, targets, strength), top=3)
    np.testing.assert_allclose(
        movers.gaining_predicted, movers.gaining_realised, rtol=1e-3, atol=1e-11
    )
    np.testing.assert_allclose(
        movers.losing_predicted, movers.losing_realised, rtol=1e-3, atol=1e-11
    )
    change = np.asarray(jnp.exp(after) - jnp.exp(before))
    np.testing.assert_array_equal(movers.gaining[:, 0], change.argmax(-1))
    np.testing.assert_array_equal(movers.losing[:, 0], change.argmin(-1))
    with pytest.raises(GradlabError, match="top is 10"):
        top_movers(before, after, before, top=10)


def test_top_mass():
    logps = jnp.log(jnp.array([[0.5, 0.3, 0.2]]))
    np.testing.assert_allclose(top_mass(logps, jnp.array([[0, 2]])), 0.7)


def test_stream_equals_the_whole():
    rng = np.random.default_rng(3)
    hidden = jnp.asarray(rng.normal(size=(10, 4)))
    heads = jnp.asarray(rng.normal(size=(2, 4, V)))
    targets = jnp.asarray(rng.integers(V, size=10))

    def read(state):
        return tuple(jax.nn.log_softmax(state @ head) for head in heads)

    whole = squeeze(*(jax.nn.log_softmax(hidden @ head) for head in heads), targets)
    for size in (1, 4):
        got = squeeze_stream(read, hidden, targets, microbatch=size)
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-14),
            got, whole,
        )  # fmt: skip


def test_alignment_predicts_who_rides_along():
    """z = W h, all of h alike: chosen pulled and rejected pushed move z along W dW."""
    rng = np.random.default_rng(4)
    head = jnp.asarray(rng.normal(size=(4, V)))
    got = unembedding_alignment(head, jnp.array([1, 2]), jnp.array([5, 0]))
    assert got.shape == (2, V)
    expected = [head.T @ (head[:, 1] - head[:, 5]), head.T @ (head[:, 2] - head[:, 0])]
    np.testing.assert_allclose(got, jnp.stack(expected), rtol=1e-12)
    # h itself trained: the first-order push on the logits is exactly this alignment
    moved = jax.jvp(lambda h: h @ head, (jnp.zeros(4),), (head[:, 1] - head[:, 5],))[1]
    np.testing.assert_allclose(rank_correlation(got[0], moved), 1.0)


def test_rank_correlation_equals_scipys():
    rng = np.random.default_rng(5)
    one, two = rng.integers(0, 5, (2, 6, 20)).astype(float)  # with ties
    got = rank_correlation(jnp.asarray(one), jnp.asarray(two))
    expected = [
        scipy.stats.spearmanr(x, y).statistic for x, y in zip(one, two, strict=True)
    ]
    np.testing.assert_allclose(got, expected, rtol=1e-12)
