"""Paths of losses over their strength, in a plane of cost and gain."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from gradlab.plotting.style import (
    INK,
    SINGLE_COLUMN,
    LineStyle,
    axes_or_new,
    loss_styles,
    paper_style,
)
from gradlab.tables import require_columns, select


def plot_paths(
    points: pd.DataFrame,
    *,
    groups: Sequence[str] | None = None,
    styles: Mapping[str, LineStyle] | None = None,
    pareto: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """A line through the points of each group in order of x, with intervals in y.

    Args:
      points: columns `group, x, y`; with `low` and `high` whiskers are drawn.
      groups: which, in order; all by default.
      styles: from `loss_styles`, to share colours with other figures.
      pareto: ring the points that no other beats: less x and more y.
      ax: where to draw; a new figure of column width by default.
    Returns:
      The axes; the legend is left to the caller (`trends.group_handles`).
    Raises:
      GradlabError: a column is missing.
    Example:
      >>> points = {"group": "dpo", "x": [0.0, 1.0], "y": [0.2, 0.6]}
      >>> ax = plot_paths(pd.DataFrame(points))
    """
    require_columns(points, ("group", "x", "y"), "the table of points")
    names = list(groups) if groups is not None else list(dict.fromkeys(points["group"]))
    styles = styles or loss_styles(names)
    with paper_style():
        ax = axes_or_new(ax, SINGLE_COLUMN, 2.4)
        for name in names:
            line, style = select(points, group=name).sort_values("x"), styles[name]
            ax.plot(
                line["x"], line["y"], color=style.color, linestyle=style.dashes,
                marker=style.marker, markersize=3, linewidth=1,
            )  # fmt: skip
            if {"low", "high"} <= set(line.columns):
                ends = (line["x"], line["low"], line["high"])
                ax.vlines(*ends, color=style.color, linewidth=0.7, alpha=0.5)
        if pareto:
            shown = select(points, group=names)
            x, y = (shown[name].to_numpy(float) for name in ("x", "y"))
            best = pareto_set(x, y)
            ax.plot(x[best], y[best], "o", ms=6.5, mfc="none", mec=INK, mew=0.7)
    return ax


def pareto_set(cost: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """[n] True where no other point costs less or as much and gains more.

    Example:
      >>> pareto_set(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0]))
      array([ True,  True, False])
    """
    cost, gain = np.asarray(cost, float), np.asarray(gain, float)
    cheaper = cost[None] <= cost[:, None]
    better = gain[None] > gain[:, None]
    same = (gain[None] == gain[:, None]) & (cost[None] < cost[:, None])
    return ~((cheaper & better) | same).any(axis=1)
