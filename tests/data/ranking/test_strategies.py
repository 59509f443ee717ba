"""Strategies against known orders: what they find, and with how many comparisons."""

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradlab.data.ranking import decide, scheme
from gradlab.data.ranking.rounds import schedule
from gradlab.data.ranking.schemes import NAMES
from gradlab.errors import DataError

COMPLETE = ("merge_sort", "round_robin", "bradley_terry", "elo")
ALL = 99  # rounds: a full round robin


def settle(name, utilities, rounds=ALL):
    """Ranking by a judge that is always right, and the comparisons asked."""
    met = []

    def compare(i, j):
        met.append((i, j))
        return 0.5 + 0.5 * np.sign(utilities[i] - utilities[j])

    n = len(utilities)
    return decide(scheme(name, rounds=rounds).start(n), compare), met


@given(st.permutations(range(7)), st.sampled_from(NAMES))
def test_a_perfect_judge_gets_the_best(utilities, name):
    ranking, _ = settle(name, utilities)
    assert utilities[ranking.order[0]] == 6
    assert sorted(ranking.order) == list(range(7))
    if name in ("extremes", *COMPLETE[:3]):
        assert utilities[ranking.order[-1]] == 0


@given(st.permutations(range(6)), st.sampled_from(COMPLETE[:3]))
def test_a_perfect_judge_gets_the_whole_order(utilities, name):
    ranking, _ = settle(name, utilities)
    assert [utilities[i] for i in ranking.order] == [5, 4, 3, 2, 1, 0]


@given(
    st.lists(st.sampled_from([0.0, 0.3, 0.5, 0.8, 1.0]), min_size=66, max_size=66),
    st.integers(1, 8),
    st.sampled_from(NAMES),
)
def test_any_judge_gives_a_ranking_that_is_sorted_by_score(answers, n, name):
    stream = iter(answers)
    ranking = decide(scheme(name).start(n), lambda i, j: next(stream))
    assert sorted(ranking.order) == list(range(n))
    ordered = [ranking.scores[i] for i in ranking.order]
    assert ordered == sorted(ordered, reverse=True)


@pytest.mark.parametrize("n", range(1, 9))
def test_numbers_of_comparisons_are_exact(n):
    rng = np.random.default_rng(n)
    orders = list(permutations(range(n)))
    for utilities in (orders[k] for k in rng.integers(len(orders), size=30)):
        counts = {name: len(settle(name, utilities, rounds=3)[1]) for name in NAMES}
        assert counts["champion"] == n - 1
        assert counts["round_robin"] == n * (n - 1) // 2
        rounds = min(3, n - 1 + n % 2)
        assert counts["bradley_terry"] == counts["elo"] == rounds * (n // 2)
        assert all(counts[k] <= scheme(k, rounds=3).most(n) for k in counts)
        # Later champions beat the one before; the first may beat the second entry.
        champions = sum(u == max(utilities[: i + 1]) for i, u in enumerate(utilities))
        beat_someone = champions - 1 + (n > 1 and utilities[0] > utilities[1])
        assert counts["extremes"] == n - 1 + max(0, n - beat_someone - 1)


@pytest.mark.parametrize("name", ["champion", "extremes", "merge_sort", "round_robin"])
def test_the_most_comparisons_are_reached(name):
    for n in range(2, 7):
        counts = {len(settle(name, order)[1]) for order in permutations(range(n))}
        assert max(counts) == scheme(name).most(n)


@pytest.mark.parametrize("n", range(1, 12))
def test_a_schedule_pairs_everyone_once_and_two_rounds_connect(n):
    rounds = schedule(n)
    met = [frozenset(pair) for wave in rounds for pair in wave]
    assert len(met) == len(set(met)) == n * (n - 1) // 2
    for wave in rounds:
        assert len({i for pair in wave for i in pair}) == 2 * len(wave) == n // 2 * 2
    for one, other in pairwise(rounds):
        reached = {0}
        for _ in range(n):
            reached |= {i for p in one + other if reached & set(p) for i in p}
        assert reached == set(range(n))


@given(st.permutations(range(6)), st.permutations(range(6)), st.sampled_from(NAMES))
def test_the_best_is_the_same_in_whatever_order_they_enter(utilities, places, name):
    moved = [utilities[place] for place in places]
    first, _ = settle(name, utilities)
    again, _ = settle(name, moved)
    assert utilities[first.order[0]] == moved[again.order[0]]


@given(st.permutations(range(6)), st.data())
def test_points_and_fitted_utilities_do_not_depend_on_the_order_of_entry(places, data):
    cells = st.sampled_from([0.0, 0.25, 0.5, 1.0])
    drawn = data.draw(st.lists(cells, min_size=36, max_size=36))
    shares = np.reshape(drawn, (6, 6))
    shares = np.triu(shares, 1) + np.tril(1 - shares.T, -1)
    for name in ("round_robin", "bradley_terry"):
        start = scheme(name, rounds=ALL).start
        plain = decide(start(6), lambda i, j: shares[i, j])
        moved = decide(start(6), lambda i, j: shares[places[i], places[j]])
        np.testing.assert_allclose(
            moved.scores, [plain.scores[place] for place in places], atol=1e-6
        )


@pytest.mark.parametrize("name", NAMES)
def test_where_everything_ties_nothing_comes_out_below(name):
    ranking = decide(scheme(name).start(5), lambda i, j: 0.5)
    assert len(set(ranking.scores)) == 1
    if name != "extremes":
        assert ranking.order[0] == 0  # a tie keeps the champion


def test_the_champion_by_hand():
    """1 beats 0; 2 ties with 1; 1 beats 3; 4 beats 1."""
    outcomes = {(0, 1): 0.0, (1, 2): 0.5, (1, 3): 1.0, (1, 4): 0.25}
    ranking = decide(scheme("champion").start(5), lambda i, j: outcomes[i, j])
    assert ranking.scores == (0.0, 1.0, 1.0, 0.5, 2.0)
    assert ranking.order == (4, 1, 2, 3, 0)


def test_elo_by_hand():
    """Two equal players: 16 points change hands; the third rested."""
    ranking = decide(scheme("elo", rounds=2).start(2), lambda i, j: 0.0)
    assert ranking.scores == (1484.0, 1516.0)


def test_refusals():
    with pytest.raises(DataError, match="strategy: found 'best'"):
        scheme("best")
    with pytest.raises(DataError, match="rounds: found 1"):
        scheme("elo", rounds=1)
