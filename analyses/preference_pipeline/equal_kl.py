"""Utility where two runs, or all of a sweep, are as far from the reference.

A path is an array [n, 2] of KL and utility: the reference at KL 0, then the policy at
every stop of a run. Near the reference KL grows with the square of a step and utility
with the step itself, so that utility is taken as linear in the root of KL.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from analyses.common.rows import Row, row
from analyses.preference_pipeline.cells import Cell

Numbers = Sequence[float] | np.ndarray


def make_path(start: float, kl: Numbers, utility: Numbers) -> np.ndarray:
    """[1 + stops, 2] from the reference's utility and what the stops found."""
    return np.array([(0.0, start), *zip(kl, utility, strict=True)])


def utility_at(path: np.ndarray, level: float) -> float:
    """Utility where a path first is as far as the level.

    Args:
      path: of a run.
      level: KL to the reference, nats.

    Returns:
      Linear in the root of KL between stops; not a number where the path ends before.

    Example:
      >>> utility_at(np.array([[0.0, 0.5], [4.0, 0.9], [3.0, 0.8]]), 1.0)
      0.7
    """
    beyond = np.flatnonzero(path[:, 0] >= level)
    if not len(beyond):
        return np.nan
    last = max(int(beyond[0]), 1)
    between = path[last - 1 : last + 1]
    return float(np.interp(np.sqrt(level), np.sqrt(between[:, 0]), between[:, 1]))


def lesser_end(*paths: np.ndarray) -> float:
    """The largest KL that all of them reach."""
    return min(float(path[:, 0].max()) for path in paths)


def lead(one: np.ndarray, other: np.ndarray) -> float:
    """Utility of a path over another's where the nearer of the two ends.

    Example:
      >>> near = np.array([[0.0, 0.5], [1.0, 0.8]])
      >>> far = np.array([[0.0, 0.5], [4.0, 0.9]])
      >>> round(lead(near, far), 3)
      0.1
    """
    level = lesser_end(one, other)
    return utility_at(one, level) - utility_at(other, level)


def equal_kl_rows(
    runs: Mapping[Cell, Sequence[Row]], start: float, step: int
) -> Iterator[tuple[Cell, Row]]:
    """The cells of a sweep, each with its row `utility_equal_kl`.

    It is the utility where the first of all runs of the sweep ends.

    Args:
      runs: the rows of each cell's run.
      start: utility of the reference.
      step: goes into the rows.
    """
    paths = {}
    for cell, rows in runs.items():
        kl, utility = (
            [one["value"] for one in rows if one["metric"] == metric]
            for metric in ("kl", "utility")
        )
        paths[cell] = make_path(start, kl, utility)
    level = lesser_end(*paths.values())
    for cell, path in paths.items():
        yield cell, row("utility_equal_kl", utility_at(path, level), step=step)
