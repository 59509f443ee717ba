"""Headings of the summary table: what each column means and how a cell is written."""

from dataclasses import replace
from typing import Any

import pandas as pd

from gradlab.tables import HEADINGS, Heading

# metric of a training's probes -> its heading; a column is METRIC/SET
PROBED = {
    "drift_sum": Heading(
        "Δ log p", "number",
        "change of a text's log-prob since the start, nats, mean over the set",
    ),
    "below_start": Heading("fallen", "percent", "texts less likely than at the start"),
    "logp_mean": Heading("log p per token", "number", "nats, mean over the set"),
    "logp_sum_margin": Heading(
        "margin", "number", "log-prob of the chosen less the rejected text, nats, mean"
    ),
    "accuracy": Heading(
        "accuracy", "percent", "pairs whose chosen text is the likelier"
    ),
}  # fmt: skip


def summary_columns(summary: pd.DataFrame) -> list[dict[str, Any]]:
    """Key, heading, format and note of each column; `main` where it is known.

    Where none but the loss is known, all of them are. Columns of one metric share the
    note of the first.
    """
    columns = [_column(str(name), kind) for name, kind in summary.dtypes.items()]
    if not any(column["main"] for column in columns if column["key"] != "loss"):
        columns = [{**column, "main": True} for column in columns]
    metrics = [column["key"].partition("/")[0] for column in columns]
    for place, column in enumerate(columns):
        if metrics[place] in metrics[:place]:
            column["note"] = ""
    return columns


def _column(name: str, dtype: Any) -> dict[str, Any]:
    known = _heading(name)
    kind = pd.api.types
    number = kind.is_numeric_dtype(dtype) and not kind.is_bool_dtype(dtype)
    shown = known or Heading(name, "number" if number else "text")
    return {
        "key": name,
        "heading": shown.title,
        "format": shown.form,
        "note": shown.note,
        "main": known is not None,
    }


def _heading(name: str) -> Heading | None:
    metric, _, probes = name.partition("/")
    if probes and metric in PROBED:
        heading = PROBED[metric]
        return replace(heading, title=f"{heading.title} {probes}")
    return HEADINGS.get(name)
