"""Tabular problems: a source, a start at a distance, and the cells of the study."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analyses.self_imitation.config import Config, Tabular
from analyses.self_imitation.members import COUPLED, MEMBERS

BISECTIONS = 60
STEEPEST = 30.0  # of the tilt that leads from the source to the start


@dataclass(frozen=True)
class Problem:
    """One source and one start.

    Attributes:
      source: [V] probabilities.
      start: [V] probabilities.
      distance: total variation between the two.
      seed: that drew it.
    """

    source: np.ndarray
    start: np.ndarray
    distance: float
    seed: int


@dataclass(frozen=True)
class Cell:
    """What is varied within a problem.

    Attributes:
      part: "exact": expectations; "source": the same, started at the source; "sampled":
        demonstrations and negatives are finite samples; "drain" and "drain source":
        exact, with outcomes that no list holds.
      scale: of the log-ratios; for SPIN beta.
      shift: added to them.
      decoding: "sampled" at temperature 1, or "greedy".
      draw: number of the finite sample.
    """

    part: str
    scale: float = 1.0
    shift: float = 0.0
    decoding: str = "sampled"
    draw: int = 0


def make_problem(config: Tabular, seed: int) -> Problem:
    """The start is the source, tilted until it is as far as was drawn."""
    rng = np.random.default_rng([seed, 20])
    logits, tilt = rng.normal(size=(2, config.outcomes))
    source = _softmax(logits)
    wanted = rng.uniform(*config.distances)
    low, high = 0.0, STEEPEST
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        near = _variation(source, _softmax(logits + middle * tilt)) < wanted
        low, high = (middle, high) if near else (low, middle)
    start = _softmax(logits + low * tilt)
    return Problem(source, start, _variation(source, start), seed)


def with_unseen(problem: Problem, config: Tabular, *, at_source: bool) -> Problem:
    """The same with further outcomes, on which only the start has mass."""
    seen = problem.source if at_source else problem.start
    share = config.unseen_mass / config.unseen
    start = [(1 - config.unseen_mass) * seen, np.full(config.unseen, share)]
    source = np.concatenate([problem.source, np.zeros(config.unseen)])
    start = np.concatenate(start)
    return Problem(source, start, _variation(source, start), problem.seed)


def cells_of(loss: str, config: Config) -> list[Cell]:
    """The cells in which a loss is trained, but those of the drain."""
    table = config.tabular
    scales = config.scales if loss in MEMBERS or loss in COUPLED else (1.0,)
    sampled = [s for s in table.sampled_scales if s in scales] or [1.0]
    cells = [Cell("exact", s, b) for s in scales for b in _shifts(loss, config)]
    for scale in scales:
        cells.append(Cell("source", scale))
        if loss != "sft":
            cells.append(Cell("exact", scale, decoding="greedy"))
    cells += [Cell("sampled", s, draw=k) for s in sampled for k in range(table.draws)]
    return cells


def drain_cells(config: Config) -> list[Cell]:
    """Scales and shifts, from the source and from elsewhere."""
    return [
        Cell(part, scale, shift)
        for part in ("drain source", "drain")
        for scale in config.scales
        for shift in config.shifts
    ]


def _shifts(loss: str, config: Config) -> Sequence[float]:
    return config.shifts if loss in MEMBERS else (0.0,)


def _softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def _variation(one: np.ndarray, two: np.ndarray) -> float:
    return float(np.abs(one - two).sum() / 2)
