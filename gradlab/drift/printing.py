"""The summary of a drift analysis as a table for the terminal."""

import pandas as pd
from rich.table import Table

from gradlab.inputs.printing import number_table

TABLE_WIDTH = 120

# column -> (heading, number format)
COLUMNS = {
    "share_falls": ("falls", "{:.0%}"),
    "predicted_chosen": ("chosen", "{:+.2g}"),
    "chosen_by_chosen": ("by chosen", "{:+.2g}"),
    "chosen_by_rejected": ("by rejected", "{:+.2g}"),
    "predicted_rejected": ("rejected", "{:+.2g}"),
    "both_fall": ("both fall", "{:.0%}"),
    "rho_ln_ches": ("ρ(CHES)", "{:.2f}"),
    "rho_edit_token": ("ρ(edit)", "{:.2f}"),
    "pearson": ("r", "{:.4f}"),
    "relative_error": ("error", "{:.0e}"),
}

NOTE = (
    "falls: share of pairs whose chosen answer the step lowers. chosen, "
    "rejected: predicted change of the summed log-prob in nats, mean over pairs; by "
    "chosen and by rejected: what that side's tokens cause of it. both fall: pairs "
    "whose own gradient does that. ρ: rank correlation of the chosen answer's "
    "change with length-normalised CHES and with the edit distance. r, error: "
    "predicted against realised change of single tokens."
)


def summary_table(summary: pd.DataFrame) -> Table:
    """One line per loss; a dash stands for a quantity that doesn't exist."""
    pairs = int(summary["pairs"].iloc[0])
    notes = [NOTE]
    noisy = summary.loc[summary["below_floor"].astype(bool), "loss"]
    if len(noisy):
        notes.append(
            f"Mostly rounding in the realised change: {', '.join(noisy)} (take a "
            "longer step, or --precision float64)."
        )
    for loss, reason in zip(summary["loss"], summary["undivided"], strict=True):
        if reason:
            notes.append(f"No split for {loss}: {reason}.")
    title = f"One step of each loss on {pairs} pairs"
    return number_table(summary, COLUMNS, title=title, caption=" ".join(notes))
