"""Fitted utilities against simulated truth, and against a closed form."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit

from gradlab.data.ranking import elo_ratings, fit_bradley_terry
from gradlab.errors import DataError


def simulate(utilities, games, rng):
    n = len(utilities)
    wins = np.zeros((n, n))
    for i in range(n):
        for j in range(i):
            won = rng.binomial(games, expit(utilities[i] - utilities[j]))
            wins[i, j], wins[j, i] = won, games - won
    return wins


def test_utilities_are_recovered_within_their_errors():
    """Squared errors in units of the covariance follow chi-squared, 5 dof each."""
    rng = np.random.default_rng(0)
    total, count = 0.0, 60
    for _ in range(count):
        truth = rng.normal(size=6)
        fit = fit_bradley_terry(simulate(truth, 300, rng), prior_sd=100)
        error = (fit.utilities - truth + truth.mean())[:5]
        total += error @ np.linalg.solve(fit.covariance[:5, :5], error)
    p = stats.chi2(5 * count).cdf(total)
    assert 1e-3 < p < 1 - 1e-3


def test_two_players_have_a_closed_form():
    fit = fit_bradley_terry(np.array([[9, 17.5], [2.5, 9]]), prior_sd=1e4)
    gap = fit.utilities[0] - fit.utilities[1]
    np.testing.assert_allclose(gap, logit(17.5 / 20), rtol=1e-6)
    contrast = np.array([1, -1])
    variance = contrast @ fit.covariance @ contrast
    np.testing.assert_allclose(variance, 1 / 17.5 + 1 / 2.5, rtol=1e-5)


def test_the_gradient_at_the_fit_is_zero():
    rng = np.random.default_rng(1)
    wins = simulate(rng.normal(size=5), 4, rng)
    u = fit_bradley_terry(wins, prior_sd=2.0).utilities
    expected = (wins + wins.T) * expit(u[:, None] - u)
    np.testing.assert_allclose((wins - expected).sum(1), u / 4, atol=1e-7)
    np.testing.assert_allclose(u.sum(), 0, atol=1e-12)


def test_one_who_won_everything_stays_finite():
    fit = fit_bradley_terry(np.array([[0, 5, 5], [0, 0, 2], [0, 3, 0]]))
    assert np.all(np.isfinite(fit.utilities))
    assert fit.utilities.argmax() == 0


def test_elo_approaches_the_utilities():
    """400 points are log(10) nats; small steps average the noise."""
    rng = np.random.default_rng(2)
    truth = np.array([0.5, 0.0, -0.5])
    met = [((k) % 3, (k + 1) % 3) for k in range(20_000)]
    won = [float(rng.random() < expit(truth[i] - truth[j])) for i, j in met]
    ratings = elo_ratings(3, met, won, k=1.0)
    np.testing.assert_allclose(ratings.mean(), 1500)
    np.testing.assert_allclose((ratings - 1500) * np.log(10) / 400, truth, atol=0.15)


@pytest.mark.parametrize("wins", [[[0, 1]], [[0, -1], [0, 0]], [[0, np.inf], [0, 0]]])
def test_what_is_no_table_of_wins_is_refused(wins):
    with pytest.raises(DataError, match="wins: found"):
        fit_bradley_terry(np.array(wins))
    with pytest.raises(DataError, match="prior_sd: found 0"):
        fit_bradley_terry(np.zeros((2, 2)), prior_sd=0)
