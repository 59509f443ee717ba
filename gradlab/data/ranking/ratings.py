"""Utilities and ratings behind pairwise outcomes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from gradlab.errors import DataError

PRIOR_SD = 3.0  # nats: a win probability of 0.95 is one sd


@dataclass(frozen=True)
class BradleyTerry:
    """A fitted Bradley-Terry model.

    Attributes:
      utilities: [n] in nats, with mean 0.
      covariance: [n, n] of their errors, from the curvature at the optimum; contrasts
        such as u_i - u_j are what it is for.
    """

    utilities: np.ndarray
    covariance: np.ndarray


def fit_bradley_terry(wins: np.ndarray, *, prior_sd: float = PRIOR_SD) -> BradleyTerry:
    """Fits p(i beats j) = sigmoid(u_i - u_j), where u_i ~ N(0, prior_sd^2).

    Bradley and Terry (1952). The prior keeps the utility of one who won every
    comparison finite; it matters less the more comparisons there are.

    Args:
      wins: [n, n] how often i was preferred to j; a tie is half a win for either. The
        diagonal is ignored.
      prior_sd: in nats, positive and finite.

    Returns:
      The maximum of the posterior.

    Raises:
      DataError: another shape, a negative or infinite entry, or another prior_sd.

    Example:
      >>> fit = fit_bradley_terry(np.array([[0, 30], [10, 0]]), prior_sd=100)
      >>> gap = fit.utilities[0] - fit.utilities[1]
      >>> print(f"{gap:.3f}, log 3 is {np.log(3):.3f}")
      1.099, log 3 is 1.099
    """
    wins = _checked(wins)
    if not 0 < prior_sd < np.inf:
        raise DataError(f"prior_sd: found {prior_sd}, expected a positive number")
    games = wins + wins.T

    def loss(u: np.ndarray) -> tuple[float, np.ndarray]:
        gap = u[:, None] - u
        value = -np.sum(wins * log_expit(gap)) + np.sum(u**2) / (2 * prior_sd**2)
        pull = np.sum(wins - games * expit(gap), axis=1)
        return value, u / prior_sd**2 - pull

    def curvature(u: np.ndarray) -> np.ndarray:
        p = expit(u[:, None] - u)
        weight = games * p * (1 - p)
        return np.diag(weight.sum(1) + prior_sd**-2) - weight

    start = np.zeros(len(wins))
    found = minimize(
        loss, start, jac=True, hess=curvature, method="trust-exact",
        options={"gtol": 1e-9},
    )  # fmt: skip
    centre = np.eye(len(wins)) - 1 / len(wins)
    covariance = centre @ np.linalg.inv(curvature(found.x)) @ centre
    return BradleyTerry(centre @ found.x, covariance)


def _checked(wins: np.ndarray) -> np.ndarray:
    wins = np.array(wins, float)
    if wins.ndim != 2 or wins.shape[0] != wins.shape[1] or not len(wins):
        raise DataError(f"wins: found shape {wins.shape}, expected [n, n]")
    np.fill_diagonal(wins, 0)
    if not np.all((wins >= 0) & (wins < np.inf)):
        raise DataError("wins: found a negative or infinite entry, expected counts")
    return wins


def elo_ratings(
    n: int,
    met: Sequence[tuple[int, int]],
    outcomes: Sequence[float],
    *,
    k: float = 32.0,
    start: float = 1500.0,
) -> np.ndarray:
    """Elo's ratings: r_i += k (outcome - expected), comparison by comparison.

    Elo (1978), with expected = 1 / (1 + 10^((r_j - r_i) / 400)); 400 points are odds
    of 10, that is log(10) nats of Bradley-Terry utility.

    Args:
      n: number of completions.
      met: comparisons (i, j) in order.
      outcomes: for each the share that went to i, in [0, 1].
      k: the greatest change of one comparison, in points.
      start: everyone's first rating.

    Returns:
      [n] ratings; their mean stays `start`.

    Example:
      >>> print(elo_ratings(2, [(0, 1)], [1.0]))
      [1516. 1484.]
    """
    ratings = np.full(n, start)
    for (i, j), outcome in zip(met, outcomes, strict=True):
        expected = expit((ratings[i] - ratings[j]) * np.log(10) / 400)
        ratings[i] += k * (outcome - expected)
        ratings[j] -= k * (outcome - expected)
    return ratings
