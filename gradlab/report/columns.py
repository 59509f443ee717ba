"""Headings of the summary table: what each column means and how a cell is written."""

from typing import Any

import pandas as pd

# column -> (heading, format, what it means); those of a comparison, then of a drift.
KNOWN: dict[str, tuple[str, str, str]] = {
    "loss": ("loss", "text", ""),
    "value": ("value", "number", "mean loss over pairs"),
    "mass_chosen": ("Σ|w| chosen", "number", "sum over a response, mean over pairs"),
    "mass_rejected": ("Σ|w| rejected", "number", "likewise"),
    "ratio_bad_good": ("rejected / chosen", "number", "ratio of the two masses"),
    "share_before": ("before", "percent", "mass before the first differing token"),
    "share_at": ("at", "percent", "mass at the first differing token"),
    "share_after": ("after", "percent", "mass after it"),
    "corr_length": ("r(length)", "decimal", "correlation of mass with length"),
    "closed_form_error": (
        "error", "short", "automatic differentiation against the closed form",
    ),
    "share_falls": (
        "chosen falls", "percent", "pairs whose chosen answer the step lowers",
    ),
    "predicted_chosen": (
        "Δ chosen", "signed",
        "predicted change of the summed log-prob, nats, mean over pairs",
    ),
    "chosen_by_chosen": ("by chosen", "signed", "its part caused by chosen tokens"),
    "chosen_by_rejected": (
        "by rejected", "signed", "its part caused by rejected tokens",
    ),
    "predicted_rejected": ("Δ rejected", "signed", "likewise of the rejected answer"),
    "both_fall": (
        "both fall", "percent", "pairs whose own gradient lowers both answers",
    ),
    "rho_ln_ches": (
        "ρ(CHES)", "decimal",
        "rank correlation of Δ chosen with length-normalised CHES",
    ),
    "rho_edit_token": ("ρ(edit)", "decimal", "likewise with the edit distance"),
    "pearson": ("r", "number", "predicted against realised change of single tokens"),
    "relative_error": ("error", "short", "of the predicted changes"),
}  # fmt: skip


def summary_columns(summary: pd.DataFrame) -> list[dict[str, Any]]:
    """Key, heading, format and note of each column; `main` where it is known."""
    return [_column(str(name), kind) for name, kind in summary.dtypes.items()]


def _column(name: str, dtype: Any) -> dict[str, Any]:
    heading, form, note = KNOWN.get(name, (name, "", ""))
    if not form:
        kind = pd.api.types
        number = kind.is_numeric_dtype(dtype) and not kind.is_bool_dtype(dtype)
        form = "number" if number else "text"
    return {
        "key": name,
        "heading": heading,
        "format": form,
        "note": note,
        "main": name in KNOWN,
    }
