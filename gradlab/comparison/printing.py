"""The summary of a comparison as a table for the terminal."""

import pandas as pd
from rich.table import Table

from gradlab.inputs.printing import number_table

# column -> (heading, number format)
COLUMNS = {
    "value": ("value", "{:.4g}"),
    "mass_chosen": ("|w| chosen", "{:.3g}"),
    "mass_rejected": ("|w| rejected", "{:.3g}"),
    "ratio_bad_good": ("bad/good", "{:.3g}"),
    "share_before": ("before", "{:.0%}"),
    "share_at": ("at", "{:.0%}"),
    "share_after": ("after", "{:.0%}"),
    "corr_length": ("r(length)", "{:.2f}"),
    "closed_form_error": ("error", "{:.0e}"),
}


NOTE = (
    "|w|: sum over a response, mean over pairs. before/at/after: where |w| lies, seen "
    "from the first differing token. r: correlation of |w| with the response's length. "
    "error: autodiff against the closed form."
)


def summary_table(summary: pd.DataFrame) -> Table:
    """One line per loss; a dash stands for a quantity that doesn't exist."""
    pairs = int(summary["pairs"].iloc[0])
    title = f"Token weights w = dL/dlogp over {pairs} pairs"
    return number_table(summary, COLUMNS, title=title, caption=NOTE)
