"""Rows of the study's table."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

STUDY = "drift_prediction"
# Keys beyond those of every study; a row that lacks one has it empty.
TEXT_KEYS = ("kind", "optimiser", "part", "probe")
NUMBER_KEYS = ("eta", "percentile", "pair", "position")
COLUMNS = (
    "study", "kind", "loss", "seed", "step", "side", "optimiser", "part", "probe",
    *NUMBER_KEYS, "metric", "value",
)  # fmt: skip
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


def make_table(rows: Iterable[Row]) -> pd.DataFrame:
    """The long-format table; values to nine significant digits."""
    table = pd.DataFrame(list(rows)).reindex(columns=list(COLUMNS))
    table = table.assign(study=STUDY)
    text = ["loss", "side", *TEXT_KEYS]
    table[text] = table[text].astype(object).fillna("")
    whole = ["seed", "step", "percentile", "pair", "position"]
    table = table.astype({name: "Int64" for name in whole})
    table["value"] = [float(f"{value:.9g}") for value in table["value"]]
    return table
