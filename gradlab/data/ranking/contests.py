"""One prompt's completions on their way to a ranking: questions out, answers in."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from gradlab.data.badrows import require_choice
from gradlab.data.ranking.completions import Completions
from gradlab.data.ranking.judges import Question, digest
from gradlab.data.ranking.schemes import Scheme
from gradlab.data.ranking.strategies import Ranking

Orders = Literal["both", "random", "fixed"]
RejectedRule = Literal["last", "second", "random"]


@dataclass(frozen=True)
class Plan:
    """How the completions of every prompt are compared.

    Attributes:
      scheme: the strategy.
      orders: "both" asks each comparison twice, once in either order, and takes the
        mean: a bias that is added to one place cancels. "random" draws who is shown
        first, which turns bias into noise. "fixed" shows the one that stood first, for
        instance the champion.
      seed: of the order of entry and of "random".
    """

    scheme: Scheme
    orders: Orders = "both"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuses an unknown choice."""
        require_choice("orders", self.orders, get_args(Orders))

    def most(self, item: Completions) -> int:
        """The most questions that a prompt can need."""
        return self.scheme.most(len(item)) * (1 + (self.orders == "both"))


@dataclass(frozen=True)
class Ranked:
    """A prompt whose completions are ranked.

    Attributes:
      item: the prompt and its completions.
      ranking: by the completions' places in `item.completions`.
      questions: how many it took.
    """

    item: Completions
    ranking: Ranking
    questions: int


class Contest:
    """Drives one strategy. Knows neither judge nor disk.

    Guarantees: with the same answers to the same questions the result is the same, in
    whatever order the completions stand in the row (the order of entry is drawn from
    their texts) and whenever the answers arrive.

    Attributes:
      item: the prompt and its completions.
      questions: those open now; they may be asked at the same time.
      posed: how many there were so far.
      ranking: the result, once there is one; then no question is open.
    """

    def __init__(self, item: Completions, plan: Plan) -> None:
        """Poses the first questions."""
        self.item = item
        self.questions: list[Question] = []
        self.posed = 0
        self.ranking: Ranking | None = None
        self._orders = plan.orders
        drawn = [digest(plan.seed, item.row, item.prompt, t) for t in item.completions]
        self._entry = sorted(range(len(item)), key=lambda place: drawn[place])
        self._coin = random.Random(digest(plan.seed, item.row, item.prompt))
        self._strategy = plan.scheme.start(len(item))
        self._advance(None)

    def answer(self, place: int, preference: float) -> None:
        """Takes the answer to `questions[place]`; after the last one asks on."""
        self._preferences[place] = preference
        if len(self._preferences) < len(self.questions):
            return
        shares: dict[tuple[int, int], list[float]] = {pair: [] for pair in self._wave}
        for place, asked in enumerate(self.questions):
            share = self._preferences[place]
            if (asked.first, asked.second) in shares:
                shares[asked.first, asked.second].append(share)
            else:
                shares[asked.second, asked.first].append(1 - share)
        self._advance([sum(share) / len(share) for share in shares.values()])

    def _advance(self, outcomes: Sequence[float] | None) -> None:
        send = self._strategy.send
        try:
            wave = next(self._strategy) if outcomes is None else send(outcomes)
        except StopIteration as end:
            self.questions = []
            self.ranking = self._by_place(end.value)
            return
        self._wave = [(self._entry[i], self._entry[j]) for i, j in wave]
        self.questions = [
            Question(self.item, *shown)
            for pair in self._wave
            for shown in self._shown(pair)
        ]
        self._preferences: dict[int, float] = {}
        self.posed += len(self.questions)

    def _shown(self, pair: tuple[int, int]) -> list[tuple[int, int]]:
        i, j = pair
        if self._orders == "both":
            return [(i, j), (j, i)]
        if self._orders == "random" and self._coin.random() < 0.5:
            return [(j, i)]
        return [(i, j)]

    def _by_place(self, found: Ranking) -> Ranking:
        scores = [0.0] * len(self._entry)
        for entered, place in enumerate(self._entry):
            scores[place] = found.scores[entered]
        return Ranking(tuple(self._entry[i] for i in found.order), tuple(scores))


def preference_pair(
    ranked: Ranked, *, rejected: RejectedRule = "last", seed: int = 0
) -> dict[str, str] | None:
    """The best completion and another one, as TRL's explicit form has them.

    Args:
      ranked: a prompt with its ranking.
      rejected: "last" of the ranking, "second" (the next below the best), or "random"
        among those below the best. What the places below the first are worth is the
        strategy's affair: a champion's first loser is last.
      seed: of "random".

    Returns:
      `prompt`, `chosen`, `rejected`; None where no completion came out below the best.
    """
    require_choice("rejected", rejected, get_args(RejectedRule))
    item, scores = ranked.item, ranked.ranking.scores
    best, *others = ranked.ranking.order
    below = [place for place in others if scores[place] < scores[best]]
    if not below:
        return None
    if rejected == "random":
        coin = random.Random(digest(seed, "rejected", item.row, item.prompt))
        place = coin.choice(below)
    else:
        place = below[0] if rejected == "second" else below[-1]
    texts = item.completions
    return {
        "prompt": item.prompt,
        "chosen": texts[best],
        "rejected": texts[place],
    }
