"""Scoring of numpy batches."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.errors import GradlabError
from gradlab.models import LanguageModel, build, response_stats, score_batches
from gradlab.models import scoring as scoring_module
from tests.models.cases import LLAMA, lively


@dataclass(frozen=True)
class Side:
    tokens: np.ndarray
    response_start: np.ndarray
    response_length: np.ndarray
    width: int


def batch(seed=0, rows=3, length=10, width=4):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(LLAMA.vocab_size, size=(rows, length)).astype(np.int32)
    start = rng.integers(1, length - width, size=rows).astype(np.int32)
    size = rng.integers(1, width + 1, size=rows).astype(np.int32)
    return Side(tokens, start, size, width)


@pytest.fixture(scope="module")
def trained():
    model, params = build(LLAMA)
    return model, lively(params)


def test_gives_numpy_statistics_in_order(trained):
    batches = [batch(0), batch(1), batch(2, rows=2, length=16, width=7)]
    scored = list(score_batches(*trained, iter(batches)))
    for given, stats in zip(batches, scored, strict=True):
        expected = jax.jit(response_stats, static_argnames=("model", "width"))(
            *trained,
            given.tokens,
            given.response_start,
            given.response_length,
            width=given.width,
        )
        assert isinstance(stats.logps, np.ndarray)
        assert stats.logps.shape == (len(given.tokens), given.width)
        np.testing.assert_allclose(stats.logps, expected.logps, atol=2e-6)
        np.testing.assert_array_equal(stats.argmax, expected.argmax)


def test_compiles_once_for_each_shape(trained):
    """Also with other parameters and another model object of the same shape."""
    list(score_batches(*trained, [batch(0), batch(0, width=5)]))
    before = scoring_module._score._cache_size()
    model, params = build(replace(LLAMA), seed=9)
    list(score_batches(model, params, [batch(s) for s in range(3)]))
    list(score_batches(model, params, [batch(5, width=5)]))
    assert scoring_module._score._cache_size() == before


def test_dummy_rows_score_zero_and_change_nothing(trained):
    real = batch(0)
    padded = replace(
        real,
        tokens=np.vstack([real.tokens, np.zeros((2, 10), np.int32)]),
        response_start=np.append(real.response_start, [1, 0]),
        response_length=np.append(real.response_length, [0, 0]),
    )
    (stats,) = score_batches(*trained, [padded])
    (alone,) = score_batches(*trained, [real])
    assert (stats.logps[3:] == 0).all()
    np.testing.assert_allclose(stats.logps[:3], alone.logps, atol=2e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": np.full((3, 10), 37)}, r"row 0: a token id outside 0\.\.36"),
        ({"tokens": np.full((3, 10), -1)}, "row 0: a token id outside"),
        ({"response_start": np.array([1, 0, 1])}, "row 1: no token before the resp"),
        ({"response_start": np.array([1, 1, 9])}, "row 2: a response past T = 10"),
        ({"response_length": np.array([5, 1, 1])}, "row 0: a response longer than 4"),
    ],
)
def test_refuses_a_batch_that_does_not_fit(trained, change, message):
    sound = replace(
        batch(1),
        response_start=np.array([1, 1, 1]),
        response_length=np.array([2, 2, 2]),
    )
    scored = score_batches(*trained, [sound, replace(sound, **change)])
    next(scored)
    with pytest.raises(GradlabError, match=f"batch 1, {message}"):
        next(scored)


def test_refuses_log_probabilities_that_are_not_finite(trained):
    model, params = trained
    broken = jax.tree.map(lambda leaf: leaf * jnp.nan, params)
    with pytest.raises(GradlabError, match=r"batch 0, row 0.*is nan.*finite"):
        next(score_batches(model, broken, [batch()]))


def test_scores_a_model_from_elsewhere():
    table = np.random.default_rng(0).normal(size=(37, 37)).astype(np.float32)
    bigram = LanguageModel(apply=lambda params, tokens: params[tokens])
    given = batch(4)
    (stats,) = score_batches(bigram, jnp.asarray(table), [given])
    logps = jax.nn.log_softmax(table)
    first = given.response_start
    rows = np.arange(3)
    expected = logps[given.tokens[rows, first - 1], given.tokens[rows, first]]
    np.testing.assert_allclose(stats.logps[:, 0], expected, atol=1e-6)
