"""Completions whose true utilities are known: the number that they end in."""

import re

from gradlab.data.ranking import Answer, Completions, Question


def item(row, utilities):
    texts = tuple(f"answer {utility:g}" for utility in utilities)
    return Completions(row, f"prompt {row}", texts, tuple(map(float, utilities)))


def utility(text):
    return float(re.findall(r"-?[\d.]+", text)[-1])


class Recorder:
    """Passes questions on to a function and keeps them."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    @property
    def identity(self):
        return {"name": "recorder"}

    def ask(self, question: Question) -> Answer:
        self.asked.append((question.item.row, question.first, question.second))
        return Answer(self.answer(question))


def right(question):
    _, first, second = question.texts
    return 0.5 + 0.5 * (
        (utility(first) > utility(second)) - (utility(first) < utility(second))
    )
