"""The stories behind the arithmetic problems: wording tables and one random draw.

Every event has two wordings: a sentence for the problem and a shorter clause that a
verbose solution says before its equation. Placeholders: `{S}` the hero as a subject
pronoun, `{him}` as an object, `{his}` possessive, `{friend}` another name, `{things}`
the counted objects and `{n}` the number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

Operation = Literal["+", "-", "*", "/"]
Style = Literal["terse", "verbose"]
_T = TypeVar("_T")

STYLES: tuple[Style, ...] = ("terse", "verbose")
OPERATIONS: tuple[Operation, ...] = ("+", "-", "*", "/")
FACTORS = (2, 3, 4, 5)
MOST_CHANGE = 20  # of one + or - step, so that a small model can learn every sum

WOMEN = ("Mia", "Anna", "Zoe", "Lily", "Emma", "Nora", "Ruth", "Ivy")
MEN = ("Tom", "Ben", "Leo", "Max", "Sam", "Jack", "Omar", "Noah")
NAMES = WOMEN + MEN
THINGS = (
    "apples",
    "pears",
    "coins",
    "stamps",
    "shells",
    "beads",
    "cards",
    "books",
    "pens",
    "stones",
    "stickers",
    "cookies",
)

OPENINGS = ("{hero} has {n} {things}. ", "{hero} starts with {n} {things}. ")
# An opening in groups is a multiplication already, hence the first step.
GROUPS = (
    ("{hero} has {k} bags with {n} {things} in each. ", "{k} bags with {n} in each"),
    ("{hero} packs {k} boxes of {n} {things} each. ", "{k} boxes of {n} each"),
)
EVENTS: dict[Operation, tuple[tuple[str, str], ...]] = {
    "+": (
        ("{S} buys {n} more {things}. ", "{S} buys {n} more"),
        ("{friend} gives {him} {n} more {things}. ", "{friend} gives {him} {n}"),
        ("{S} finds {n} {things} at school. ", "{S} finds {n}"),
        ("{S} wins {n} {things} in a game. ", "{S} wins {n}"),
    ),
    "-": (
        ("{S} gives {n} {things} to {friend}. ", "{S} gives {n} to {friend}"),
        ("{S} loses {n} {things} on the way home. ", "{S} loses {n}"),
        ("{S} sells {n} of {his} {things}. ", "{S} sells {n}"),
        ("{friend} takes {n} of the {things}. ", "{friend} takes {n}"),
    ),
    "*": (
        ("{S} trades each one for {n} small {things}. ", "{S} gets {n} for each"),
        (
            "{S} collects until there are {n} times as many. ",
            "{S} has {n} times as many",
        ),
        (
            "{friend} swaps each one for {n} new {things}. ",
            "{friend} gives {n} for each",
        ),
    ),
    "/": (
        ("{S} fills {n} equal bags and keeps one bag. ", "{S} keeps one of {n} bags"),
        ("{S} shares them fairly in a group of {n}. ", "{S} keeps one of {n} shares"),
        (
            "{S} makes {n} equal piles and keeps one pile. ",
            "{S} keeps one of {n} piles",
        ),
    ),
}
# The first word of a verbose step is free, which gives the solutions some entropy.
CONNECTORS = ("", "Then ", "Next, ")
QUESTIONS = (
    "How many {things} does {hero} have now?",
    "How many {things} are there in the end?",
)
REQUESTS: dict[Style, str] = {"terse": " Be brief.\n", "verbose": " Explain.\n"}


@dataclass(frozen=True)
class Step:
    """One equation `left operation right = result` of a solution."""

    left: int
    operation: Operation
    right: int
    result: int


@dataclass(frozen=True)
class Problem:
    """A word problem with its true steps.

    Attributes:
      prompt: the story, the question and the wanted style, ending in a newline.
      steps: the true equations in order; each starts from the result before it.
      opening: the sentence that opens the verbose solution, or "".
      clauses: for each step the words before its equation in the verbose solution.
      style: how much the solution says: the equations alone, or words too.
    """

    prompt: str
    steps: tuple[Step, ...]
    opening: str
    clauses: tuple[str, ...]
    style: Style

    @property
    def answer(self) -> int:
        """The true final number."""
        return self.steps[-1].result


def calculate(left: int, operation: Operation, right: int) -> int | None:
    """The exact result of `left operation right`; None where a quotient isn't whole."""
    if operation == "+":
        return left + right
    if operation == "-":
        return left - right
    if operation == "*":
        return left * right
    return left // right if right and left % right == 0 else None


def draw(
    rng: np.random.Generator, steps: tuple[int, int], style: Style | None, top: int
) -> Problem:
    """Draws one problem.

    Args:
      rng: advanced by the draw.
      steps: least and greatest number of steps, drawn uniformly.
      style: None for either with equal chance.
      top: no number is greater; at least 20.

    Returns:
      The problem; all its numbers lie in 1..top, and no + or - step changes the count
      by more than MOST_CHANGE.
    """
    style = pick(rng, STYLES) if style is None else style
    count = int(rng.integers(steps[0], steps[1] + 1))
    hero, friend = (NAMES[int(i)] for i in rng.permutation(len(NAMES))[:2])
    she = hero in WOMEN
    words = {
        "hero": hero,
        "friend": friend,
        "things": pick(rng, THINGS),
        "him": "her" if she else "him",
        "his": "her" if she else "his",
    }
    subject = "she" if she else "he"
    story, opening, done, clauses, value = _open(rng, words, top)
    while len(done) < count:
        step = _next_step(rng, value, top)
        sentence, clause = pick(rng, EVENTS[step.operation])
        connector = pick(rng, CONNECTORS) if done else ""
        fill = words | {"n": step.right}
        story += sentence.format(S=subject.capitalize(), **fill)
        small = subject if connector else subject.capitalize()
        clauses.append(connector + clause.format(S=small, **fill) + ": ")
        done.append(step)
        value = step.result
    question = pick(rng, QUESTIONS).format(**words)
    prompt = story + question + REQUESTS[style]
    return Problem(prompt, tuple(done), opening, tuple(clauses), style)


def pick(rng: np.random.Generator, items: Sequence[_T]) -> _T:
    """One item, all equally likely."""
    return items[int(rng.integers(len(items)))]


def _open(
    rng: np.random.Generator, words: dict[str, str], top: int
) -> tuple[str, str, list[Step], list[str], int]:
    """First sentence, opening of the solution, first step and clause if any, value."""
    if rng.random() < 0.25:
        sentence, clause = pick(rng, GROUPS)
        k = pick(rng, FACTORS)
        n = int(rng.integers(2, top // k + 1))
        numbers = {"k": k, "n": n}
        story = sentence.format(**numbers, **words)
        clauses = [clause.format(**numbers) + ": "]
        return story, "", [Step(k, "*", n, k * n)], clauses, k * n
    value = int(rng.integers(2, top + 1))
    story = pick(rng, OPENINGS).format(n=value, **words)
    return story, story, [], [], value


def _next_step(rng: np.random.Generator, value: int, top: int) -> Step:
    """A step from `value` that stays within 1..top, all possible operations alike."""
    factors = [k for k in FACTORS if value * k <= top]
    divisors = [k for k in FACTORS if value % k == 0]
    possible: dict[Operation, bool] = {
        "+": value < top,
        "-": value > 1,
        "*": bool(factors),
        "/": bool(divisors),
    }
    operation: Operation = pick(rng, [op for op in OPERATIONS if possible[op]])
    if operation == "+":
        right = int(rng.integers(1, min(top - value, MOST_CHANGE) + 1))
    elif operation == "-":
        right = int(rng.integers(1, min(value - 1, MOST_CHANGE) + 1))
    else:
        right = pick(rng, factors if operation == "*" else divisors)
    result = calculate(value, operation, right)
    assert result is not None
    return Step(value, operation, right, result)
