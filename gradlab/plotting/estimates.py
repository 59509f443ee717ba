"""Estimates with their intervals: a dot and whiskers per row and series."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from gradlab.plotting.style import (
    MUTED,
    SINGLE_COLUMN,
    LineStyle,
    axes_or_new,
    loss_styles,
    paper_style,
)
from gradlab.plotting.text import label
from gradlab.tables import require_columns, select

ROW = 0.16  # inches per row


def plot_estimates(
    table: pd.DataFrame,
    *,
    rows: Sequence[str],
    series: Sequence[str] | None = None,
    styles: Mapping[str, LineStyle] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """A dot with whiskers for each row and series; nothing where the value is NaN.

    Args:
      table: columns `row, value`, with `low` and `high` the ends of the interval (NaN:
        none), and `series` where there are several.
      rows: from top to bottom.
      series: dots of one row, from top to bottom; all by default.
      styles: of the series; one look for all where there is one.
      ax: where to draw; a new figure of column width by default.
    Returns:
      The axes; a legend is left to the caller (`trends.group_handles`).
    Raises:
      GradlabError: a column is missing.
    Example:
      >>> rows = {"row": ["dpo"], "value": [0.5], "low": [0.4], "high": [0.6]}
      >>> ax = plot_estimates(pd.DataFrame(rows), rows=["dpo"])
    """
    require_columns(table, ("row", "value", "low", "high"), "the table of estimates")
    if "series" not in table.columns:
        table, series = table.assign(series=""), [""]
    names = list(series or dict.fromkeys(table["series"]))
    styles = styles or loss_styles(names)
    with paper_style():
        ax = axes_or_new(ax, SINGLE_COLUMN, ROW * len(rows) + 0.5)
        ax.axvline(0, color=MUTED, linewidth=0.6, zorder=0)
        for place, name in enumerate(names):
            own = select(table, series=name).set_index("row").reindex(list(rows))
            at = np.arange(len(rows)) + 0.22 * (place - (len(names) - 1) / 2)
            style = styles[name]
            ax.hlines(at, own["low"], own["high"], color=style.color, linewidth=1)
            ax.plot(
                own["value"], at, linestyle="", marker=style.marker, markersize=3,
                color=style.color, zorder=3,
            )  # fmt: skip
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.set_yticks(np.arange(len(rows)), [label(row, 26) for row in rows])
        for text in ax.get_yticklabels():
            text.set_parse_math(False)
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="x")
    return ax
