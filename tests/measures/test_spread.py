"""Agreement of per-pair gradients, against the gradients themselves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.errors import GradlabError
from gradlab.measures import gradient_spread


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def gradients(rng):
    return rng.normal(size=(40, 7)) + 0.5


def test_spread_is_that_of_the_gradients(gradients):
    found = gradient_spread(jnp.asarray(gradients @ gradients.T))
    mean = gradients.mean(0)
    norms = np.linalg.norm(gradients, axis=1)
    variance = gradients.var(axis=0, ddof=1).sum()
    np.testing.assert_allclose(found.mean_norm, np.linalg.norm(mean), rtol=1e-12)
    cosines = gradients @ mean / norms / np.linalg.norm(mean)
    np.testing.assert_allclose(found.to_mean, cosines, rtol=1e-11, atol=1e-13)
    shares = np.sort(norms**2)[::-1] / (norms**2).sum()
    np.testing.assert_allclose(found.top_share, shares[:2].sum(), rtol=1e-12)
    noise = variance / (mean @ mean - variance / len(gradients))
    np.testing.assert_allclose(found.noise_scale, noise, rtol=1e-10)


def test_noise_scale_finds_the_one_drawn_from(rng):
    drawn = rng.normal(size=(4000, 20)) * 2 + 1
    noise = gradient_spread(jnp.asarray(drawn @ drawn.T)).noise_scale
    np.testing.assert_allclose(noise, 20 * 4 / 20, rtol=0.03)


def test_alike_gradients_have_no_noise():
    found = gradient_spread(jnp.full((6, 6), 4.0))
    assert float(found.noise_scale) == 0
    np.testing.assert_allclose(found.to_mean, 1)
    np.testing.assert_allclose(found.top_share, 1 / 6)


def test_gradients_that_cancel_have_no_direction():
    found = gradient_spread(jnp.asarray([[1.0, -1.0], [-1.0, 1.0]]))
    assert float(found.noise_scale) == np.inf
    np.testing.assert_array_equal(found.to_mean, 0)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (1, 1)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(GradlabError, match="gram has shape"):
        gradient_spread(jnp.ones(shape))


@pytest.mark.parametrize("top", [0.0, 1.5])
def test_share_is_checked(top):
    with pytest.raises(GradlabError, match="top is"):
        gradient_spread(jnp.eye(3), top=top)
