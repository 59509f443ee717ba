"""Columns of the study's table."""

from collections.abc import Iterable

import pandas as pd

from analyses.common.rows import Row, long_table

STUDY = "preference_pipeline"
WHOLE = ("seed", "step", "candidates")
REAL = ("tau", "amount", "delta", "strength")
COLUMNS = (
    "study", "part", "scheme", "rejected", "orders", "loss", "seed", "step", "side",
    "candidates", "tau", "amount", "delta", "strength", "metric", "value",
)  # fmt: skip


def make_table(rows: Iterable[Row]) -> pd.DataFrame:
    """The long-format table; a row that lacks a key has it empty."""
    return long_table(rows, STUDY, COLUMNS, whole=WHOLE, real=REAL)
