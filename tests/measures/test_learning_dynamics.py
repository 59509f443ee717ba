"""A K G against explicit kernels, autodiff and true steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from gradlab.errors import GradlabError
from gradlab.gradients import token_weights
from gradlab.measures.learning_dynamics import (
    centre,
    centre_norm,
    change_by_update,
    dynamics,
    kernel_norm,
    residuals,
)
from tests.measures import tiny

U, M = 4, 3


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def setting():
    """Update positions in one text, probe positions in another, and random targets."""
    rng = np.random.default_rng(0)
    tokens = jnp.asarray(rng.integers(tiny.V, size=(2, 8)))
    targets = jnp.asarray(rng.integers(tiny.V, size=U))
    probes = jnp.asarray(rng.integers(tiny.V, size=M))
    start = jnp.array([2])

    def update_fn(params):
        return tiny.logits_at(params, tokens[:1], start, U)[0][0]

    def probe_fn(params):
        return tiny.logits_at(params, tokens[1:], start, M)[0][0]

    fns = jax.jit(update_fn), jax.jit(probe_fn)
    return *fns, tiny.parameters(), targets, probes


def kernel(update_fn, probe_fn, params):
    """K [M, V, U, V], formed in full."""
    flat, unravel = ravel_pytree(params)
    jac_u, jac_o = (
        jax.jit(jax.jacrev(lambda x, fn=fn: fn(unravel(x))))(flat)
        for fn in (update_fn, probe_fn)
    )
    return np.einsum("mvn,uwn->mvuw", jac_o, jac_u)


def test_equals_the_three_explicit_factors():
    update_fn, probe_fn, params, targets, probes = setting()
    weights = jnp.array([-1.0, 0.5, -0.2, 2.0])
    push = residuals(update_fn(params), targets, weights)
    k = kernel(update_fn, probe_fn, params)
    p = jax.nn.softmax(probe_fn(params))
    a = np.eye(tiny.V) - np.asarray(p)[:, None, :]  # I - 1 p^T at each probe
    by_update = -np.einsum("mij,mjuv,uv->umi", a, k, push)
    got = dynamics(probe_fn, update_fn, params, push)
    np.testing.assert_allclose(got.logps, by_update.sum(0), rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(
        got.logits, -np.einsum("mjuv,uv->mj", k, push), rtol=1e-10, atol=1e-13
    )
    np.testing.assert_allclose(got.probs.sum(-1), 0, atol=1e-14)
    picked = by_update[:, np.arange(M), np.asarray(probes)]
    for size in (1, 3):
        each = change_by_update(
            probe_fn, probes, update_fn, params, push, microbatch=size
        )
        np.testing.assert_allclose(each, picked, rtol=1e-10, atol=1e-13)


def test_residual_is_the_gradient_on_the_logits():
    """G of every token of a loss is its weight times e_y - p."""
    logits = jnp.asarray(np.random.default_rng(1).normal(size=(U, tiny.V)))
    targets = jnp.array([1, 5, 0, 10])

    def value(z):
        logps = jnp.take_along_axis(jax.nn.log_softmax(z), targets[:, None], -1)[:, 0]
        return jnp.sum(jnp.array([1.0, -2.0, 0.3, 0.0]) * logps)

    got = residuals(logits, targets, jnp.array([1.0, -2.0, 0.3, 0.0]))
    np.testing.assert_allclose(got, jax.grad(value)(logits), atol=1e-14)
    np.testing.assert_allclose(got.sum(-1), 0, atol=1e-14)
    likelihood = residuals(logits, targets)
    expected = jax.nn.softmax(logits) - jax.nn.one_hot(targets, tiny.V)
    np.testing.assert_allclose(likelihood, expected, atol=1e-14)


@pytest.mark.parametrize("side", tiny.SIDES)
def test_predicts_a_true_step_of_a_preference_loss(side):
    """The error of the first-order change falls with the square of the step."""
    params, pairs = tiny.parameters(), tiny.batch(pairs=1)
    weights = getattr(token_weights("dpo", tiny.pair_logps(params, pairs)), side)[0]
    _, probe_fn, *_ = setting()

    def update_fn(p):
        return tiny.logits_at(p, pairs[side], pairs["start"])[0][0]

    targets = tiny.logits_at(params, pairs[side], pairs["start"])[1][0]
    push = residuals(update_fn(params), targets, weights)
    predicted = dynamics(probe_fn, update_fn, params, push).logps

    def value(p):
        logps = jax.nn.log_softmax(update_fn(p))
        picked = jnp.take_along_axis(logps, targets[:, None], -1)[:, 0]
        return jnp.sum(weights * picked)

    gradient = jax.grad(value)(params)

    def error(eta):
        step = jax.tree.map(lambda p, g: p - eta * g, params, gradient)
        log_softmax = jax.nn.log_softmax
        moved = log_softmax(probe_fn(step)) - log_softmax(probe_fn(params))
        return float(jnp.abs(moved - eta * predicted).max())

    errors = np.array([error(eta) for eta in (1e-1, 1e-2, 1e-3)])
    slopes = np.diff(np.log10(errors[::-1]))
    np.testing.assert_allclose(slopes, 2, atol=0.1)


def test_linear_softmax_by_hand():
    """z = W h with W trained alone: K = <h, h'> I, so dlog p = -eta <h, h'> A G."""
    h = jnp.array([[1.0, 2.0]])
    probe = jnp.array([[3.0, -0.5]])
    w = jnp.zeros((3, 2))
    push = residuals(h @ w.T, jnp.array([0]))
    got = dynamics(lambda w: probe @ w.T, lambda w: h @ w.T, w, push)
    # <h, h'> = 2, G = (-2/3, 1/3, 1/3), and A leaves it as it is at p = 1/3
    np.testing.assert_allclose(got.logps[0], [4 / 3, -2 / 3, -2 / 3], rtol=1e-12)


def test_centre_removes_constants_and_its_norm():
    rng = np.random.default_rng(2)
    logits, push = (jnp.asarray(rng.normal(size=(5, 7))) for _ in range(2))
    np.testing.assert_allclose(
        centre(logits, push + 3), centre(logits, push), atol=1e-13
    )
    p = np.asarray(jax.nn.softmax(logits))
    explicit = np.linalg.norm(np.eye(7) - p[:, None, :] * np.ones((7, 1)), axis=(1, 2))
    got = centre_norm(jnp.log((p**2).sum(-1)), 7)
    np.testing.assert_allclose(got, explicit, rtol=1e-12)


def test_kernel_norm_within_its_error():
    update_fn, probe_fn, params, *_ = setting()
    exact = (kernel(update_fn, probe_fn, params) ** 2).sum((1, 2, 3))
    estimate, error = kernel_norm(
        probe_fn, update_fn, params, jax.random.key(0), draws=400
    )
    assert (np.abs(estimate - exact) < 4 * error).all()
    assert (error < 0.2 * exact).all()


def test_refusals():
    update_fn, probe_fn, params, targets, probes = setting()
    push = residuals(update_fn(params), targets)
    with pytest.raises(GradlabError, match="probe_targets"):
        change_by_update(probe_fn, probes[:1], update_fn, params, push)
    with pytest.raises(GradlabError, match="draws is 1"):
        kernel_norm(probe_fn, update_fn, params, jax.random.key(0), draws=1)
