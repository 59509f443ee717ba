"""Wrong results for the steps of an arithmetic problem."""

from typing import Literal, get_args

import numpy as np

from gradlab.data.stories import Problem, Step, calculate, pick

Corruption = Literal["one", "follow", "several", "last"]
CORRUPTIONS: tuple[Corruption, ...] = get_args(Corruption)


def corrupt(
    problem: Problem, kind: Corruption, rng: np.random.Generator
) -> tuple[Step, ...] | None:
    """Replaces true results by wrong ones with as many digits.

    Args:
      problem: its true steps are the starting point.
      kind: "one": one intermediate result is wrong, all later text is left alone, so
        the final answer is still right. "follow": the same, but all later steps are
        recalculated from the wrong number. "several": two or more results are wrong,
        the rest is left alone. "last": only the last result, and the answer with it.
      rng: chooses the steps and the wrong numbers.

    Returns:
      The steps to render, or None where the problem does not allow this kind (too few
      steps, or no wrong number that later steps can go on from).
    """
    steps, n = list(problem.steps), len(problem.steps)
    if n < 2 and kind != "last":
        return None
    if kind == "follow":
        start = int(rng.integers(n - 1))
        for wrong in rng.permutation(_near_misses(steps[start].result)):
            followed = _follow(problem.steps, start, int(wrong))
            if followed is not None:
                return followed
        return None
    if kind == "one":
        where = [int(rng.integers(n - 1))]
    elif kind == "several":
        where = rng.permutation(n)[: int(rng.integers(2, n + 1))].tolist()
    else:
        where = [n - 1]
    for i in where:
        wrong = pick(rng, _near_misses(steps[i].result))
        steps[i] = Step(steps[i].left, steps[i].operation, steps[i].right, wrong)
    return tuple(steps)


def _near_misses(value: int) -> list[int]:
    """Wrong numbers up to 10 away with as many digits: texts keep their length."""
    digits = len(str(value))
    near = [value + d for d in range(-10, 11) if d and value + d > 0]
    return [wrong for wrong in near if len(str(wrong)) == digits]


def _follow(steps: tuple[Step, ...], start: int, wrong: int) -> tuple[Step, ...] | None:
    """Puts a wrong result at `start` and recalculates the rest; None if it can't be."""
    first = steps[start]
    out = [*steps[:start], Step(first.left, first.operation, first.right, wrong)]
    for step in steps[start + 1 :]:
        result = calculate(out[-1].result, step.operation, step.right)
        if result is None or result < 1:
            return None
        out.append(Step(out[-1].result, step.operation, step.right, result))
    return tuple(out)
