"""Fan charts: what starts together and spreads, each line named where it ends."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes

from gradlab.errors import GradlabError
from gradlab.plotting.pairs import unique
from gradlab.plotting.scales import apart
from gradlab.plotting.style import (
    MUTED,
    SINGLE_COLUMN,
    SMALL,
    LineStyle,
    axes_or_new,
    loss_styles,
    paper_style,
)
from gradlab.plotting.text import label, number
from gradlab.tables import require_columns, select

_LINE = 1.3  # height of a line of text, in ems
_LAID_OUT = 0.8  # least share of the axes' height that the layout leaves


def plot_fan(
    runs: pd.DataFrame,
    *,
    x: str,
    group: str,
    groups: Sequence[str] | None = None,
    styles: Mapping[str, LineStyle] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Mean over seeds of each group along x, with the range over seeds as a band.

    At the right end of each line stand its name and its last value; names that would
    collide are moved apart, and a thin line leads to each. They are placed within the
    limits of y as they are: axes that share y need theirs before.

    Args:
      runs: columns `x` (numbers), `group`, `seed`, `value`; one row of each.
      x: the column along the axis.
      group: the column that names a line.
      groups: which, in order; all by default.
      styles: from `loss_styles`, to share colours with other figures.
      ax: where to draw; a new figure of column width by default.
    Returns:
      The axes.
    Raises:
      GradlabError: a column is missing, or a group is unknown.
    Example:
      >>> rows = {"step": [0, 1], "probe": "chosen", "seed": 0, "value": [0.0, 0.4]}
      >>> ax = plot_fan(pd.DataFrame(rows), x="step", group="probe")
    """
    require_columns(runs, (x, group, "seed", "value"), "the table of runs")
    known = [str(name) for name in unique(runs, group)]
    names = list(groups) if groups is not None else known
    for name in names:
        if name not in known:
            raise GradlabError(
                f"no {group} {name!r} in the table; it has {', '.join(known)}"
            )
    styles = styles or loss_styles(names)
    with paper_style():
        ax = axes_or_new(ax, SINGLE_COLUMN, 2.4)
        ax.axhline(0, color=MUTED, linewidth=0.6, zorder=0)
        ends = []
        for name in names:
            spread = select(runs, **{group: name}).groupby(x)["value"]
            spread = spread.agg(["min", "mean", "max"]).sort_index()
            low, mean, high = spread.to_numpy(float).T
            at, style = spread.index.to_numpy(float), styles[name]
            ax.fill_between(at, low, high, color=style.color, alpha=0.18, linewidth=0)
            ax.plot(at, mean, color=style.color, linestyle=style.dashes, zorder=3)
            ends.append((at[-1], mean[-1]))
        ax.set_xlabel(x)
        ax.margins(x=0)
        _name_ends(ax, names, ends, [styles[name].color for name in names])
    return ax


def _name_ends(
    ax: Axes,
    names: Sequence[str],
    ends: Sequence[tuple[float, float]],
    colors: Sequence[str],
) -> None:
    """Names and last values, right of the axes."""
    height = 72 / ax.figure.dpi * ax.get_window_extent().height * _LAID_OUT
    low, high = ax.get_ylim()
    shares = [(value - low) / (high - low) for _, value in ends]
    places = apart(shares, _LINE * SMALL / height)
    for name, end, place, color in zip(names, ends, places, colors, strict=True):
        ax.annotate(
            f"{label(name)} {number(end[1])}", end, (1.05, place), color=color,
            textcoords="axes fraction", va="center", fontsize=SMALL, parse_math=False,
            annotation_clip=False, arrowprops={
                "arrowstyle": "-", "color": color, "linewidth": 0.5, "shrinkA": 0,
                "shrinkB": 0, "relpos": (0, 0.5),
            },
        )  # fmt: skip
