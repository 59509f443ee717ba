"""Back-off: how often, how long, and who is not asked again."""

import threading

import pytest

from gradlab.data.ranking import Answer, Backoff, Question, UnansweredError
from gradlab.errors import JudgeError
from tests.data.ranking.items import item

QUESTION = Question(item(1, [0, 1]), 0, 1)


class Stubborn:
    """Fails as told, then answers."""

    identity: dict = {}  # noqa: RUF012

    def __init__(self, *failures):
        self.failures = list(failures)
        self.asked = 0

    def ask(self, question):
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)
        return Answer(1.0, prompt_tokens=10, completion_tokens=1)


def busy(n, **settings):
    return [UnansweredError("HTTP 429", **settings) for _ in range(n)]


def waits(failures, question=QUESTION, **settings):
    slept = []
    trial = Backoff(sleep=slept.append, **settings).ask(Stubborn(*failures), question)
    return slept, trial


def test_waits_double_are_drawn_and_repeat_with_the_seed():
    slept, trial = waits(busy(5), retries=5, first=1.0, longest=6.0)
    assert trial.answer == Answer(1.0, 10, 1)
    assert trial.unanswered == ("HTTP 429",) * 5
    for wait, most in zip(slept, (1, 2, 4, 6, 6), strict=True):
        assert 0 <= wait <= most
    assert len(set(slept)) == 5
    assert slept == waits(busy(5), retries=5, longest=6.0)[0]
    assert slept != waits(busy(5), retries=5, longest=6.0, seed=1)[0]
    other = Question(item(2, [0, 1]), 0, 1)
    assert slept != waits(busy(5), other, retries=5, longest=6.0)[0]


def test_jitter_is_spread_over_the_whole_interval():
    firsts = [
        waits(busy(1), Question(item(row, [0, 1]), 0, 1))[0][0] for row in range(400)
    ]
    assert abs(sum(firsts) / 400 - 0.5) < 0.06  # four standard deviations
    assert min(firsts) < 0.02
    assert max(firsts) > 0.98


def test_it_gives_up_after_the_last_retry():
    judge = Stubborn(*busy(9))
    trial = Backoff(retries=3, sleep=lambda _: None).ask(judge, QUESTION)
    assert trial.answer is None
    assert judge.asked == 4
    assert trial.unanswered == ("HTTP 429",) * 4
    assert trial.detail == "HTTP 429"


def test_it_waits_as_long_as_the_judge_wants_within_reason():
    slept, _ = waits(busy(1, retry_after=50.0))
    assert slept == [50.0]
    slept, trial = waits(busy(1, retry_after=500.0))
    assert slept == []
    assert trial.answer is None


def test_tokens_of_failed_attempts_count():
    junk = UnansweredError("no verdict", prompt_tokens=7, completion_tokens=2)
    _, trial = waits([junk])
    assert (trial.prompt_tokens, trial.completion_tokens) == (17, 3)


def test_a_refusal_is_not_repeated():
    judge = Stubborn(JudgeError("no"))
    with pytest.raises(JudgeError):
        Backoff().ask(judge, QUESTION)
    assert judge.asked == 1


def test_a_stopped_ranking_waits_no_longer():
    stop = threading.Event()
    stop.set()
    judge = Stubborn(*busy(3, retry_after=100.0))
    assert Backoff().ask(judge, QUESTION, stop).answer is None
    assert judge.asked == 1


def test_negative_retries_are_refused():
    with pytest.raises(JudgeError, match="retries: found -1"):
        Backoff(retries=-1)
