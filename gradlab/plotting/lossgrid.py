"""A table as a picture: one row per loss, a coloured number in every cell."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize

from gradlab.plotting.scales import finite
from gradlab.plotting.style import (
    DOUBLE_COLUMN,
    MUTED,
    SMALL,
    axes_or_new,
    paper_style,
)
from gradlab.plotting.text import label, number
from gradlab.tables import require_columns

ROW = 0.135  # inches per loss
SHADES = LinearSegmentedColormap.from_list("gradlab_blues", ["#f7fbff", "#0072B2"])


def plot_loss_grid(
    cells: pd.DataFrame,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    marked: Sequence[str] = (),
    shade: Callable[[np.ndarray], np.ndarray] = np.log10,
    text: Callable[[float], str] = number,
    cmap: Colormap = SHADES,
    ax: Axes | None = None,
) -> Axes:
    """Numbers by loss and column, each on a shade of its size.

    Args:
      cells: columns `loss, column, value`, one row per cell; a cell without a row or
        with NaN stays empty.
      rows: losses from top to bottom.
      columns: from left to right.
      marked: losses whose names carry an asterisk.
      shade: what of the value the shade shows; by default its order of magnitude.
      text: value -> what is written.
      cmap: light to dark; text turns white on the dark half.
      ax: where to draw; a new figure of page width by default.
    Returns:
      The axes.
    Raises:
      GradlabError: a column is missing.
    Example:
      >>> cells = {"loss": ["dpo", "ipo"], "column": "hh", "value": [1e-3, 1e-2]}
      >>> ax = plot_loss_grid(
      ...     pd.DataFrame(cells), rows=["dpo", "ipo"], columns=["hh"]
      ... )
    """
    require_columns(cells, ("loss", "column", "value"), "the table of cells")
    table = cells.pivot_table(index="loss", columns="column", values="value")
    values = table.reindex(index=list(rows), columns=list(columns)).to_numpy(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        shades = shade(values)
    known = finite(shades)
    norm = Normalize(known.min(), known.max()) if known.size else Normalize(0, 1)
    with paper_style():
        ax = axes_or_new(ax, DOUBLE_COLUMN, ROW * len(rows) + 0.6)
        drawn = np.ma.masked_invalid(np.clip(shades, norm.vmin, norm.vmax))
        ax.pcolormesh(
            drawn, cmap=cmap, norm=norm, edgecolors="white", linewidth=0.6, zorder=0
        )
        for (row, column), value in np.ndenumerate(values):
            dark = np.isfinite(shades[row, column]) and norm(shades[row, column]) > 0.55
            ax.text(
                column + 0.5, row + 0.5, text(value), ha="center", va="center",
                fontsize=SMALL - 0.5, color="white" if dark else "#222222",
            )  # fmt: skip
        names = [label(row) + (" *" if row in marked else "") for row in rows]
        _name_cells(ax, names, columns)
    return ax


def _name_cells(ax: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
    ax.set_ylim(len(rows), 0)
    places = np.arange(len(rows)) + 0.5
    ax.set_yticks(places, rows, fontsize=SMALL - 0.5, parse_math=False)
    ax.set_xticks(np.arange(len(columns)) + 0.5, [label(c, 24) for c in columns])
    ax.xaxis.tick_top()
    ax.tick_params(length=0, colors=MUTED, labelcolor="#222222")
    for spine in ax.spines.values():
        spine.set_visible(False)
