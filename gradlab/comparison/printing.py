"""The summary of a comparison as a table for the terminal."""

import math

import pandas as pd
import rich.box
from rich.table import Table
from rich.text import Text

TABLE_WIDTH = 120  # columns that the table needs where losses have usual names

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
    table = Table(
        title=_title(summary),
        title_justify="left",
        caption=NOTE,
        caption_justify="left",
        box=rich.box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("loss", overflow="fold")
    for heading, _ in COLUMNS.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for row in summary.to_dict("records"):
        # Text, not markup: a label such as "[red]" is printed as it is.
        name = Text(plain(str(row["loss"])) + ("*" if row["coupled"] else ""))
        cells = [_number(row[key], form) for key, (_, form) in COLUMNS.items()]
        table.add_row(name, *cells)
    return table


def _title(summary: pd.DataFrame) -> str:
    pairs = int(summary["pairs"].iloc[0])
    return f"Token weights w = dL/dlogp over {pairs} pairs"


def _number(value: float, form: str) -> str:
    return "–" if math.isnan(value) else form.format(value)


def plain(text: str) -> str:
    """Control characters (terminal escapes among them) made visible."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
