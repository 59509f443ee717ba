"""Orders of presentation, and what becomes of an order bias."""

import numpy as np
import pytest
from scipy.special import expit

from gradlab.data.ranking import (
    Completions,
    Plan,
    Ranked,
    Ranking,
    UtilityJudge,
    given_scores,
    preference_pair,
    scheme,
)
from gradlab.data.ranking.contests import Contest
from gradlab.data.ranking.schemes import NAMES
from gradlab.errors import DataError
from tests.data.ranking.items import item, right, utility


def held(contest, answer):
    asked = []
    while contest.ranking is None:
        for place, question in reversed(list(enumerate(contest.questions))):
            asked.append((question.first, question.second))
            contest.answer(place, answer(question))
    return contest.ranking, asked


def biased(bias):
    """Probability of the first one with a constant advantage in its log-odds."""
    return lambda q: expit(utility(q.texts[1]) - utility(q.texts[2]) + bias)


@pytest.mark.parametrize("name", NAMES)
def test_both_orders_cancel_a_bias_for_one_place(name):
    some = item(1, [0.2, 1.4, 0.9, -0.3, 0.6])
    for bias in (-6.0, 6.0):
        plan = Plan(scheme(name, rounds=9), "both")
        ranking, asked = held(Contest(some, plan), biased(bias))
        assert ranking.order[0] == 1
        assert set(asked) == {(j, i) for i, j in asked}
        fixed, _ = held(Contest(some, Plan(scheme(name), "fixed")), biased(bias))
        assert len(asked) == 2 * len(set(map(frozenset, asked)))
        assert fixed.order != ranking.order


def test_a_judge_that_always_takes_the_first_place_prefers_nothing():
    for name in NAMES:
        ranking, _ = held(Contest(item(1, range(5)), Plan(scheme(name))), lambda q: 1.0)
        assert len(set(ranking.scores)) == 1
        assert preference_pair(Ranked(item(1, range(5)), ranking, 0)) is None


def test_random_orders_turn_bias_into_noise():
    """Equal utilities: who comes first wins; the champion's handicap is gone."""
    shown_first = {"fixed": 0, "random": 0}
    for orders in shown_first:
        for row in range(400):
            contest = Contest(item(row, [0, 1]), Plan(scheme("champion"), orders))
            (question,) = contest.questions
            shown_first[orders] += question.first == contest._entry[0]
    assert shown_first["fixed"] == 400
    assert 140 < shown_first["random"] < 260  # six standard deviations


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("orders", ["both", "random", "fixed"])
def test_the_result_follows_the_texts_through_any_permutation(name, orders):
    """A noisy, biased judge of texts: the same ranking wherever they stand."""
    judge = UtilityJudge("u", lambda i: [utility(t) for t in i.completions], 0.7, 0.5)
    utilities = [0.1, 0.5, 0.4, 0.9, 0.6, 0.2]
    plan = Plan(scheme(name), orders, seed=3)

    def ask(question):
        return judge.ask(question).preference

    some = item(1, utilities)
    plain, _ = held(Contest(some, plan), ask)
    for seed in range(5):
        places = np.random.default_rng(seed).permutation(6).tolist()
        moved = Completions(1, some.prompt, tuple(some.completions[p] for p in places))
        ranking, _ = held(Contest(moved, plan), ask)
        assert tuple(places[p] for p in ranking.order) == plain.order
        assert ranking.scores == tuple(plain.scores[p] for p in places)


def test_the_order_of_entry_depends_on_the_seed():
    entries = {
        tuple(Contest(item(1, range(6)), Plan(scheme("champion"), seed=s))._entry)
        for s in range(20)
    }
    assert len(entries) > 10


def test_the_most_questions_count_both_orders():
    some = item(1, range(5))
    assert Plan(scheme("champion"), "both").most(some) == 8
    assert Plan(scheme("champion"), "random").most(some) == 4
    with pytest.raises(DataError, match="orders: found 'twice'"):
        Plan(scheme("champion"), "twice")  # pyright: ignore[reportArgumentType]


def test_pairs_by_rule():
    some = item(4, [3, 9, 7, 5])
    ranked = Ranked(some, Ranking((1, 2, 3, 0), (0.0, 3.0, 3.0, 1.0)), 6)
    pair = {"prompt": "prompt 4", "chosen": "answer 9"}
    assert preference_pair(ranked) == pair | {"rejected": "answer 3"}
    # 7 is tied with the best: no preference is made up.
    assert preference_pair(ranked, rejected="second") == pair | {"rejected": "answer 5"}
    drawn = {
        found["rejected"]
        for seed in range(30)
        if (found := preference_pair(ranked, rejected="random", seed=seed))
    }
    assert drawn == {"answer 3", "answer 5"}


def test_a_right_judge_gives_the_extremes():
    some = item(1, [0.3, 0.8, 0.1, 0.5])
    ranking, _ = held(Contest(some, Plan(scheme("extremes"))), right)
    found = preference_pair(Ranked(some, ranking, 0))
    assert found == {
        "prompt": "prompt 1", "chosen": "answer 0.8", "rejected": "answer 0.1"
    }  # fmt: skip
    assert given_scores(some) == (0.3, 0.8, 0.1, 0.5)
