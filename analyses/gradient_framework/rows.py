"""Columns of the study's table."""

from collections.abc import Iterable

import pandas as pd

from analyses.common.rows import Row, long_table

STUDY = "gradient_framework"
WHOLE = ("seed", "step", "size", "length", "pair")
REAL = ("rho", "false_neg", "p")
COLUMNS = (
    "study", "kind", "model", "loss", "baseline", "schedule", "matching", "part",
    "region", "side", "seed", "step", "rho", "false_neg", "size", "p", "length",
    "pair", "metric", "value",
)  # fmt: skip


def make_table(rows: Iterable[Row]) -> pd.DataFrame:
    """The long-format table; a row that lacks a key has it empty."""
    return long_table(rows, STUDY, COLUMNS, whole=WHOLE, real=REAL)
