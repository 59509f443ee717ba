"""Tables of numbers, one line per loss, for the terminal."""

import math
from collections.abc import Mapping

import pandas as pd
import rich.box
from rich.table import Table
from rich.text import Text

from gradlab.escapes import plain


def number_table(
    frame: pd.DataFrame,
    columns: Mapping[str, tuple[str, str]],
    *,
    title: str,
    caption: str,
) -> Table:
    """A table with the loss and the chosen columns.

    Args:
      frame: one row per loss; `coupled`, where there is such a column, gets a star.
      columns: column -> (heading, number format); a dash stands for NaN.
      title: above the table; hidden characters are made visible, here and in labels.
      caption: below it, likewise.
    """
    table = Table(
        title=Text(plain(title)),
        title_justify="left",
        caption=Text(plain(caption)),
        caption_justify="left",
        box=rich.box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("loss", overflow="fold")
    for heading, _ in columns.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for row in frame.to_dict("records"):
        # Text, not markup: a label such as "[red]" is printed as it is.
        name = Text(plain(str(row["loss"])) + ("*" if row.get("coupled") else ""))
        cells = [_number(row[key], form) for key, (_, form) in columns.items()]
        table.add_row(name, *cells)
    return table


def _number(value: float, form: str) -> str:
    return "–" if math.isnan(value) else form.format(value)
