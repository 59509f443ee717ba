"""The beta paths in the study's table, and two of them at matched divergence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gradlab.measures.frontier import at_level, shared_levels
from gradlab.tables import select

MATCHED, PLAIN = "avg_matched", "sum"
METRICS = ("gen_len", "score", "quality", "kl_seq", "trunc_share")


@dataclass(frozen=True)
class Path:
    """One loss over its strength, from the reference, under one seed and kappa.

    Attributes:
      beta: [n] increasing; NaN at the reference, which comes first.
      values: metric -> [n].
    """

    beta: np.ndarray
    values: Mapping[str, np.ndarray]


def paths(
    table: pd.DataFrame, loss: str, beta_kind: str, kappa: float, rate: float = 1.0
) -> dict[int, Path]:
    """The path of each seed; none where the loss was not trained so.

    Args:
      table: of the study.
      loss: label.
      beta_kind: of its strength.
      kappa: of the annotator.
      rate: over the study's.
    """
    task = select(table, kind="task", kappa=kappa, metric=list(METRICS))
    own = select(
        task, loss=loss, beta_kind=beta_kind, rate=rate, subset="", ref_convention=""
    )
    start = select(task, loss="reference")
    found = {}
    for seed, rows in own.groupby("seed"):
        wide = rows.pivot_table(index="beta", columns="metric", values="value")
        first = select(start, seed=seed).set_index("metric")["value"]
        values = {m: np.append(first[m], wide[m].to_numpy()) for m in METRICS}
        found[int(str(seed))] = Path(
            np.append(np.nan, wide.index.to_numpy(float)), values
        )
    return found


def matched(one: Path, two: Path, metric: str) -> float:
    """By how much the second path lies below the first, over divergences of both.

    Returns:
      1 - mean(two) / mean(one) over equal steps of sequence KL; NaN where the paths
      share no range.
    """
    gains = at_matched(one, two, metric)
    if not len(gains):
        return float("nan")
    first, second = gains.mean(0)
    return float(1 - second / first)


def at_matched(one: Path, two: Path, metric: str) -> np.ndarray:
    """[levels, 2] a metric of both paths at equal steps of sequence KL."""
    costs = [path.values["kl_seq"] for path in (one, two)]
    levels = shared_levels(*costs)
    return np.array(
        [
            [at_level(path.values["kl_seq"], path.values[metric], level)
             for path in (one, two)]
            for level in levels
        ]
    ).reshape(-1, 2)  # fmt: skip


def at_equal_strength(one: Path, two: Path, metric: str) -> float:
    """1 - mean(two) / mean(one) over the path's strengths, the reference left out."""
    first, second = (path.values[metric][1:].mean() for path in (one, two))
    return float(1 - second / first)


def over_seeds(
    one: Mapping[int, Path], two: Mapping[int, Path]
) -> Sequence[tuple[Path, Path]]:
    """The two paths of each seed that has both."""
    return [(one[seed], two[seed]) for seed in one if seed in two]
