"""Headings of the summary table: what each column means and how a cell is written."""

from typing import Any

import pandas as pd

from gradlab.tables import HEADINGS, Heading


def summary_columns(summary: pd.DataFrame) -> list[dict[str, Any]]:
    """Key, heading, format and note of each column; `main` where it is known.

    Where none but the loss is known, all of them are.
    """
    columns = [_column(str(name), kind) for name, kind in summary.dtypes.items()]
    if not any(column["main"] for column in columns if column["key"] != "loss"):
        columns = [{**column, "main": True} for column in columns]
    return columns


def _column(name: str, dtype: Any) -> dict[str, Any]:
    kind = pd.api.types
    number = kind.is_numeric_dtype(dtype) and not kind.is_bool_dtype(dtype)
    plain = Heading(name, "number" if number else "text")
    known = HEADINGS.get(name, plain)
    return {
        "key": name,
        "heading": known.title,
        "format": known.form,
        "note": known.note,
        "main": name in HEADINGS,
    }
