"""Utility where all runs are as far from the reference."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from analyses.common.rows import Row, row
from analyses.preference_pipeline.cells import Cell


def at_equal_kl(paths: Mapping[Any, np.ndarray], start: float) -> dict[Any, float]:
    """Utility of each run at the least of the runs' largest KL.

    Args:
      paths: name -> [stops, 2] of KL and utility.
      start: utility of the reference, at KL 0.

    Returns:
      name -> utility, linear between stops.

    Example:
      >>> paths = {"near": np.array([[1.0, 0.7]]), "far": np.array([[2.0, 0.9]])}
      >>> {name: round(value, 3) for name, value in at_equal_kl(paths, 0.5).items()}
      {'near': 0.7, 'far': 0.7}
    """
    target = min(path[:, 0].max() for path in paths.values())
    found = {}
    for name, path in paths.items():
        points = np.vstack([[0.0, start], path])
        points = points[np.argsort(points[:, 0], kind="stable")]
        found[name] = float(np.interp(target, points[:, 0], points[:, 1]))
    return found


def equal_kl_rows(
    runs: Mapping[Cell, Sequence[Row]], start: float, step: int
) -> Iterator[tuple[Cell, Row]]:
    """The cells of a sweep, each with its row `utility_equal_kl`.

    Args:
      runs: the rows of each cell's run.
      start: utility of the reference.
      step: goes into the rows.
    """
    paths = {}
    for cell, rows in runs.items():
        parts = [
            [one["value"] for one in rows if one["metric"] == metric]
            for metric in ("kl", "utility")
        ]
        paths[cell] = np.array(parts).T
    for cell, value in at_equal_kl(paths, start).items():
        yield cell, row("utility_equal_kl", value, step=step)
