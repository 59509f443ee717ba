"""Schemes that pick a pair from each of N pools at once, from tables of answers.

`gradlab.data.ranking` runs a scheme on one pool, question by question, as a real judge
needs it. These are the same schemes on arrays (and some more), for many pools.
"""

from dataclasses import dataclass

import numpy as np

from analyses.preference_pipeline.judges import Answers

REJECTED_RULES = ("first loser", "last loser", "random other", "second pass")


@dataclass(frozen=True)
class Picked:
    """The pair of each pool.

    Attributes:
      chosen: [N] candidate.
      rejected: [N] another one.
      calls: [N] judge calls that it took.
    """

    chosen: np.ndarray
    rejected: np.ndarray
    calls: np.ndarray


@dataclass
class _Pass:
    """What one pass of challengers found out."""

    holder: np.ndarray  # [N]
    lost: np.ndarray  # [N, M - 1] in the order in which they left
    won: np.ndarray  # [N, M] whether it beat anybody
    tied: np.ndarray  # [N, M, M]
    calls: np.ndarray  # [N]


def _defend(answers: Answers) -> _Pass:
    """Keeps the first, lets the others challenge it, keeps the winner and on ties."""
    count, candidates, _ = answers.share.shape
    rows = np.arange(count)
    found = _Pass(
        np.zeros(count, int),
        np.zeros((count, candidates - 1), int),
        np.zeros((count, candidates), bool),
        np.zeros(answers.share.shape, bool),
        np.zeros(count),
    )
    for challenger in range(1, candidates):
        holder = found.holder
        share = answers.share[rows, holder, challenger]
        found.calls += answers.cost[rows, holder, challenger]
        stays = share >= 0.5
        found.tied[rows, holder, challenger] = share == 0.5
        found.lost[:, challenger - 1] = np.where(stays, challenger, holder)
        found.holder = np.where(stays, holder, challenger)
        found.won[rows, found.holder] |= share != 0.5
    return found


def running_winner(
    answers: Answers, rng: np.random.Generator, *, rejected: str = "last loser"
) -> Picked:
    """The winner of one pass: M - 1 comparisons; see `REJECTED_RULES` for the other.

    The second pass asks on among those that beat nobody, at most M - 2 times.
    """
    found = _defend(answers)
    if rejected == "second pass":
        return _second_pass(answers, found)
    places = {
        "first loser": 0,
        "last loser": -1,
        "random other": rng.integers(found.lost.shape[1], size=len(found.lost)),
    }
    other = found.lost[np.arange(len(found.lost)), places[rejected]]
    return Picked(found.holder, other, found.calls)


def _second_pass(answers: Answers, found: _Pass) -> Picked:
    rows, calls = np.arange(len(found.lost)), found.calls.copy()
    lowest = np.full(len(rows), -1)
    for other in found.lost.T:
        candidate = ~found.won[rows, other]
        begins = candidate & (lowest < 0)
        known = found.tied[rows, lowest, other] | found.tied[rows, other, lowest]
        asked = candidate & ~begins & ~known
        share = answers.share[rows, lowest, other]
        calls += asked * answers.cost[rows, lowest, other]
        lowest = np.where(begins | (asked & (share > 0.5)), other, lowest)
    return Picked(found.holder, lowest, calls)


def max_and_min(answers: Answers) -> Picked:
    """Knock-out: the first round's winners for the best, its losers for the worst.

    M, a power of two, needs M/2 + 2 (M/2 - 1) comparisons.
    """
    count, candidates, _ = answers.share.shape
    rows, calls = np.arange(count)[:, None], np.zeros(count)

    def met(entrants: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        nonlocal calls
        i, j = entrants[:, ::2], entrants[:, 1::2]
        calls = calls + answers.cost[rows, i, j].sum(1)
        return i, j, answers.share[rows, i, j] >= 0.5

    i, j, first = met(np.tile(np.arange(candidates), (count, 1)))
    best, worst = np.where(first, i, j), np.where(first, j, i)
    while best.shape[1] > 1:
        i, j, first = met(best)
        best = np.where(first, i, j)
    while worst.shape[1] > 1:
        i, j, first = met(worst)
        worst = np.where(first, j, i)
    return Picked(best[:, 0], worst[:, 0], calls)


def round_robin(answers: Answers) -> Picked:
    """Everyone against everyone, by points (Copeland): M (M - 1) / 2 comparisons."""
    candidates = answers.share.shape[1]
    met = np.triu(np.ones((candidates, candidates)), 1)
    points = (answers.share * met).sum(2) + ((1 - answers.share) * met).sum(1)
    return _by_points(points, (answers.cost * met).sum((1, 2)))


def swiss(
    answers: Answers, rng: np.random.Generator, *, rounds: int | None = None
) -> Picked:
    """Rounds in which those of like points meet, nobody twice if it can be helped.

    Args:
      answers: for an even M.
      rng: breaks ties of points.
      rounds: log2 M + 1 by default, of M/2 comparisons each.
    """
    count, candidates, _ = answers.share.shape
    rows, points, calls = np.arange(count), np.zeros((count, candidates)), 0.0
    met = np.tile(np.eye(candidates, dtype=bool), (count, 1, 1))
    for _ in range(rounds or int(np.log2(candidates)) + 1):
        order = points + 0.1 * rng.random(points.shape)
        free = np.ones(points.shape, bool)
        for _ in range(candidates // 2):
            i = np.where(free, order, -np.inf).argmax(1)
            free[rows, i] = False
            # Those who met before come last.
            j = np.where(free, order - 1e3 * met[rows, i], -np.inf).argmax(1)
            free[rows, j] = False
            share = answers.share[rows, i, j]
            calls = calls + answers.cost[rows, i, j]
            points[rows, i] += share
            points[rows, j] += 1 - share
            met[rows, i, j] = met[rows, j, i] = True
    return _by_points(points, np.asarray(calls))


def _by_points(points: np.ndarray, calls: np.ndarray) -> Picked:
    """The first of the highest against the last of the lowest."""
    last = points.shape[1] - 1
    return Picked(points.argmax(1), last - points[:, ::-1].argmin(1), calls)


def by_scores(
    scores: np.ndarray,
    rng: np.random.Generator,
    *,
    rejected: str = "lowest",
    repeats: int = 1,
) -> Picked:
    """The highest score against the lowest or a random other one; ties are drawn."""
    count, candidates = scores.shape
    ranks = np.lexsort((rng.random(scores.shape), scores), axis=1)
    other = np.zeros(count, int)
    if rejected == "random other":
        other = rng.integers(candidates - 1, size=count)
    calls = np.full(count, float(repeats * candidates))
    return Picked(ranks[:, -1], ranks[np.arange(count), other], calls)


def random_pair(count: int, candidates: int, rng: np.random.Generator) -> Picked:
    """Two at random, for no calls."""
    chosen = rng.integers(candidates, size=count)
    other = (chosen + rng.integers(1, candidates, size=count)) % candidates
    return Picked(chosen, other, np.zeros(count))
