"""Columns of the study's table, and what a loss is called in it."""

from collections.abc import Iterable

import pandas as pd

from analyses.common.rows import Row, long_table
from analyses.edit_distance.config import SIGN_ERROR

STUDY = "edit_distance"
WHOLE = ("seed", "step", "edit_tokens", "offset", "pair", "position")
REAL = ("edit_pos", "lr", "beta", "lam", "x")
COLUMNS = (
    "study", "kind", "loss", "seed", "step", "side", "edit_kind", "edit_tokens",
    "edit_pos", "fit", "lr", "rule", "beta", "lam", "offset", "pair", "position", "x",
    "metric", "value",
)  # fmt: skip
SIGN_ERROR_LABEL = "dpop, sign error"


def label_of(loss: str) -> str:
    """How the table calls a loss."""
    return SIGN_ERROR_LABEL if loss == SIGN_ERROR else loss


def make_table(rows: Iterable[Row]) -> pd.DataFrame:
    """The long-format table; a row that lacks a key has it empty."""
    return long_table(rows, STUDY, COLUMNS, whole=WHOLE, real=REAL)
