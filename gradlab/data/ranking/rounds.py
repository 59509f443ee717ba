"""Strategies that ask rounds of a round robin, all comparisons at once."""

from collections.abc import Sequence
from itertools import chain

import numpy as np

from gradlab.data.ranking.ratings import elo_ratings, fit_bradley_terry
from gradlab.data.ranking.strategies import Ranking, Strategy, Wave


def schedule(n: int) -> list[Wave]:
    """Rounds in which everyone meets someone else, and after all of them everyone.

    The circle method: in round k those meet whose numbers add up to k, modulo the
    number of rounds. For odd n one rests in each round.

    Args:
      n: number of completions, at least 1.

    Returns:
      n - 1 rounds for even n, n for odd n, of n // 2 comparisons each.

    Guarantees:
      No comparison occurs twice. Any two neighbouring rounds connect all completions,
      so their utilities can be fitted on one scale.

    Example:
      >>> schedule(4)
      [[(0, 3), (1, 2)], [(0, 1), (2, 3)], [(0, 2), (1, 3)]]
    """
    circle = n - 1 + n % 2  # with even n the last one stands outside the circle
    rounds: list[Wave] = []
    for k in range(circle):
        met = [(i, (k - i) % circle) for i in range(circle)]
        if n % 2 == 0:
            met = [(i, n - 1 if i == j else j) for i, j in met]
        rounds.append([(i, j) for i, j in met if i < j])
    return rounds


def round_robin(n: int) -> Strategy:
    """Everyone against everyone; points as in Copeland's rule.

    Args:
      n: number of completions, at least 1.

    Returns:
      A strategy of one wave of n (n - 1) / 2 comparisons. Scores: the sum of a
      completion's outcomes, half a point for a tie.
    """
    met = list(chain(*schedule(n)))
    outcomes = (yield met) if met else ()
    points = _wins(n, met, outcomes).sum(1)
    return _by_score(points)


def bradley_terry(n: int, *, rounds: int = 4) -> Strategy:
    """Some rounds of a round robin, and utilities fitted to their outcomes.

    Args:
      n: number of completions, at least 1.
      rounds: of `schedule`; a complete round robin where it has no more. Two are the
        fewest that connect all completions.

    Returns:
      A strategy of one wave of rounds * (n // 2) comparisons. Scores: the utilities of
      `fit_bradley_terry`, in nats.
    """
    met = list(chain(*schedule(n)[:rounds]))
    outcomes = (yield met) if met else ()
    return _by_score(fit_bradley_terry(_wins(n, met, outcomes)).utilities)


def elo(n: int, *, rounds: int = 4) -> Strategy:
    """The rounds of `bradley_terry`, rated by Elo's update, comparison by comparison.

    Args:
      n: number of completions, at least 1.
      rounds: of `schedule`.

    Returns:
      A strategy of one wave of rounds * (n // 2) comparisons. Scores: Elo ratings,
      which depend on the order of the comparisons.
    """
    met = list(chain(*schedule(n)[:rounds]))
    outcomes = (yield met) if met else ()
    return _by_score(elo_ratings(n, met, outcomes))


def _wins(n: int, met: Wave, outcomes: Sequence[float]) -> np.ndarray:
    """[n, n] what i won against j."""
    wins = np.zeros((n, n))
    for (i, j), outcome in zip(met, outcomes, strict=True):
        wins[i, j] += outcome
        wins[j, i] += 1 - outcome
    return wins


def _by_score(scores: np.ndarray) -> Ranking:
    # Equal results may differ in the last bits; who entered earlier then comes first.
    rounded = np.round(scores, 9) + 0.0
    order = np.argsort(-rounded, kind="stable")
    return Ranking(tuple(order.tolist()), tuple(rounded.tolist()))
