"""Partial rank correlations and R² against independent computations."""

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from gradlab.measures import length_r_squared, partial_rank_correlation


def test_two_columns_are_spearman():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 6, size=(3, 40, 2)).astype(float)  # with ties
    found = partial_rank_correlation(values)
    expected = [spearmanr(draw[:, 0], draw[:, 1]).statistic for draw in values]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_partial_is_the_correlation_of_residuals():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(2, 60, 4))
    values[..., 0] += values[..., 2] - values[..., 3]
    values[..., 1] += values[..., 2] + 2 * values[..., 3]
    expected = []
    for draw in values:
        ranks = pd.DataFrame(draw).rank().to_numpy()
        given = np.column_stack([np.ones(60), ranks[:, 2:]])
        rest = ranks[:, :2] - given @ np.linalg.lstsq(given, ranks[:, :2])[0]
        expected.append(np.corrcoef(rest.T)[0, 1])
    np.testing.assert_allclose(partial_rank_correlation(values), expected, rtol=1e-9)


def test_what_does_not_vary_has_no_correlation():
    rng = np.random.default_rng(2)
    values = rng.normal(size=(2, 20, 3))
    values[0, :, 0] = 1.0
    values[1, :, 2] = values[1, :, 1]
    assert np.isnan(partial_rank_correlation(values)).all()
    assert np.isnan(partial_rank_correlation(values[:1, :, :2])).all()


def test_r_squared_is_that_of_a_regression_within_prompts():
    rng = np.random.default_rng(3)
    length = rng.integers(1, 30, size=(5, 4)).astype(float)
    reward = 0.1 * length + rng.normal(size=(5, 4)) + 10 * rng.normal(size=(5, 1))
    found = length_r_squared(np.stack([reward, length], -1)[None])
    x, y = (v - v.mean(1, keepdims=True) for v in (length, reward))
    slope = (x * y).sum() / (x * x).sum()
    expected = 1 - ((y - slope * x) ** 2).sum() / (y**2).sum()
    np.testing.assert_allclose(found, [expected])
    assert np.isnan(length_r_squared(np.ones((1, 3, 2, 2))))[0]
