"""Reading the study's table: one number per seed, and rules for matched runs."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analyses.common.reading import Reader
from analyses.edit_distance.cells import Edit, first_edit, runs_of
from analyses.edit_distance.config import Config
from analyses.edit_distance.ledger_of_claims import CLAIMS, MARGIN
from analyses.edit_distance.rows import label_of
from analyses.edit_distance.runs import EQUAL_RATE
from gradlab.tables import select

WORDS = "arithmetic"


class Table(Reader):
    """The reader, and the numbers of one cell of the study."""

    config: Config

    def of(
        self,
        metric: str,
        kind: str,
        loss: str,
        *,
        edit: Edit | None = None,
        rate: float | None = None,
        fit: str = "well",
        rule: str = EQUAL_RATE,
        side: str = "",
    ) -> pd.Series:
        """The value after the run by seed; the smallest edit by default."""
        edit, runs = edit or first_edit(self.config, kind), runs_of(self.config, kind)
        keys: dict[str, Any] = {
            "kind": kind,
            "loss": label_of(loss),
            "edit_kind": edit.operation if edit.tokens else "whole",
            "edit_tokens": edit.tokens,
            "edit_pos": edit.place,
            "fit": fit,
            "lr": rate or runs.rate,
            "rule": rule,
            "side": side,
        }
        if metric == "d_sum" and rule == EQUAL_RATE:
            keys["step"] = runs.steps
        return self.seeds(metric, **keys)

    def seeds(self, metric: str, **keys: Any) -> pd.Series:
        """The one value per seed that has those keys; seeds are the index."""
        rows = select(self.table, metric=metric, **keys)
        return pd.Series(rows["value"].to_numpy(), index=rows["seed"].to_numpy())

    def gains(self, loss: str) -> pd.Series:
        """Exact answers after the run less those before, by seed."""
        return less(self.of("acc", WORDS, loss), self.start())

    def start(self) -> pd.Series:
        """Exact answers before any run, by seed."""
        return self.seeds("acc_start", kind=WORDS)

    def judge(self, claim: str, setting: str, samples: Any, **options: Any):
        """As the reader does; where seeds don't differ, p is that of the signs."""
        row = super().judge(claim, setting, samples, **options)
        plain = not isinstance(samples, Mapping) and CLAIMS[claim].type in "SO"
        if plain and len(samples) > 1 and np.ptp(np.asarray(samples)) == 0:
            note = "the same in every seed: no spread to test, p by signs alone"
            note = "; ".join(filter(None, (row["note"], note)))
            row |= {"p": 2.0 ** (1 - len(samples)), "note": note}
        return row

    def matched(
        self, claim: str, setting: str, found: Any, kind: str, rule: str, runs: int
    ) -> dict[str, Any]:
        """The verdict where the rule is kept by all runs, or "not testable"."""
        if rule == EQUAL_RATE:
            return self.judge(claim, setting, found, kind=kind)
        if len(found) < runs:
            reason = f"{len(found)} of {runs} runs pass it between two evaluations"
            name = f"{kind}, {setting}"
            row = self.undecided(claim, name, "not testable", reason)
        else:
            row = self.judge(claim, setting, found, kind=kind)
        return row | {"matching_rule": MARGIN}

    def bounded(
        self, claim: str, setting: str, found: Any, kind: str, start: pd.Series
    ) -> dict[str, Any]:
        """The verdict on what improves, or doesn't, from `start`.

        From the ceiling nothing can improve: such a claim can be contradicted there,
        and what isn't says nothing.
        """
        row = self.judge(claim, setting, found, kind=kind)
        at_ceiling = len(start) and start.mean() > self.config.ceiling
        if not at_ceiling or row["verdict"].startswith(("contradicted", "skipped")):
            return row
        parts = found if isinstance(found, Mapping) else {"effect": found}
        ends = ", ".join(f"{name} {part.mean():+.3f}" for name, part in parts.items())
        reason = f"it starts at {start.mean():.3f}, the ceiling; {ends}"
        return self.undecided(claim, f"{kind}, {setting}", "not testable", reason)


def less(one: pd.Series, two: pd.Series) -> pd.Series:
    """The differences of the seeds that both have; a time limit costs the last ones."""
    return (one - two).dropna()
