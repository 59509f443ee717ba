"""Numbers of the study's table by seed, and paths compared at an equal level."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from gradlab.tables import select

BySeed = Mapping[int, np.ndarray]


def values(table: pd.DataFrame, metric: str, **keys: Any) -> BySeed:
    """Seed -> the values of its rows, in their order."""
    rows = select(table, metric=metric, **keys)
    return {
        int(float(str(seed))): part["value"].to_numpy(float)
        for seed, part in rows.groupby("seed")
    }


def paired(*given: BySeed) -> Iterator[tuple[np.ndarray, ...]]:
    """The same of several runs, seed by seed, for the seeds that all of them have."""
    for seed in sorted(set.intersection(*(set(part) for part in given))):
        yield tuple(part[seed] for part in given)


def paths(table: pd.DataFrame, **keys: Any) -> dict[int, np.ndarray]:
    """Seed -> [2, stages + 1] drift of demonstrations and negatives from step 0 on."""
    rows = select(table, **keys).dropna(subset=["step"]).sort_values("step")
    sides = [values(rows, f"d_{side}_sum") for side in ("chosen", "rejected")]
    both = zip(sorted(sides[0]), paired(*sides), strict=True)
    return {seed: np.pad(np.stack(part), ((0, 0), (1, 0))) for seed, part in both}


def shifted(rows: pd.DataFrame) -> pd.DataFrame:
    """Drift and target of both sides where the shift is positive.

    Args:
      rows: of one part and loss. Where steps are counted, the last one stands; where no
        target of a side is known, that at equal likelihood (`target_nat`) stands in.

    Returns:
      Columns seed, scale, shift, side, drift, target.
    """
    rows = select(rows, shift=[shift for shift in set(rows["shift"]) if shift > 0])
    keys, parts = ["seed", "scale", "shift"], []
    for side in ("chosen", "rejected"):
        drift = select(rows, metric=f"d_{side}_sum").sort_values("step")
        drift = drift.groupby(keys)[["value", "target_nat"]].last().reset_index()
        drift.columns = [*keys, "drift", "target"]
        target = select(rows, metric=f"target_{side}")
        if not target.empty:
            target = target[[*keys, "value"]]
            target.columns = [*keys, "target"]
            drift = drift.drop(columns="target").merge(target, on=keys)
        parts.append(drift.assign(side=side))
    return pd.concat(parts)


def at_level(progress: np.ndarray, along: np.ndarray, level: float) -> float:
    """`along` where `progress`, which starts at 0, first reaches a level above 0.

    Linear between stages; NaN where it isn't reached or the level isn't above 0.

    Example:
      >>> at_level(np.array([0.0, 1.0, 3.0]), np.array([0.0, 4.0, 8.0]), 2.0)
      6.0
    """
    reached = np.flatnonzero(progress >= level)
    if not level > 0 or not len(reached):
        return float("nan")
    place = int(reached[0])
    low, high = progress[place - 1], progress[place]
    part = (level - low) / (high - low)
    return float(along[place - 1] + part * (along[place] - along[place - 1]))


def at_equal_fall(one: np.ndarray, two: np.ndarray) -> float:
    """How much higher the first run's demonstrations are at an equal fall of negatives.

    Args:
      one: [2, stages + 1], from `paths`.
      two: likewise.
    """
    return _difference(one, two, [-path[1] for path in (one, two)])


def at_equal_margin(one: np.ndarray, two: np.ndarray) -> float:
    """The same at an equal margin of log-ratios."""
    return _difference(one, two, [path[0] - path[1] for path in (one, two)])


def _difference(one: np.ndarray, two: np.ndarray, progress: list[np.ndarray]) -> float:
    level = min(progress[0][-1], progress[1][-1])
    found = [
        at_level(done, path[0], level)
        for done, path in zip(progress, (one, two), strict=True)
    ]
    return found[0] - found[1]
