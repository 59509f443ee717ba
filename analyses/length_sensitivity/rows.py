"""Columns of the study's table."""

from collections.abc import Iterable

import pandas as pd

from analyses.common.rows import Row, long_table

STUDY = "length_sensitivity"
WHOLE = ("seed", "step", "pair", "L_c", "L_r", "quartile")
REAL = ("kappa", "beta", "rate", "alpha_ld")
COLUMNS = (
    "study", "kind", "loss", "seed", "step", "side", "beta_kind", "ref_convention",
    "subset", "part", "quantity", "pair", "L_c", "L_r", "quartile", *REAL, "metric",
    "value",
)  # fmt: skip


def make_table(rows: Iterable[Row]) -> pd.DataFrame:
    """The long-format table; a row that lacks a key has it empty.

    kind: tabular, weights, task, or a set of real pairs. beta_kind: sum, avg (the same
    beta for an averaged loss) or avg_matched (times the typical length).
    """
    return long_table(rows, STUDY, COLUMNS, whole=WHOLE, real=REAL)
