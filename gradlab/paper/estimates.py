"""Numbers with intervals, and which of them are the best."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from gradlab.errors import GradlabError
from gradlab.paper.pairsums import Ratio

LEVEL = 0.95
AGREES = 1e-6  # relative; summary.csv and the tables beside it are of one run
ROUNDING = 1e-9  # of shares that were formed as 1 less the others


@dataclass(frozen=True)
class Estimates:
    """One column.

    Attributes:
      values: [L] as in the summary.
      low: [L] end of the bootstrap interval over pairs, or of the interval that the
        summary brings along; None without.
      high: likewise.
      bold: [L] the best, and those that can't be told from it.
    """

    values: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None
    bold: np.ndarray


def estimate_columns(
    summary: pd.DataFrame,
    ratios: Mapping[str, Ratio],
    ways: Mapping[str, str],
    *,
    draws: int,
    seed: int,
) -> dict[str, Estimates]:
    """Every numeric column of a summary.

    All losses and columns see the same draws of pairs, so that two losses are compared
    pair by pair: one is told from another where the 95 % interval of their difference
    leaves out 0.

    Args:
      summary: one row per loss.
      ratios: from `pairsums.pair_sums`.
      ways: column -> "max" or "min"; others have no best.
      draws: of the bootstrap.
      seed: of the bootstrap.

    Raises:
      GradlabError: the summary differs from the table of pairs beside it.
    """
    count = next(iter(ratios.values())).above.shape[1] if ratios else 0
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(count, np.full(count, 1 / count), draws) if count else None
    found = {}
    for name in summary.columns:
        if not pd.api.types.is_numeric_dtype(summary[name]):
            continue
        values = summary[name].to_numpy(float)
        drawn = None
        if name in ratios and counts is not None:
            _check(name, values, ratios[name])
            drawn = ratios[name].values(counts)
        found[name] = _estimates(values, drawn, ways.get(name, ""))
        if drawn is None and f"{name}_low" in summary:
            ends = (summary[f"{name}_{end}"].to_numpy(float) for end in ("low", "high"))
            low, high = ends
            found[name] = replace(found[name], low=low, high=high)
    return found


def _check(name: str, values: np.ndarray, ratio: Ratio) -> None:
    once = ratio.values(np.ones((1, ratio.above.shape[1])))[:, 0]
    same = np.isclose(values, once, rtol=AGREES, atol=ROUNDING, equal_nan=True)
    if not same.all():
        place = int(np.argmin(same))
        raise GradlabError(
            f"summary.csv and the table beside it differ in {name}: {values[place]:g} "
            f"and {once[place]:g}; expected the files of one run"
        )


def _estimates(values: np.ndarray, drawn: np.ndarray | None, way: str) -> Estimates:
    bold = np.zeros(len(values), bool)
    sign = {"max": 1, "min": -1}.get(way, 0)
    if sign and np.isfinite(values).sum() > 1:
        best = int(np.nanargmax(sign * values))
        bold = values == values[best]
        if drawn is not None:
            with np.errstate(invalid="ignore"):  # of two infinities
                low, high = _tails(drawn - drawn[best])
            bold |= (low <= 0) & (high >= 0)
    low, high = (None, None) if drawn is None else _tails(drawn)
    return Estimates(values, low, high, bold)


def _tails(drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the percentile interval of [L, draws]; NaN where a draw has no value."""
    with np.errstate(invalid="ignore"):
        ends = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
    return ends[0], ends[1]
