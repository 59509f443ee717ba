"""Ranks many prompts: several questions at a time, within a budget, resumable."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from gradlab.data.badrows import require_count
from gradlab.data.ranking.completions import Completions
from gradlab.data.ranking.contests import Contest, Plan, Ranked
from gradlab.data.ranking.judgements import Judgements
from gradlab.data.ranking.judges import Judge, Question
from gradlab.data.ranking.retry import Backoff, Trial
from gradlab.errors import JudgeError


@dataclass(frozen=True)
class RankedPrompts:
    """What a ranking of many prompts came to.

    Attributes:
      ranked: prompts with their rankings, in the order of the file.
      unanswered: line -> why, of prompts set aside because a question had no answer.
      over_budget: prompts not begun because the budget might not have lasted.
      questions: posed in all, those answered in an earlier run included.
    """

    ranked: list[Ranked]
    unanswered: dict[int, str]
    over_budget: int
    questions: int


def rank_prompts(
    items: Sequence[Completions],
    judge: Judge,
    judgements: Judgements,
    plan: Plan,
    *,
    workers: int = 1,
    max_calls: int | None = None,
    max_failures: int = 10,
    backoff: Backoff | None = None,
    progress: Callable[[int], object] = lambda questions: None,
) -> RankedPrompts:
    """Ranks the completions of each prompt.

    Args:
      items: prompts with completions.
      judge: who compares.
      judgements: what was answered already; every new answer is added at once.
      plan: who is compared with whom, and how.
      workers: questions asked at the same time.
      max_calls: most questions, those answered in an earlier run included; attempts
        that failed don't count. A prompt begins only if the most questions that it can
        need are left, and the first that can't begin ends the ranking.
      max_failures: most prompts set aside because a question had no answer after all
        retries; one more stops the ranking.
      backoff: how failed attempts are repeated.
      progress: called with the number of questions that are settled, among them those
        that a prompt turned out not to need.

    Returns:
      The rankings.

    Raises:
      JudgeError: the judge refuses, or failed for too many prompts. All answers so far
        are in the file.
      DataError: the file can't be written, or an argument is out of range.

    Guarantees:
      The result depends on the answers and not on their timing. No question that
      `judgements` answers is asked.
    """
    require_count("workers", workers)
    require_count("max_failures", max_failures, 0)
    if max_calls is not None:
        require_count("max_calls", max_calls)
    with ThreadPoolExecutor(workers) as pool:
        run = _Run(
            pool=pool,
            judge=judge,
            judgements=judgements,
            plan=plan,
            width=workers,
            budget=float("inf") if max_calls is None else max_calls,
            max_failures=max_failures,
            backoff=backoff or Backoff(),
            progress=progress,
        )
        try:
            return run.through(deque(items))
        except BaseException:
            # Answers under way are waited for and kept: they are paid.
            run.stop.set()
            pool.shutdown(cancel_futures=True)
            raise


@dataclass
class _Run:
    pool: ThreadPoolExecutor
    judge: Judge
    judgements: Judgements
    plan: Plan
    width: int
    budget: float
    max_failures: int
    backoff: Backoff
    progress: Callable[[int], object]
    stop: threading.Event = field(default_factory=threading.Event)
    promised: int = 0  # questions of closed prompts, and the most of those now open
    open: set[Contest] = field(default_factory=set)
    asked: dict[Future[Trial], tuple[Contest, int]] = field(default_factory=dict)
    ranked: list[Ranked] = field(default_factory=list)
    unanswered: dict[int, str] = field(default_factory=dict)

    def through(self, queue: deque[Completions]) -> RankedPrompts:
        while True:
            while queue and len(self.open) < self.width and self._fits(queue[0]):
                self._begin(queue.popleft())
            if not self.asked:
                break
            for future in wait(self.asked, return_when=FIRST_COMPLETED).done:
                contest, place = self.asked.pop(future)
                self._settle(contest, place, future.result())
        self.ranked.sort(key=lambda one: one.item.row)
        unanswered = dict(sorted(self.unanswered.items()))
        return RankedPrompts(self.ranked, unanswered, len(queue), self.promised)

    def _fits(self, item: Completions) -> bool:
        return self.promised + self.plan.most(item) <= self.budget

    def _begin(self, item: Completions) -> None:
        contest = Contest(item, self.plan)
        self.open.add(contest)
        self.promised += self.plan.most(item)
        self._pose(contest)

    def _pose(self, contest: Contest) -> None:
        """Answers what is known already, wave by wave, and asks what isn't."""
        while contest.ranking is None:
            new: list[tuple[int, Question]] = []
            for place, question in enumerate(contest.questions):
                known = self.judgements.find(question)
                if known is None:
                    new.append((place, question))
                else:
                    self.progress(1)
                    contest.answer(place, known)
            for place, question in new:
                self.asked[self.pool.submit(self._ask, question)] = (contest, place)
            if new:
                return
        self.ranked.append(Ranked(contest.item, contest.ranking, contest.posed))
        self._close(contest)

    def _ask(self, question: Question) -> Trial:
        trial = self.backoff.ask(self.judge, question, self.stop)
        self.judgements.add(question, trial)
        return trial

    def _settle(self, contest: Contest, place: int, trial: Trial) -> None:
        if contest not in self.open:  # another of its questions had no answer
            return
        if trial.answer is None:
            self._set_aside(contest, trial.detail)
            return
        self.progress(1)
        questions = contest.questions
        contest.answer(place, trial.answer.preference)
        if contest.questions is not questions:
            self._pose(contest)

    def _set_aside(self, contest: Contest, why: str) -> None:
        self.unanswered[contest.item.row] = why
        self._close(contest)
        if len(self.unanswered) > self.max_failures:
            raise JudgeError(
                f"no answer for {len(self.unanswered)} prompts (max_failures is "
                f"{self.max_failures}), the last on line {contest.item.row}: {why}. "
                f"{len(self.judgements)} judgements are kept in {self.judgements.path};"
                " run again to go on from there"
            )

    def _close(self, contest: Contest) -> None:
        self.open.remove(contest)
        unneeded = self.plan.most(contest.item) - contest.posed
        if unneeded:
            self.promised -= unneeded
            self.progress(unneeded)
