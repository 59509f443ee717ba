"""The summary of an analysis of length as a table for the terminal."""

import pandas as pd
from rich.table import Table

from gradlab.inputs.printing import number_table

# column -> (heading, number format)
COLUMNS = {
    "mass_exponent": ("mass~L^", "{:.2f}"),
    "rho_mass_length": ("ρ(|w|, L)", "{:.2f}"),
    "rho_margin": ("ρ(margin)", "{:.2f}"),
    "rho_margin_partial": ("partial", "{:.2f}"),
    "rho_slope": ("ρ(|c|)", "{:.2f}"),
    "rho_slope_partial": ("partial", "{:.2f}"),
    "r2_length": ("R²", "{:.2f}"),
    "neutral_chosen": ("+neutral", "{:+.1g}"),
    "typical_chosen": ("+typical", "{:+.1g}"),
}

NOTE = (
    "mass~L^: exponent with which the ratio of the sides' total weights follows that "
    "of their lengths. ρ: rank correlation of a response's total weight with its "
    "length, of the margin and of the slope |c| with the length difference, and given "
    "the difference per token. R²: margin on length difference, with a reference. +: "
    "change of the loss per token appended to the chosen response."
)


def summary_table(summary: pd.DataFrame) -> Table:
    """One line per loss; a dash stands for a quantity that doesn't vary or exist."""
    pairs = int(summary["pairs"].iloc[0])
    title = f"Length in {len(summary)} losses over {pairs} pairs"
    return number_table(summary, COLUMNS, title=title, caption=NOTE)
