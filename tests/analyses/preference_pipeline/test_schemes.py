"""Schemes on arrays against the library's on the same answers, pool by pool."""

import numpy as np
import pytest

from analyses.preference_pipeline import schemes
from analyses.preference_pipeline.judges import Answers, Judge, compare, make_pools
from gradlab.data.ranking import decide, scheme


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def answers_of(seed: int, *, candidates: int = 8, threshold: float = 0.0) -> Answers:
    pools = make_pools(60, candidates, rng(seed))
    return compare(pools, Judge(0.7, threshold=threshold), rng(seed), orders="fixed")


def with_the_library(name: str, table: np.ndarray) -> tuple[int, int, int]:
    """Best, last of the order, and comparisons."""
    asked = []

    def compare_two(i: int, j: int) -> float:
        asked.append((i, j))
        return float(table[i, j])

    found = decide(scheme(name).start(len(table)), compare_two)
    return found.order[0], found.order[-1], len(asked)


@pytest.mark.parametrize("candidates", [4, 8, 16])
@pytest.mark.parametrize(
    ("name", "picked"),
    [
        (
            "champion",
            lambda a: schemes.running_winner(a, rng(), rejected="first loser"),
        ),
        (
            "extremes",
            lambda a: schemes.running_winner(a, rng(), rejected="second pass"),
        ),
        ("round_robin", schemes.round_robin),
    ],
)
def test_the_same_pair_for_the_same_calls(name, picked, candidates):
    answers = answers_of(1, candidates=candidates)
    found = picked(answers)
    expected = [with_the_library(name, table) for table in answers.share]
    np.testing.assert_array_equal(
        np.stack([found.chosen, found.rejected, found.calls], 1), expected
    )


@pytest.mark.parametrize("threshold", [0.5, 2.0])
def test_a_champion_stays_on_a_tie_as_in_the_library(threshold):
    answers = answers_of(2, threshold=threshold)
    found = schemes.running_winner(answers, rng(), rejected="second pass")
    for name in ("champion", "extremes"):
        expected = [with_the_library(name, table)[0] for table in answers.share]
        np.testing.assert_array_equal(found.chosen, expected)
    calls = [with_the_library("extremes", table)[2] for table in answers.share]
    np.testing.assert_array_equal(found.calls, calls)


def test_the_last_loser_is_second_in_the_librarys_order():
    answers = answers_of(3)
    found = schemes.running_winner(answers, rng(), rejected="last loser")
    for table, rejected in zip(answers.share, found.rejected, strict=True):
        ranking = decide(scheme("champion").start(8), lambda i, j, t=table: t[i, j])
        assert ranking.order[1] == rejected


def knock_out(table: np.ndarray) -> tuple[int, int, int]:
    """The same written for one pool."""
    asked = 0

    def halves(entrants: list[int]) -> tuple[list[int], list[int]]:
        nonlocal asked
        better, worse = [], []
        for i, j in zip(entrants[::2], entrants[1::2], strict=True):
            asked += 1
            better.append(i if table[i, j] >= 0.5 else j)
            worse.append(j if table[i, j] >= 0.5 else i)
        return better, worse

    best, worst = halves(list(range(len(table))))
    while len(best) > 1:
        best = halves(best)[0]
    while len(worst) > 1:
        worst = halves(worst)[1]
    return best[0], worst[0], asked


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_max_and_min_is_two_knock_outs(threshold):
    answers = answers_of(4, threshold=threshold)
    found = schemes.max_and_min(answers)
    expected = [knock_out(table) for table in answers.share]
    np.testing.assert_array_equal(
        np.stack([found.chosen, found.rejected, found.calls], 1), expected
    )


@pytest.mark.parametrize(
    "scheme_of",
    [
        schemes.max_and_min,
        schemes.round_robin,
        lambda a: schemes.running_winner(a, rng(), rejected="second pass"),
    ],
)
def test_without_noise_best_and_worst_are_found(scheme_of):
    pools = make_pools(100, 8, rng(5))
    found = scheme_of(compare(pools, Judge(1e-9), rng(5)))
    np.testing.assert_array_equal(found.chosen, pools.utilities.argmax(1))
    np.testing.assert_array_equal(found.rejected, pools.utilities.argmin(1))


def test_swiss_rounds_without_noise_find_the_best_and_mostly_the_worst():
    pools = make_pools(400, 8, rng(5))
    answers = compare(pools, Judge(1e-9), rng(5))
    found = schemes.swiss(answers, rng(), rounds=7)
    np.testing.assert_array_equal(found.chosen, pools.utilities.argmax(1))
    # Some meet twice, so the last two may not have met at all.
    assert np.mean(found.rejected == pools.utilities.argmin(1)) > 0.95


def test_swiss_rounds_ask_half_the_candidates_each():
    found = schemes.swiss(answers_of(6), rng())
    assert (found.calls == 4 * 4).all()
    full = schemes.swiss(answers_of(6), rng(), rounds=2)
    assert (full.calls == 2 * 4).all()


def test_calls_are_what_the_asked_comparisons_cost():
    answers = answers_of(7)
    dear = Answers(answers.share, 3 * answers.cost)
    for picked in (
        schemes.max_and_min,
        schemes.round_robin,
        lambda a: schemes.running_winner(a, rng()),
        lambda a: schemes.swiss(a, rng()),
    ):
        np.testing.assert_array_equal(picked(dear).calls, 3 * picked(answers).calls)


def test_scores_pick_highest_and_lowest_and_draw_ties():
    values = np.array([[3.0, 1.0, 2.0]] * 500 + [[1.0, 1.0, 0.0]] * 500)
    found = schemes.by_scores(values, rng(), repeats=2)
    assert (found.chosen[:500] == 0).all()
    assert (found.rejected[:500] == 1).all()
    assert found.chosen[500:].mean() == pytest.approx(0.5, abs=0.1)
    assert (found.calls == 6).all()
    other = schemes.by_scores(values, rng(), rejected="random other")
    assert (other.chosen != other.rejected).all()
    assert set(other.rejected[:500]) == {1, 2}


def test_a_random_pair_has_two_members():
    found = schemes.random_pair(1000, 4, rng())
    assert (found.chosen != found.rejected).all()
    assert np.bincount(found.chosen, minlength=4).min() > 200
