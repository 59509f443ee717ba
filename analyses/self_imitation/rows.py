"""Columns of the study's table."""

from collections.abc import Iterable

import pandas as pd

from analyses.common.rows import Row, long_table

STUDY = "self_imitation"
WHOLE = ("seed", "step", "iteration", "draw", "outcome")
REAL = ("scale", "shift", "z", "target_nat")
COLUMNS = (
    "study", "part", "loss", "seed", "step", "side", "scale", "shift", "iteration",
    "decoding", "negatives", "target_nat", "draw", "outcome", "z", "metric", "value",
)  # fmt: skip


def make_table(rows: Iterable[Row]) -> pd.DataFrame:
    """The long-format table; a row that lacks a key has it empty."""
    return long_table(rows, STUDY, COLUMNS, whole=WHOLE, real=REAL)
