"""Verdicts on what iterating does to exact answers and margins on word problems."""

import itertools
from collections.abc import Iterator
from typing import Any

from analyses.common.reading import Reader
from analyses.self_imitation.members import LEARNERS
from analyses.self_imitation.reading import BySeed, values
from analyses.self_imitation.word_runs import OWN_RATE, WORDS
from gradlab.tables import select

WORD_PARTS = {
    WORDS: "word problems, equal rate", OWN_RATE: "word problems, own rates"
}  # fmt: skip
Rows = Iterator[dict[str, Any]]


def answers(reader: Reader) -> Rows:
    """S5.10: exact answers after the last iteration, beside the start and the first."""
    for part, name, loss in _runs():
        found = values(reader.table, "acc", part=part, loss=loss)
        for claim, since in (("S5.10a", 0), ("S5.10b", 1)):
            gains = [float(x[-1] - x[since]) for x in found.values()]
            yield reader.judge(claim, f"{name}, {loss}", gains)


def margins(reader: Reader) -> Rows:
    """S5.11: what demonstrations gain on the negatives, iteration by iteration."""
    for part, name, loss in _runs():
        found = margins_of(reader, part, loss)
        least = [float(margin.min()) for margin in found.values()]
        yield reader.judge("S5.11a", f"{name}, {loss}", least)
        shrunk = [float(margin[0] - margin[-1]) for margin in found.values()]
        yield reader.judge("S5.11b", f"{name}, {loss}", shrunk)


def margins_of(reader: Reader, part: str, loss: str) -> BySeed:
    """Seed -> [iterations] margin at the end of each, nats per demonstration token."""
    rows = select(reader.table, part=part, loss=loss)
    last = reader.config.words.stages * reader.config.words.stage_steps
    ends = select(rows, step=last).sort_values("iteration")
    real, own = (values(ends, f"d_{side}_sum") for side in ("chosen", "rejected"))
    sizes = values(rows, "tokens_real", iteration=0)
    common = sorted(set(real) & set(own) & set(sizes))
    return {seed: (real[seed] - own[seed]) / sizes[seed][0] for seed in common}


def _runs() -> Iterator[tuple[str, str, str]]:
    for (part, name), loss in itertools.product(WORD_PARTS.items(), LEARNERS):
        yield part, name, loss
