"""Many prompts: budget, workers, failures, and going on after a stop."""

import random
import time

import pytest

from gradlab.data.ranking import (
    Backoff,
    Judgements,
    Plan,
    UnansweredError,
    UtilityJudge,
    given_scores,
    rank_prompts,
    scheme,
)
from gradlab.data.ranking.schemes import NAMES
from gradlab.errors import DataError, JudgeError
from tests.data.ranking.items import Recorder, item, right

ITEMS = [
    item(row, [(row * 3 + k * 7) % 11 for k in range(1, 6)]) for row in range(1, 25)
]


def ranked(tmp_path, judge, *, items=ITEMS, name="champion", file="j", **settings):
    with Judgements(tmp_path / file, judge.identity) as judgements:
        return rank_prompts(items, judge, judgements, Plan(scheme(name)), **settings)


@pytest.mark.parametrize("name", NAMES)
def test_workers_change_nothing(tmp_path, name):
    def slow(question):
        time.sleep(random.random() * 1e-3)
        return noisy.ask(question).preference

    noisy = UtilityJudge("u", given_scores, noise=2.0, order_bias=1.0)
    found = [
        ranked(
            tmp_path, Recorder(slow), name=name, file=f"{n}", workers=n, max_calls=150
        )
        for n in (1, 7)
    ]
    assert found[0] == found[1]
    assert 0 < found[0].over_budget < len(ITEMS)


@pytest.mark.parametrize("name", NAMES)
def test_the_budget_is_never_exceeded(tmp_path, name):
    plan = Plan(scheme(name))
    for budget in (1, 20, 57, 100):
        judge = Recorder(right)
        found = ranked(tmp_path, judge, name=name, file=f"{budget}", max_calls=budget)
        assert found.questions <= budget
        # A judge without ties is never asked the same twice; so all are counted.
        assert len(judge.asked) == len(set(judge.asked)) == found.questions
        assert len(found.ranked) + found.over_budget == len(ITEMS)
        if found.over_budget:
            following = ITEMS[len(found.ranked)]
            assert found.questions + plan.most(following) > budget


def test_a_greater_budget_goes_on_from_the_smaller(tmp_path):
    first, then = Recorder(right), Recorder(right)
    ranked(tmp_path, first, max_calls=50)
    found = ranked(tmp_path, then, max_calls=100)
    assert found == ranked(tmp_path, Recorder(right), file="fresh", max_calls=100)
    assert not set(first.asked) & set(then.asked)
    assert len(first.asked) + len(then.asked) == found.questions


def test_another_strategy_uses_what_was_answered(tmp_path):
    ranked(tmp_path, Recorder(right), name="round_robin")
    later = Recorder(right)
    ranked(tmp_path, later, name="merge_sort")
    assert later.asked == []


def test_progress_adds_up(tmp_path):
    counted = []
    ranked(tmp_path, Recorder(right), name="merge_sort", progress=counted.append)
    assert sum(counted) == sum(Plan(scheme("merge_sort")).most(i) for i in ITEMS)


class Moody(Recorder):
    """Has no answer for some lines."""

    def __init__(self, silent):
        super().__init__(right)
        self.silent = silent

    def ask(self, question):
        answer = super().ask(question)
        if question.item.row in self.silent:
            raise UnansweredError("timeout", "none within 1 s")
        return answer


@pytest.mark.parametrize("workers", [1, 5])
def test_prompts_without_answer_are_set_aside_and_asked_again(tmp_path, workers):
    patience = Backoff(retries=2, sleep=lambda _: None)
    settings = {"backoff": patience, "workers": workers, "name": "round_robin"}
    found = ranked(tmp_path, Moody({3, 9}), **settings)
    assert found.unanswered == dict.fromkeys((3, 9), "timeout: none within 1 s")
    assert [one.item.row for one in found.ranked] == [
        i.row for i in ITEMS if i.row not in (3, 9)
    ]
    again = Moody(set())
    whole = ranked(tmp_path, again, **settings)
    assert {row for row, *_ in again.asked} == {3, 9}
    assert whole == ranked(tmp_path, Recorder(right), name="round_robin", file="fresh")


def test_too_many_failures_stop_and_keep_what_was_answered(tmp_path):
    everything = {i.row for i in ITEMS[4:]}
    with pytest.raises(JudgeError, match="no answer for 3 prompts") as raised:
        ranked(
            tmp_path,
            Moody(everything),
            max_failures=2,
            backoff=Backoff(retries=0),
        )
    assert "32 judgements are kept in" in str(raised.value)
    later = Recorder(right)
    ranked(tmp_path, later)
    assert not {row for row, *_ in later.asked} & {1, 2, 3, 4}


def test_a_refusal_stops_and_what_is_under_way_is_kept(tmp_path):
    def refuse(question):
        if question.item.row == 6:
            raise JudgeError("no more")
        time.sleep(0.01)
        return right(question)

    with pytest.raises(JudgeError, match="no more"):
        ranked(tmp_path, judge := Recorder(refuse), workers=4)
    answered = [key for key in judge.asked if key[0] != 6]
    with Judgements(tmp_path / "j", judge.identity) as judgements:
        assert len(judgements) == len(answered)


@pytest.mark.parametrize(
    "settings", [{"workers": 0}, {"max_calls": 0}, {"max_failures": -1}]
)
def test_arguments_out_of_range(tmp_path, settings):
    with pytest.raises(DataError, match=f"{next(iter(settings))}: found"):
        ranked(tmp_path, Recorder(right), **settings)
