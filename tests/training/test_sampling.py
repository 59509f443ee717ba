"""How a token is chosen: limits by rank and by probability."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.errors import GradlabError
from gradlab.training.sampling import choose, limit, sampler

PROBS = np.array([[0.05, 0.4, 0.3, 0.15, 0.1], [0.2, 0.1, 0.6, 0.06, 0.04]])
LOGITS = jnp.log(jnp.asarray(PROBS, jnp.float32)) + 3


def kept(top_k=None, top_p=None):
    """Which tokens of each row can be drawn."""
    limited = limit(*sampler(1.0, top_k, top_p), LOGITS)
    finite = np.isfinite(limited)
    np.testing.assert_array_equal(limited[finite], LOGITS[finite])
    return [np.flatnonzero(row).tolist() for row in finite]


def test_top_k_keeps_the_k_most_likely():
    assert kept(top_k=1) == [[1], [2]]
    assert kept(top_k=2) == [[1, 2], [0, 2]]
    assert kept(top_k=99) == [[0, 1, 2, 3, 4]] * 2
    assert kept() == [[0, 1, 2, 3, 4]] * 2


def test_top_p_keeps_the_smallest_set_that_reaches_it():
    assert kept(top_p=0.39) == [[1], [2]]
    assert kept(top_p=0.65) == [[1, 2], [0, 2]]
    assert kept(top_p=0.81) == [[1, 2, 3], [0, 1, 2]]
    assert kept(top_p=1e-6) == [[1], [2]]
    assert kept(top_p=1.0) == [[0, 1, 2, 3, 4]] * 2


def test_the_nucleus_is_taken_of_what_top_k_leaves():
    # Of 0.4 and 0.3 the first has 0.57 of the probability.
    assert kept(top_k=2, top_p=0.56) == [[1], [2]]
    assert kept(top_k=2, top_p=0.58) == [[1, 2], [2]]


def test_equally_likely_tokens_stay_in_together():
    logits = jnp.array([[1.0, 2.0, 2.0, 0.0]])
    for settings in ((1, None), (None, 0.1)):
        limited = limit(*sampler(1.0, *settings), logits)
        assert np.isfinite(limited).tolist() == [[False, True, True, False]]


def test_draws_follow_the_limited_distribution():
    settings = sampler(1.0, 3, None)
    n = 20_000
    keys = jax.vmap(lambda n: jax.random.fold_in(jax.random.key(0), n))(jnp.arange(n))
    drawn = choose(*settings, jnp.repeat(LOGITS[:1], n, axis=0), keys)
    expected = np.array([0, 0.4, 0.3, 0.15, 0]) / 0.85
    counts = np.bincount(drawn, minlength=5)
    slack = 4 * np.sqrt(n * expected * (1 - expected))
    assert np.all(np.abs(counts - n * expected) <= slack)


@pytest.mark.parametrize("top_k", [None, 4])
@pytest.mark.parametrize("top_p", [None, 0.9])
def test_the_limits_are_those_of_transformers_by_sorting(top_k, top_p):
    """An independent way: sort, cut, and look up who is left."""
    logits = np.random.default_rng(1).normal(size=(50, 30)).astype(np.float32) * 2
    limited = np.asarray(limit(*sampler(1.0, top_k, top_p), jnp.asarray(logits)))
    for row, found in zip(logits.astype(float), limited, strict=True):
        order = np.argsort(-row)[: top_k or 30]
        probs = np.exp(row[order]) / np.exp(row[order]).sum()
        if top_p is not None:
            order = order[: int(np.searchsorted(np.cumsum(probs), top_p)) + 1]
        assert sorted(order) == np.flatnonzero(np.isfinite(found)).tolist()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((-1.0, None, None), "temperature=-1.0: expected 0 or more"),
        ((1.0, 0, None), "top_k=0: expected a positive integer"),
        ((1.0, 2.5, None), "top_k=2.5"),
        ((1.0, None, 0.0), "top_p=0.0: expected a number in"),
        ((1.0, None, 1.5), "top_p=1.5"),
        ((0.0, 3, None), "temperature=0 is greedy and draws nothing; found top_k=3"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(GradlabError, match=message):
        sampler(*settings)
