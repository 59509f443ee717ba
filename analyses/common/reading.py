"""Reading a study's table: one array per seed, and the verdict on what it holds."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analyses.common.record import OVER
from gradlab.tables import Claim, judge, select, undecided

NO_ROWS = "not part of this size"


class Reader:
    """Reads one table and judges the claims on it.

    Args:
      table: of the study.
      config: that it was made with; its `draws` are those of every bootstrap.
      claims: of the study by id.
      skipped: part or kind -> why it has no rows.
      pretrained: kinds whose model is the same under every seed.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        config: Any,
        claims: Mapping[str, Claim],
        skipped: Mapping[str, str],
        *,
        pretrained: Collection[str] = (),
    ):
        """Keeps what all claims read."""
        self.table, self.config = table, config
        self.claims, self.skipped, self.pretrained = claims, skipped, pretrained
        self._groups = dict(list(table.groupby("metric")))

    def by_seed(self, metric: str, **keys: Any) -> list[np.ndarray]:
        """One array per seed, in the order of pairs (or of steps, or of rows)."""
        rows = self._groups.get(metric)
        if rows is None:
            return []
        rows = select(rows, **keys)
        if rows.empty:
            return []
        order = [name for name in ("pair", "step") if name in rows]
        rows = rows.sort_values(order, kind="stable") if order else rows
        return [
            part["value"].to_numpy() for _, part in rows.groupby("seed", dropna=False)
        ]

    def judge(
        self, claim: str, setting: str, samples: Any, *, kind: str = "", **options: Any
    ) -> dict[str, Any]:
        """The verdict, or "skipped" and the reason where there is nothing to judge."""
        name = f"{kind}, {setting}" if kind else setting
        parts = samples.values() if isinstance(samples, Mapping) else [samples]
        if not all(len(part) for part in parts):
            reason = self.skipped.get(kind) or self.skipped.get(claim)
            reason = reason or (OVER if OVER in self.skipped.values() else NO_ROWS)
            return undecided(self.claims[claim], name, "skipped", reason)
        if kind in self.pretrained:
            options["one_model"] = True
        return judge(
            self.claims[claim], name, samples, draws=self.config.draws, **options
        )

    def undecided(self, claim: str, setting: str, verdict: str, reason: str):
        """The row of a claim that was not measured here: which verdict, and why."""
        return undecided(self.claims[claim], setting, verdict, reason)


def columns(*given: Sequence[np.ndarray]) -> list[np.ndarray]:
    """[pairs, columns] for each seed; nothing where a column has nothing."""
    if not all(map(len, given)):
        return []
    return [np.stack(values, axis=-1) for values in zip(*given, strict=True)]


def falls(values: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The same with the opposite sign: how far something falls."""
    return [-part for part in values]
