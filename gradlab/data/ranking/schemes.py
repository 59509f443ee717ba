"""The strategies by name."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from gradlab.data.badrows import require_choice, require_count
from gradlab.data.ranking.rounds import bradley_terry, elo, round_robin
from gradlab.data.ranking.strategies import Strategy, champion, extremes, merge_sort


@dataclass(frozen=True)
class Scheme:
    """A strategy with its settings.

    Attributes:
      name: of the strategy.
      start: number of completions -> a fresh `Strategy`.
      most: number of completions -> the most comparisons that it can need.
    """

    name: str
    start: Callable[[int], Strategy]
    most: Callable[[int], int]


def _merges(n: int) -> int:
    depth = (n - 1).bit_length()
    return n * depth - 2**depth + 1


SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme("champion", champion, lambda n: n - 1),
        Scheme("extremes", extremes, lambda n: max(n - 1, 2 * n - 3)),
        Scheme("merge_sort", merge_sort, _merges),
        Scheme("round_robin", round_robin, lambda n: n * (n - 1) // 2),
    )
}
ROUNDS: dict[str, Callable[..., Strategy]] = {
    "bradley_terry": bradley_terry,
    "elo": elo,
}
NAMES = (*SCHEMES, *ROUNDS)


def scheme(name: str, *, rounds: int = 4) -> Scheme:
    """The strategy of that name with its settings.

    Args:
      name: one of `NAMES`.
      rounds: of "bradley_terry" and "elo", at least 2; the others have none.

    Raises:
      DataError: an unknown name, or fewer than two rounds.
    """
    require_choice("strategy", name, NAMES)
    if name in SCHEMES:
        return SCHEMES[name]
    require_count("rounds", rounds, 2)
    start = partial(ROUNDS[name], rounds=rounds)
    return Scheme(name, start, lambda n: min(rounds, n - 1 + n % 2) * (n // 2))
