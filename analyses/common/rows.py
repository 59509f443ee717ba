"""Rows of a study's long-format table."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

Row = Mapping[str, Any]


def row(metric: str, value: Any, **keys: Any) -> dict[str, Any]:
    """One observation."""
    return {**keys, "metric": metric, "value": float(value)}


def per_pair(metric: str, values: Any, **keys: Any) -> list[dict[str, Any]]:
    """One observation per pair, numbered from 0."""
    return [
        row(metric, value, pair=number, **keys)
        for number, value in enumerate(np.asarray(values, float).ravel())
    ]


def long_table(
    rows: Iterable[Row],
    study: str,
    columns: Sequence[str],
    *,
    whole: Sequence[str] = (),
    real: Sequence[str] = (),
) -> pd.DataFrame:
    """The long-format table; values to nine significant digits.

    Args:
      rows: a row that lacks a column has it empty.
      study: goes into every row.
      columns: of the table, in order; those not named below hold text.
      whole: columns of whole numbers.
      real: columns of other numbers, beside `value`.
    """
    table = pd.DataFrame(list(rows)).reindex(columns=list(columns))
    table = table.assign(study=study)
    numbers = {*whole, *real, "value"}
    text = [name for name in columns if name not in numbers]
    table[text] = table[text].astype(object).fillna("")
    table = table.astype(dict.fromkeys(whole, "Int64"))
    table = table.astype(dict.fromkeys(real, float))
    table["value"] = [float(f"{value:.9g}") for value in table["value"]]
    return table
