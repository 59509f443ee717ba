"""Which completions are compared with which: strategies that know no judge.

A strategy is a generator. It yields waves of comparisons (i, j), which may be asked at
the same time, is sent one outcome for each, and returns a `Ranking`. An outcome is the
share of the judgement that went to i: above 0.5 i is preferred, at 0.5 the two are
tied. Completions are numbered in the order of entry; i entered or stood before j.

    champion       keeps the winner; knows the best only       n - 1 comparisons
    extremes       a champion, then the lowest of those that
                   beat nobody                                 n - 1 to 2n - 3
    merge_sort     a complete order                            at most n log2 n, about
    round_robin    everyone against everyone, points           n (n - 1) / 2
    bradley_terry  a few rounds, utilities fitted              rounds * (n // 2)
    elo            the same rounds, ratings updated in turn    rounds * (n // 2)

The first three ask one comparison after the other and are here; the others ask all at
once and are in `gradlab.data.ranking.rounds`.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise

Wave = list[tuple[int, int]]


@dataclass(frozen=True)
class Ranking:
    """What a strategy found out.

    Attributes:
      order: all completions, the best first.
      scores: of each completion, by its number. Equal where the comparisons tell no
        difference; otherwise the scale is the strategy's own (see there).
    """

    order: tuple[int, ...]
    scores: tuple[float, ...]


Strategy = Generator[Wave, Sequence[float], Ranking]


def decide(strategy: Strategy, compare: Callable[[int, int], float]) -> Ranking:
    """Runs a strategy on a function that compares.

    Args:
      strategy: fresh.
      compare: (i, j) -> outcome in [0, 1], above 0.5 where i is preferred.

    Returns:
      Its ranking.

    Example:
      >>> utilities = [0.3, 0.9, 0.1]
      >>> decide(merge_sort(3), lambda i, j: utilities[i] > utilities[j]).order
      (1, 0, 2)
    """
    answers: list[float] | None = None
    while True:
        try:
            wave = next(strategy) if answers is None else strategy.send(answers)
        except StopIteration as end:
            return end.value
        answers = [compare(i, j) for i, j in wave]


@dataclass
class _Defence:
    """What one pass of challengers found out."""

    scores: list[float]
    lost: list[int]  # in the order in which they left; the champion isn't among them
    winners: set[int]
    losers: set[int]
    ties: set[tuple[int, int]]

    def ranking(self, order: Sequence[int]) -> Ranking:
        scores = self.scores
        ordered = sorted(order, key=lambda i: -scores[i])
        return Ranking(tuple(ordered), tuple(scores))


def champion(n: int) -> Strategy:
    """Keeps the first, lets every other challenge it, and keeps the winner.

    A tie keeps the champion. Only the first place is known. The others stand by when
    they lost, the latest first: the last is the first loser, the second the last one.

    Args:
      n: number of completions, at least 1.

    Returns:
      A strategy of n - 1 comparisons, one after the other. Scores: the number of
      champions before, half a point less for those whom a champion beat, and equal
      scores for a champion and those who tied with it.
    """
    found = yield from _defend(n)
    return found.ranking(_latest_first(found, n))


def _latest_first(found: _Defence, n: int) -> list[int]:
    (holder,) = set(range(n)) - set(found.lost)
    return [holder, *reversed(found.lost)]


def _defend(n: int) -> Generator[Wave, Sequence[float], _Defence]:
    found = _Defence([0.0] * n, [], set(), set(), set())
    holder, level = 0, 0.0
    for challenger in range(1, n):
        (outcome,) = yield [(holder, challenger)]
        leaves = challenger
        if outcome < 0.5:
            holder, leaves = challenger, holder
            level += 1
            found.scores[holder] = level
        else:
            found.scores[challenger] = level - 0.5 * (outcome > 0.5)
        found.lost.append(leaves)
        if outcome == 0.5:
            found.ties.add((holder, challenger))
        else:
            found.winners.add(holder)
            found.losers.add(leaves)
    return found


def extremes(n: int) -> Strategy:
    """The champion, and in a second pass the lowest of those that beat nobody.

    Args:
      n: number of completions, at least 1.

    Returns:
      A strategy of n - 1 comparisons plus one fewer than those that beat nobody (and
      fewer where they tied before), so 2n - 3 at most. Scores as for `champion`, the
      lowest one point under all others.
    """
    found = yield from _defend(n)
    candidates = [i for i in found.lost if i not in found.winners]
    if not candidates:  # n = 1
        return found.ranking(range(n))
    lowest, *others = candidates
    for other in others:
        if found.ties & {(lowest, other), (other, lowest)}:
            continue
        (outcome,) = yield [(lowest, other)]
        if outcome != 0.5:
            found.losers.add(other if outcome > 0.5 else lowest)
        lowest = other if outcome > 0.5 else lowest
    if lowest in found.losers:
        found.scores[lowest] = min(found.scores) - 1
    return found.ranking(_latest_first(found, n))


def merge_sort(n: int) -> Strategy:
    """Sorts by merging sorted halves; of two that tie the earlier stays in front.

    Args:
      n: number of completions, at least 1.

    Returns:
      A strategy of at most n ceil(log2 n) - 2^ceil(log2 n) + 1 comparisons, one after
      the other. Scores: 0 for the best, one less at each step down that was no tie.
    """
    outcomes: dict[tuple[int, int], float] = {}
    order = yield from _sorted(list(range(n)), outcomes)
    scores = [0.0] * n
    for above, below in pairwise(order):
        # Neighbours in the result of a merge have always met.
        outcome = outcomes.get((above, below), outcomes.get((below, above)))
        scores[below] = scores[above] - (outcome != 0.5)
    return Ranking(tuple(order), tuple(scores))


def _sorted(
    members: list[int], outcomes: dict[tuple[int, int], float]
) -> Generator[Wave, Sequence[float], list[int]]:
    if len(members) < 2:
        return members
    middle = len(members) // 2
    left = yield from _sorted(members[:middle], outcomes)
    right = yield from _sorted(members[middle:], outcomes)
    merged: list[int] = []
    while left and right:
        pair = (left[0], right[0])
        (outcomes[pair],) = yield [pair]
        merged.append((right if outcomes[pair] < 0.5 else left).pop(0))
    return merged + left + right
