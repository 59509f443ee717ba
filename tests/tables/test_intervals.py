"""Intervals over seeds: coverage, the bootstrap's levels, Holm, rank correlations."""

import numpy as np
import pytest
from scipy import stats

from gradlab.errors import GradlabError
from gradlab.tables.intervals import estimate, holm, prompt_mean, rank_correlation


def test_t_interval_and_p_value_are_those_of_scipy():
    values = np.random.default_rng(0).normal(0.4, 1.0, 5)
    found = estimate(values, draws=10)
    test = stats.ttest_1samp(values, 0.0)
    low, high = test.confidence_interval(0.95)
    np.testing.assert_allclose(
        [found.effect, found.low, found.high, found.p],
        [values.mean(), low, high, test.pvalue],
        rtol=1e-10,
    )


def coverage(seeds: int, trials: int) -> tuple[float, float]:
    """Shares of t and of bootstrap intervals that hold the true effect, 1."""
    rng = np.random.default_rng(seeds)
    t, boot = 0, 0
    for trial in range(trials):
        # A seed's own shift is as large as the spread between its prompts' means.
        samples = 1 + rng.normal(0, 0.5, (seeds, 1)) + rng.normal(0, 2, (seeds, 16))
        found = estimate(samples, draws=200, seed=trial)
        t += found.low <= 1 <= found.high
        boot += found.boot_low <= 1 <= found.boot_high
    return t / trials, boot / trials


def test_t_interval_covers_its_level_with_few_seeds():
    """600 trials: a binomial standard error of .9 %; four of them either way."""
    for seeds in (3, 5):
        assert abs(coverage(seeds, 600)[0] - 0.95) < 0.036


def test_bootstrap_over_seeds_alone_covers_too_little():
    """Why the bootstrap doesn't decide: at three seeds it is far from 95 %."""
    rng = np.random.default_rng(1)
    held = 0
    for trial in range(400):
        found = estimate(rng.normal(1, 1, 3), draws=200, seed=trial)
        held += found.boot_low <= 1 <= found.boot_high
    assert held / 400 < 0.85


def test_bootstrap_resamples_seeds_and_prompts():
    rng = np.random.default_rng(2)
    samples = rng.normal(0, 1, (4, 50)) + np.array([[-3.0], [-1.0], [1.0], [3.0]])
    found = estimate(samples, draws=4000)
    spread = (found.boot_high - found.boot_low) / (2 * 1.96)
    # Variance of the mean of 4 resampled seeds, each with the mean of 50 prompts.
    means = samples.mean(1)
    expected = np.sqrt(means.var() / 4 + samples.var(1).mean() / 50 / 4)
    assert spread == pytest.approx(expected, rel=0.1)
    prompts_only = estimate(samples[:1], draws=4000)
    width = (prompts_only.boot_high - prompts_only.boot_low) / (2 * 1.96)
    assert width == pytest.approx(samples[0].std() / np.sqrt(50), rel=0.1)


def test_bootstrap_is_seeded_and_takes_ragged_samples():
    samples = [np.arange(5.0), np.arange(9.0), np.array([2.0])]
    one, two = (estimate(samples, draws=500, seed=7) for _ in range(2))
    assert one == two
    assert estimate(samples, draws=500, seed=8).boot_low != one.boot_low
    assert one.effect == pytest.approx((2 + 4 + 2) / 3)


def test_one_seed_has_no_t_interval():
    found = estimate([np.arange(4.0)], draws=100)
    assert np.isnan([found.low, found.high, found.p]).all()
    assert found.boot_low < found.effect < found.boot_high


def test_equal_seeds_and_undefined_effects():
    found = estimate([2.0, 2.0, 2.0], draws=10)
    assert (found.low, found.high, found.p) == (2.0, 2.0, 0.0)
    nothing = estimate([0.0, 0.0], draws=10)
    assert nothing.sign_agreement == 1.0
    constant = [np.ones((5, 2))] * 3
    assert np.isnan(estimate(constant, rank_correlation, draws=10).effect)


def test_degenerate_resamples_are_left_out():
    """Of two prompts half of the resamples hold one twice: no rank correlation."""
    pair = np.array([[0.0, 0.0], [1.0, 1.0]])
    found = estimate([pair, pair], rank_correlation, draws=400)
    assert (found.boot_low, found.boot_high) == (1.0, 1.0)


def test_rank_correlation_is_spearmans_with_ties():
    rng = np.random.default_rng(3)
    values = rng.integers(0, 4, (6, 12, 2)).astype(float)
    expected = [stats.spearmanr(row[:, 0], row[:, 1]).statistic for row in values]
    np.testing.assert_allclose(rank_correlation(values), expected, atol=1e-12)


def test_holm_is_monotone_and_bounded():
    rng = np.random.default_rng(4)
    p = rng.uniform(0, 0.3, 20)
    adjusted = holm(p)
    assert np.all(adjusted >= p)
    assert np.all(adjusted <= 1)
    assert np.all(np.diff(adjusted[np.argsort(p)]) >= 0)
    assert adjusted.min() == pytest.approx(20 * p.min())


def test_statistic_of_prompts_and_refusals():
    assert prompt_mean(np.array([[1.0, 3.0]])).tolist() == [2.0]
    with pytest.raises(GradlabError, match="0 seeds"):
        estimate([])
    with pytest.raises(GradlabError, match=r"\[0, 1\] prompts"):
        estimate([np.zeros(0), np.zeros(1)])
