"""Asking again after a while: exponential back-off with jitter."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass

from gradlab.data.ranking.judges import Answer, Judge, Question, UnansweredError
from gradlab.errors import JudgeError


@dataclass(frozen=True)
class Trial:
    """What became of one question, all its attempts together.

    Attributes:
      answer: the judge's, or None where every attempt failed.
      unanswered: reason of each attempt that failed, in order.
      detail: of the last of them, for a message.
      prompt_tokens: read in all attempts.
      completion_tokens: written in all attempts.
    """

    answer: Answer | None
    unanswered: tuple[str, ...] = ()
    detail: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True)
class Backoff:
    """How often and how patiently a question is asked again.

    Before attempt k + 1 it waits a time drawn evenly between 0 and min(longest, first *
    2^(k - 1)) seconds ("full jitter"), so that many waiting workers spread out; and at
    least as long as the judge wants (Retry-After). A judge that wants longer than
    `longest_asked` counts as not answering.

    Attributes:
      retries: attempts after the first.
      first: seconds, the longest first wait.
      longest: seconds, the longest drawn wait.
      longest_asked: seconds, the longest wait that a judge may ask for.
      seed: of the jitter; the waits of a question depend on it and the question alone.
      sleep: waits that many seconds; None: one that ends early when the ranking stops.
    """

    retries: int = 4
    first: float = 1.0
    longest: float = 30.0
    longest_asked: float = 120.0
    seed: int = 0
    sleep: Callable[[float], object] | None = None

    def __post_init__(self) -> None:
        """Refuses settings that mean nothing."""
        if self.retries < 0:
            raise JudgeError(f"retries: found {self.retries}, expected 0 or more")

    def ask(
        self, judge: Judge, question: Question, stop: threading.Event | None = None
    ) -> Trial:
        """Asks until there is an answer or the patience is at its end.

        Args:
          judge: who is asked.
          question: what.
          stop: no attempt begins, and no wait goes on, once it is set.

        Raises:
          JudgeError: from the judge; it isn't asked again.
        """
        stop = stop or threading.Event()
        sleep = self.sleep or stop.wait
        draw = random.Random(f"{self.seed} {question.digest}")
        failed: list[UnansweredError] = []
        while True:
            try:
                answer = judge.ask(question)
            except UnansweredError as error:
                failed.append(error)
            else:
                return _trial(answer, failed)
            wait = self._wait(len(failed), failed[-1], draw)
            if wait is None or stop.is_set():
                return _trial(None, failed)
            sleep(wait)
            if stop.is_set():
                return _trial(None, failed)

    def _wait(
        self, tried: int, error: UnansweredError, draw: random.Random
    ) -> float | None:
        """Seconds before the next attempt, or None if there is to be none."""
        asked = error.retry_after or 0.0
        if tried > self.retries or asked > self.longest_asked:
            return None
        most = min(self.longest, self.first * 2 ** (tried - 1))
        return max(asked, draw.uniform(0, most))


def _trial(answer: Answer | None, failed: list[UnansweredError]) -> Trial:
    spent = [*failed, *([] if answer is None else [answer])]
    return Trial(
        answer,
        tuple(error.reason for error in failed),
        str(failed[-1]) if failed else "",
        sum(each.prompt_tokens for each in spent),
        sum(each.completion_tokens for each in spent),
    )
