"""Arithmetic word problems with worked solutions, an exact checker and known errors.

A problem tells a short story about a number of things; its solution has one equation
for each step and ends in "The answer is N.". `pairs` corrupts results, so that the
first wrong step and the first differing character of a pair are known. That character
is a digit; under a tokenizer with one token for each digit it is a token as well.

Everything follows from a seed, through numpy's `Generator`. The defaults are those that
the embedded model was trained for; it can't do much beyond them.
"""

import json
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from gradlab.data.corruptions import CORRUPTIONS, Corruption, corrupt
from gradlab.data.equations import equations, final_answer
from gradlab.data.stories import STYLES, Problem, Step, Style, draw
from gradlab.errors import DataError

_PATIENCE = 100  # draws for each wanted item before giving up


@dataclass(frozen=True)
class ArithmeticPair:
    """A right and a wrong solution that are the same text up to a known place.

    Attributes:
      prompt: ends in a newline; prompt + response is the whole text.
      chosen: the true solution.
      rejected: the corrupted one.
      kind: how it was corrupted, see `corrupt`.
      steps: number of steps.
      step: 0-based index of the first wrong step.
      char: 0-based offset in the responses of the first differing character, a digit.
      wrong_steps: 0-based indices of all steps that are not the true ones.
      answer: the true final number.
    """

    prompt: str
    chosen: str
    rejected: str
    kind: Corruption
    steps: int
    step: int
    char: int
    wrong_steps: tuple[int, ...]
    answer: int


@dataclass(frozen=True)
class Verdict:
    """What `check` found in a solution.

    Attributes:
      answer: the number after the last "answer is", or None.
      answer_right: it is the problem's answer.
      steps_right: every step is right, none is missing, none is too many.
      first_wrong_step: 0-based index of the first wrong, missing or extra step.
      wrong_steps: all of them in order.
    """

    answer: int | None
    answer_right: bool
    steps_right: bool
    first_wrong_step: int | None
    wrong_steps: tuple[int, ...]


def problems(
    n: int,
    seed: int,
    *,
    steps: tuple[int, int] = (1, 3),
    style: Style | None = None,
    max_value: int = 50,
    exclude: Collection[str] = frozenset(),
) -> list[Problem]:
    """Draws problems with distinct prompts.

    Args:
      n: how many.
      seed: the same seed and settings give the same problems.
      steps: least and greatest number of steps, drawn uniformly.
      style: "terse" (equations alone), "verbose" (words too), None for either.
      max_value: greatest number in a problem or its solution; at least 20.
      exclude: prompts that may not occur, such as those of a training set.

    Returns:
      The problems in the order drawn.

    Raises:
      DataError: an argument is out of range, or the settings are so narrow that there
        are too few distinct problems.

    Guarantees:
      No prompt occurs twice or lies in `exclude`. With the same seed and settings a
      longer list begins with the shorter one.

    Example:
      >>> problem = problems(1, seed=0)[0]
      >>> check(solution(problem), problem).steps_right
      True
    """
    _check_settings(n, steps, style, max_value)
    found = list(_distinct(n, seed, steps, style, max_value, exclude))
    if len(found) < n:
        raise DataError(
            f"n={n}: found only {len(found)} distinct problems with steps={steps} and "
            f"max_value={max_value}, expected {n}; widen the settings or ask for fewer"
        )
    return found


def _distinct(
    n: int,
    seed: int,
    steps: tuple[int, int],
    style: Style | None,
    max_value: int,
    exclude: Collection[str],
) -> Iterator[Problem]:
    """Up to n problems of distinct prompts, drawn one at a time; fewer where rare."""
    rng = np.random.default_rng(seed)
    seen: set[str] = set()
    for _ in range(n * _PATIENCE):
        if len(seen) == n:
            return
        problem = draw(rng, steps, style, max_value)
        if problem.prompt not in seen and problem.prompt not in exclude:
            seen.add(problem.prompt)
            yield problem


def solution(problem: Problem) -> str:
    """The true worked solution in the problem's style."""
    return render(problem, problem.steps)[0]


def render(problem: Problem, steps: Collection[Step]) -> tuple[str, list[int]]:
    """Writes out a solution with the given equations.

    Args:
      problem: gives style and words.
      steps: as many as the problem has; not necessarily the true ones.

    Returns:
      The text, and for each step the offset in it of the result's first digit. The
      last sentence repeats the result of the last step.
    """
    verbose = problem.style == "verbose"
    text, offsets, result = problem.opening if verbose else "", [], 0
    for clause, step in zip(problem.clauses, steps, strict=True):
        result = step.result
        text += clause if verbose else ""
        text += f"{step.left} {step.operation} {step.right} = "
        offsets.append(len(text))
        text += f"{result}. "
    return f"{text}The answer is {result}.", offsets


def check(text: str, problem: Problem) -> Verdict:
    """Compares the equations and the answer of a text with the true ones, exactly.

    A step is right if its operation, operands (in either order for + and *) and result
    are the true ones. So a step that goes on rightly from a wrong number is wrong too.
    `x`, `×` and `÷` are read as `*`, `*` and `/`.

    Args:
      text: a solution, for example what a model wrote; any text is taken.
      problem: what it should solve.

    Returns:
      The verdict.
    """
    found = equations(text)
    true, both = problem.steps, min(len(found), len(problem.steps))
    wrong = [i for i in range(both) if not _same(found[i], true[i])]
    wrong += range(both, max(len(found), len(true)))
    answer = final_answer(text)
    return Verdict(
        answer=answer,
        answer_right=answer == problem.answer,
        steps_right=not wrong,
        first_wrong_step=wrong[0] if wrong else None,
        wrong_steps=tuple(wrong),
    )


def pairs(
    n: int,
    seed: int,
    *,
    kinds: Collection[Corruption] = CORRUPTIONS,
    steps: tuple[int, int] = (2, 3),
    style: Style | None = None,
    max_value: int = 50,
    exclude: Collection[str] = frozenset(),
) -> list[ArithmeticPair]:
    """Draws preference pairs: the true solution against a corrupted one.

    Args:
      n: how many.
      seed: the same seed and settings give the same pairs.
      kinds: the corruptions, see `corrupt`; they take turns.
      steps, style, max_value, exclude: see `problems`.

    Returns:
      The pairs; no prompt occurs twice.

    Raises:
      DataError: as `problems`, or an unknown or impossible kind.
    """
    kinds = tuple(kinds)
    if not kinds or any(kind not in CORRUPTIONS for kind in kinds):
        raise DataError(f"kinds: found {kinds}, expected some of {CORRUPTIONS}")
    if steps[1] < 2 and set(kinds) != {"last"}:
        raise DataError(f"steps: found {steps}; {kinds} need at least two steps")
    _check_settings(n, steps, style, max_value)
    # Spare problems, since some do not allow the kind whose turn it is.
    drawn = _distinct(4 * n + 8, seed, steps, style, max_value, exclude)
    rng = np.random.default_rng([seed, 1])
    found: list[ArithmeticPair] = []
    for problem in drawn:
        if len(found) == n:
            break
        kind = kinds[len(found) % len(kinds)]
        wrong = corrupt(problem, kind, rng)
        if wrong is not None:
            found.append(_pair(problem, kind, wrong))
    if len(found) < n:
        raise DataError(f"n={n}: found only {len(found)} problems that allow {kinds}")
    return found


def write_pairs(path: str | os.PathLike[str], rows: Iterable[ArithmeticPair]) -> None:
    """Writes pairs as JSON Lines with `prompt`, `chosen`, `rejected` and what is known.

    The file appears at once and whole: it is written beside its place and then moved.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("w", encoding="utf-8", newline="\n") as file:
            for row in rows:
                file.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _check_settings(
    n: int, steps: tuple[int, int], style: Style | None, max_value: int
) -> None:
    if n < 0:
        raise DataError(f"n: found {n}, expected 0 or more")
    if not 1 <= steps[0] <= steps[1]:
        raise DataError(f"steps: found {steps}, expected 1 <= least <= greatest")
    if style is not None and style not in STYLES:
        raise DataError(f"style: found {style!r}, expected one of {STYLES} or None")
    if max_value < 20:
        raise DataError(f"max_value: found {max_value}, expected 20 or more")


def _same(found: Step, true: Step) -> bool:
    if (found.operation, found.result) != (true.operation, true.result):
        return False
    operands = (true.left, true.right)
    if (found.left, found.right) == operands:
        return True
    return true.operation in "+*" and (found.right, found.left) == operands


def _pair(
    problem: Problem, kind: Corruption, wrong: tuple[Step, ...]
) -> ArithmeticPair:
    chosen, rejected = solution(problem), render(problem, wrong)[0]
    differing = tuple(i for i, step in enumerate(problem.steps) if step != wrong[i])
    return ArithmeticPair(
        prompt=problem.prompt,
        chosen=chosen,
        rejected=rejected,
        kind=kind,
        steps=len(problem.steps),
        step=differing[0],
        char=_first_difference(chosen, rejected),
        wrong_steps=differing,
        answer=problem.answer,
    )


def _first_difference(a: str, b: str) -> int:
    return next(i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)
