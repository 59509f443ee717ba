"""Columns of the study's table."""

from collections.abc import Iterable

import pandas as pd

from analyses.common.rows import Row, long_table

STUDY = "drift_prediction"
WHOLE = ("seed", "step", "percentile", "pair", "position")
COLUMNS = (
    "study", "kind", "loss", "seed", "step", "side", "optimiser", "part", "probe",
    "eta", "percentile", "pair", "position", "metric", "value",
)  # fmt: skip


def make_table(rows: Iterable[Row]) -> pd.DataFrame:
    """The long-format table; a row that lacks a key has it empty."""
    return long_table(rows, STUDY, COLUMNS, whole=WHOLE, real=("eta",))
