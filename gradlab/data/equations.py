"""The equations and the final answer that a text states."""

import re

from gradlab.data.stories import Operation, Step

_NUMBER = r"(-?\d{1,9})(?!\d|\.\d)"  # bounded: int() of endless digits is slow
_EQUATION = re.compile(
    r"(?<![\d.])(\d{1,9})\s*([-+*/x×÷])\s*(\d{1,9})\s*=\s*" + _NUMBER
)
_ANSWER = re.compile(r"answer is\s*" + _NUMBER, re.IGNORECASE)
_OPERATIONS: dict[str, Operation] = {
    "+": "+", "-": "-", "*": "*", "x": "*", "×": "*", "/": "/", "÷": "/"
}  # fmt: skip


def equations(text: str) -> list[Step]:
    """All equations `left operation right = result` of whole numbers, right or wrong.

    `x`, `×` and `÷` are read as `*`, `*` and `/`.

    Example:
      >>> equations("Then 3 x 4 = 13.")
      [Step(left=3, operation='*', right=4, result=13)]
    """
    return [
        Step(int(left), _OPERATIONS[symbol], int(right), int(result))
        for left, symbol, right, result in _EQUATION.findall(text)
    ]


def final_answer(text: str) -> int | None:
    """The number after the last "answer is", or None."""
    answers = _ANSWER.findall(text)
    return int(answers[-1]) if answers else None
