"""Maps over the two lengths of a pair: a colour for each (chosen, rejected) cell."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from gradlab.plotting.scales import finite
from gradlab.plotting.style import (
    DOUBLE_COLUMN,
    LOWERED,
    RAISED,
    SINGLE_COLUMN,
    axes_or_new,
    new_figure,
    paper_style,
)
from gradlab.plotting.text import label, number
from gradlab.tables import require_columns

BOTH = LinearSegmentedColormap.from_list(
    "gradlab_sides", [LOWERED, "#f7f7f7", RAISED]
)  # vermillion: the rejected side, blue: the chosen one
EMPTY = "#e4e4e4"
COLUMNS = 4


def even_norm(values: Sequence[float] | np.ndarray) -> Normalize:
    """From -M to M, M the largest size, at least 1."""
    largest = max(1.0, float(np.abs(finite(values)).max(initial=0)))
    return Normalize(-largest, largest)


def plot_length_map(
    cells: pd.DataFrame,
    *,
    norm: Normalize | None = None,
    ax: Axes | None = None,
) -> Axes:
    """One value per pair of lengths; cells without a value are grey.

    Args:
      cells: columns `length_chosen, length_rejected, value`: a row per cell, named by
        any length in it; the axes show these names in equal steps.
      norm: of the colours; symmetric around 0 by default.
      ax: where to draw; a new figure of column width by default.
    Returns:
      The axes.
    Raises:
      GradlabError: a column is missing.
    Example:
      >>> cells = {"length_chosen": [1, 2], "length_rejected": 4, "value": [-2.0, -1.0]}
      >>> ax = plot_length_map(pd.DataFrame(cells))
    """
    needed = ("length_chosen", "length_rejected", "value")
    require_columns(cells, needed, "the table of cells")
    names = sorted({*cells["length_chosen"], *cells["length_rejected"]})
    table = cells.pivot_table(
        index="length_rejected", columns="length_chosen", values="value"
    ).reindex(index=names, columns=names)
    with paper_style():
        ax = axes_or_new(ax, SINGLE_COLUMN, 2.6)
        ax.set_facecolor(EMPTY)
        values = table.to_numpy(float)
        ax.pcolormesh(
            np.ma.masked_invalid(values), cmap=BOTH, norm=norm or even_norm(values)
        )
        step = max(1, math.ceil(len(names) / 4))
        places = np.arange(0, len(names), step)
        shown = [number(names[i], 3) for i in places]
        ax.set_xticks(places + 0.5, shown)
        ax.set_yticks(places + 0.5, shown)
        ax.set_aspect("equal")
        ax.tick_params(length=0)
        for spine in ax.spines.values():
            spine.set_visible(False)
    return ax


def length_maps_figure(
    maps: Mapping[str, pd.DataFrame], *, value: str, columns: int = COLUMNS
) -> Figure:
    """A panel per loss on one scale of colours.

    Args:
      maps: loss -> its cells, as in `plot_length_map`.
      value: what the colours show.
      columns: panels in a row.
    """
    columns = min(columns, len(maps))
    rows = math.ceil(len(maps) / columns)
    norm = even_norm(np.concatenate([cells["value"] for cells in maps.values()]))
    with paper_style():
        fig = new_figure(DOUBLE_COLUMN, 1.62 * rows * 4 / max(columns, 3) + 0.3)
        grid = fig.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for ax, (loss, cells) in zip(grid.ravel(), maps.items(), strict=False):
            plot_length_map(cells, norm=norm, ax=ax)
            ax.set_title(label(loss, 26), parse_math=False, fontsize=7, pad=2)
        for ax in grid.ravel()[len(maps) :]:
            ax.set_visible(False)
            above = grid[-2, list(grid[-1]).index(ax)]
            above.tick_params(labelbottom=True)
        bar = fig.colorbar(
            _mappable(norm), ax=grid, shrink=0.8, aspect=30, pad=0.01, label=value
        )
        bar.outline.set_visible(False)  # type: ignore[operator]
        fig.supxlabel("tokens in the chosen response", fontsize=8)
        fig.supylabel("tokens in the rejected response", fontsize=8)
    return fig


def _mappable(norm: Normalize):
    from matplotlib.cm import ScalarMappable

    return ScalarMappable(norm, BOTH)
