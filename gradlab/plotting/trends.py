"""Means along something, with their intervals: one line per group."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gradlab.errors import GradlabError
from gradlab.plotting.pairs import unique
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


def plot_trends(
    trends: pd.DataFrame,
    *,
    x: str,
    group: str,
    groups: Sequence[str] | None = None,
    styles: Mapping[str, LineStyle] | None = None,
    shift: float = 0.0,
    ax: Axes | None = None,
) -> Axes:
    """A line per group, with bands, or whiskers where the lines are shifted.

    Args:
      trends: columns `x`, `group`, `value`; with `low` and `high` intervals are drawn,
        as `seed_intervals` gives them.
      x: the column along the axis, numbers.
      group: the column that names a line.
      groups: which, in order; all by default.
      styles: from `loss_styles`, to share colours with other figures.
      shift: lines stand so far apart along x, so that whiskers don't hide each other.
      ax: where to draw; a new figure of column width by default.
    Returns:
      The axes; the legend is left to the caller (`group_handles`).
    Raises:
      GradlabError: a column is missing, or a group is unknown.
    Example:
      >>> rows = {"step": [0, 1], "probe": "chosen", "value": [0.0, 0.4]}
      >>> ax = plot_trends(pd.DataFrame(rows), x="step", group="probe")
    """
    require_columns(trends, (x, group, "value"), "the table of trends")
    known = [str(name) for name in unique(trends, group)]
    names = list(groups) if groups is not None else known
    for name in names:
        if name not in known:
            raise GradlabError(
                f"no {group} {name!r} in the table; it has {', '.join(known)}"
            )
    styles = styles or loss_styles(names)
    with paper_style():
        ax = axes_or_new(ax, SINGLE_COLUMN, 2.2)
        ax.axhline(0, color=MUTED, linewidth=0.6, zorder=0)
        for place, name in enumerate(names):
            line = select(trends, **{group: name}).sort_values(x)
            offset = shift * (place - (len(names) - 1) / 2)
            _draw_line(ax, line, line[x].to_numpy(float) + offset, styles[name], shift)
        ax.set_xlabel(x)
    return ax


def _draw_line(
    ax: Axes, line: pd.DataFrame, at: np.ndarray, style: LineStyle, shift: float
) -> None:
    ax.plot(
        at, line["value"], color=style.color, linestyle=style.dashes, linewidth=1,
        marker=style.marker, markersize=3, zorder=3,
    )  # fmt: skip
    if not {"low", "high"} <= set(line.columns):
        return
    low, high = (line[end].to_numpy(float) for end in ("low", "high"))
    if shift:
        ax.vlines(at, low, high, color=style.color, linewidth=0.8, alpha=0.55)
    else:
        ax.fill_between(at, low, high, color=style.color, alpha=0.15, linewidth=0)


def group_handles(
    names: Sequence[str], styles: Mapping[str, LineStyle]
) -> tuple[list[Line2D], list[str]]:
    """Handles and labels for a legend of lines."""
    handles = [
        Line2D([], [], color=s.color, linestyle=s.dashes, marker=s.marker, linewidth=1)
        for s in (styles[name] for name in names)
    ]
    return handles, [label(name) for name in names]
