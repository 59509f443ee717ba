"""Judges: who of two completions is the better one, as the judge sees it."""

import hashlib
import importlib
import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from gradlab.data.arithmetic import check
from gradlab.data.equations import equations
from gradlab.data.ranking.completions import Completions
from gradlab.data.stories import Problem
from gradlab.errors import JudgeError

Utilities = Callable[[Completions], Sequence[float]]
WORDS = {"first": 1.0, "tie": 0.5, "second": 0.0}


@dataclass(frozen=True)
class Question:
    """Two completions of one prompt, in the order in which a judge is shown them.

    Attributes:
      item: the prompt with all its completions.
      first: number of the completion shown first.
      second: number of the other.
    """

    item: Completions
    first: int
    second: int

    @property
    def texts(self) -> tuple[str, str, str]:
        """Prompt, first and second completion."""
        shown = self.item.completions
        return self.item.prompt, shown[self.first], shown[self.second]

    @property
    def digest(self) -> str:
        """Tells the line and the three texts from others: 16 hexadecimal digits."""
        return digest(self.item.row, *self.texts)


def digest(*parts: object) -> str:
    """16 hexadecimal digits that tell these parts from others."""
    framed = "".join(f"{len(str(part))}:{part}" for part in parts)
    return hashlib.sha256(framed.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Answer:
    """What a judge said.

    Attributes:
      preference: for the completion shown first: 1 (it is better), 0 (the other is),
        0.5 (a tie), or a probability in between.
      prompt_tokens: tokens that the judge read, where it tells.
      completion_tokens: tokens that it wrote, where it tells.
      reply: its words, or None.
    """

    preference: float
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reply: str | None = None


class UnansweredError(Exception):
    """A judge gave no usable answer this time; asking again may help.

    A user's own judge may raise it too.

    Attributes:
      reason: a short category, such as "timeout" or "HTTP 429", for the account.
      detail: what happened.
      retry_after: seconds that the judge wants to be left alone, or None.
      prompt_tokens: read for nothing.
      completion_tokens: written for nothing.
    """

    def __init__(
        self,
        reason: str,
        detail: str = "",
        *,
        retry_after: float | None = None,
        prompt_tokens: int = 0,
        completion_tokens: int = 0,
    ) -> None:
        """Keeps the parts."""
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail, self.retry_after = reason, detail, retry_after
        self.prompt_tokens = prompt_tokens
        self.completion_tokens = completion_tokens


class Judge(Protocol):
    """Answers questions, from several threads at once where more than one asks."""

    @property
    def identity(self) -> dict[str, Any]:
        """What its answers depend on, as plain JSON values; nothing secret."""
        ...

    def ask(self, question: Question) -> Answer:
        """The answer.

        Raises:
          UnansweredError: none this time.
          JudgeError: none to be hoped for; the ranking stops.
        """
        ...


@dataclass(frozen=True)
class UtilityJudge:
    """Prefers the greater utility, with noise, order bias and ties as they are set.

    The difference that it sees is d = u_first - u_second + order_bias + noise * e with
    e logistic, so that without ties P(first) = sigmoid((u_first - u_second +
    order_bias) / noise), the Bradley-Terry model. It calls a tie where |d| <=
    tie_threshold.

    Attributes:
      name: of the utilities.
      utilities: row -> one number for each completion.
      noise: scale of the logistic noise, in units of utility; 0: none.
      order_bias: what being shown first is worth, in units of utility.
      tie_threshold: in units of utility.
      seed: of the noise. It is drawn anew for each question, and the same question gets
        the same answer.
    """

    name: str
    utilities: Utilities
    noise: float = 0.0
    order_bias: float = 0.0
    tie_threshold: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuses settings that mean nothing."""
        for key in ("noise", "tie_threshold"):
            value = getattr(self, key)
            if not 0 <= value < math.inf:
                raise JudgeError(f"{key}: found {value}, expected a number >= 0")
        if not math.isfinite(self.order_bias):
            raise JudgeError(f"order_bias: found {self.order_bias}, expected a number")

    @property
    def identity(self) -> dict[str, Any]:
        """The settings."""
        keys = ("name", "noise", "order_bias", "tie_threshold", "seed")
        return {key: getattr(self, key) for key in keys}

    def ask(self, question: Question) -> Answer:
        """The answer; the same whenever it is asked."""
        utilities = self.utilities(question.item)
        seen = utilities[question.first] - utilities[question.second] + self.order_bias
        if self.noise:
            draw = np.random.default_rng([self.seed, int(question.digest, 16)])
            seen += self.noise * draw.logistic()
        if abs(seen) <= self.tie_threshold:
            return Answer(0.5)
        return Answer(float(seen > 0))


def given_scores(item: Completions) -> Sequence[float]:
    """The scores that the row brings along, as utilities."""
    if item.scores is None:
        raise JudgeError(f"line {item.row}: no 'scores', which this judge reads")
    return item.scores


def checked_solutions(item: Completions) -> Sequence[float]:
    """Utilities of arithmetic solutions by the exact checker, from 0 to 2.

    One for the right final answer, and the share of true steps that are neither wrong
    nor missing (steps too many count as wrong ones), see `gradlab.data.arithmetic`.

    Raises:
      JudgeError: the row's `solution` is missing or states no equation.
    """
    steps = tuple(equations(item.solution or ""))
    if not steps:
        raise JudgeError(
            f"line {item.row}: 'solution' states no equation; expected the true worked "
            "solution, such as '3 + 4 = 7. The answer is 7.'"
        )
    problem = Problem(item.prompt, steps, "", (), "terse")
    verdicts = [check(text, problem) for text in item.completions]
    return [
        v.answer_right + max(0.0, 1 - len(v.wrong_steps) / len(steps)) for v in verdicts
    ]


@dataclass(frozen=True)
class FunctionJudge:
    """A user's own judge.

    Attributes:
      path: "module:function". The function takes prompt, first and second completion
        and returns "first", "second", "tie", or the probability of the first. It is
        called from several threads where several workers are asked for, and may raise
        `UnansweredError` to be asked again.
    """

    path: str
    function: Callable[[str, str, str], Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Imports the function.

        Raises:
          JudgeError: there is none of that name.
        """
        object.__setattr__(self, "function", _imported(self.path))

    @property
    def identity(self) -> dict[str, Any]:
        """The path, and a digest of the function's source text."""
        try:
            source = digest(inspect.getsource(self.function))
        except (OSError, TypeError):
            source = None
        return {"name": self.path, "source": source}

    def ask(self, question: Question) -> Answer:
        """The function's answer."""
        try:
            found = self.function(*question.texts)
        except (UnansweredError, JudgeError):
            raise
        except Exception as error:
            raise JudgeError(
                f"the judge '{self.path}' failed on line {question.item.row}: "
                f"{type(error).__name__}: {error}"
            ) from error
        share = WORDS.get(found, found) if isinstance(found, str) else found
        if isinstance(share, int | float | np.number) and 0 <= share <= 1:
            return Answer(float(share))
        raise JudgeError(
            f"the judge '{self.path}' returned {repr(found)[:80]} on line "
            f"{question.item.row}; expected 'first', 'second', 'tie' or a number in "
            "[0, 1]"
        )


def _imported(path: str) -> Callable[[str, str, str], Any]:
    module, _, name = path.partition(":")
    try:
        function: Any = importlib.import_module(module)
        for part in name.split("."):
            function = getattr(function, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise JudgeError(
            f"can't import the judge '{path}': {error}; expected module:function, with "
            "the module importable from the current folder"
        ) from None
    if not callable(function):
        raise JudgeError(f"the judge '{path}' is a {type(function).__name__}")
    return function
