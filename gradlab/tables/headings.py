"""Columns of summary tables: heading, unit, format, meaning, which way is better."""

from dataclasses import dataclass
from typing import Literal

Form = Literal["text", "number", "percent", "decimal", "short", "signed"]


@dataclass(frozen=True)
class Heading:
    """One column.

    Attributes:
      title: short, may hold Greek letters.
      form: how a cell is written; "short" is one digit and an exponent.
      note: what it means, in a few words.
      unit: of its numbers; empty where they have none.
      best: "max" or "min" where one loss can be better than another, else empty.
    """

    title: str
    form: Form
    note: str = ""
    unit: str = ""
    best: Literal["", "max", "min"] = ""


# Those of a comparison, of a drift, of an analysis of length.
HEADINGS: dict[str, Heading] = {
    "loss": Heading("loss", "text"),
    "value": Heading("value", "number", "mean loss over pairs"),
    "mass_chosen": Heading(
        "Σ|w| chosen", "number", "sum over a response, mean over pairs"
    ),
    "mass_rejected": Heading(
        "Σ|w| rejected", "number", "sum over a response, mean over pairs"
    ),
    "ratio_bad_good": Heading(
        "rejected / chosen", "number", "ratio of the two masses"
    ),
    "share_before": Heading(
        "before", "percent", "mass before the first differing token"
    ),
    "share_at": Heading("at", "percent", "mass at the first differing token"),
    "share_after": Heading("after", "percent", "mass after it"),
    "corr_length": Heading(
        "r(length)", "decimal", "correlation of mass with length"
    ),
    "closed_form_error": Heading(
        "error", "short", "automatic differentiation against the closed form"
    ),
    "share_falls": Heading(
        "chosen falls", "percent", "pairs whose chosen answer the step lowers",
        best="min",
    ),
    "predicted_chosen": Heading(
        "Δ chosen", "signed",
        "predicted change of the summed log-prob, nats, mean over pairs",
        unit="nats", best="max"
    ),
    "chosen_by_chosen": Heading(
        "by chosen", "signed", "its part caused by chosen tokens", unit="nats"
    ),
    "chosen_by_rejected": Heading(
        "by rejected", "signed", "its part caused by rejected tokens", unit="nats",
        best="max",
    ),
    "predicted_rejected": Heading(
        "Δ rejected", "signed", "the same of the rejected answer", unit="nats",
        best="min"
    ),
    "both_fall": Heading(
        "both fall", "percent", "pairs whose own gradient lowers both answers",
        best="min",
    ),
    "rho_ln_ches": Heading(
        "ρ(CHES)", "decimal",
        "rank correlation of Δ chosen with length-normalised CHES"
    ),
    "rho_edit_token": Heading(
        "ρ(edit)", "decimal", "rank correlation of Δ chosen with the edit distance"
    ),
    "pearson": Heading(
        "r", "number", "predicted against realised change of single tokens"
    ),
    "relative_error": Heading("error", "short", "relative, of the predicted changes"),
    "mass_exponent": Heading(
        "Σ|w| ~ L^", "decimal",
        "exponent with which the ratio of the sides' total weights follows that of "
        "their lengths",
    ),
    "rho_mass_length": Heading(
        "ρ(Σ|w|)", "decimal",
        "rank correlation of a response's total weight with its length",
    ),
    "rho_margin": Heading(
        "ρ(margin)", "decimal", "that of the margin with the length difference"
    ),
    "rho_margin_partial": Heading(
        "ρ(margin) | token", "decimal", "the same, given the difference per token"
    ),
    "rho_slope": Heading(
        "ρ(slope)", "decimal",
        "that of the loss's slope along the margin with the length difference",
    ),
    "rho_slope_partial": Heading(
        "ρ(slope) | token", "decimal", "the same, given the difference per token"
    ),
    "r2_length": Heading(
        "R²", "decimal", "share of the margin that the length difference explains"
    ),
    "neutral_chosen": Heading(
        "+ neutral", "signed",
        "change of the loss per neutral token appended to the chosen response",
    ),
    "typical_chosen": Heading(
        "+ typical", "signed", "the same of a token with its mean log-probabilities"
    ),
}  # fmt: skip
