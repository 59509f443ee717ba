"""Error against step size: in which order a prediction converges."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from gradlab.plotting.pairs import unique
from gradlab.plotting.scales import tick_text
from gradlab.plotting.style import (
    INK,
    MUTED,
    PALETTE,
    SINGLE_COLUMN,
    SMALL,
    axes_or_new,
    paper_style,
)
from gradlab.plotting.text import label
from gradlab.tables import require_columns, select


def plot_order(
    errors: pd.DataFrame,
    *,
    slopes: dict[str, int],
    names: dict[str, str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Relative error against step size, log-log: median, range, and slope guides.

    For each metric the median over all rows of a step size is a line with markers, the
    range a band. A dashed guide of the metric's expected slope passes through the
    median at the smallest step.

    Args:
      errors: columns `metric, eta, value`; eta > 0 the step size, value > 0 the error.
      slopes: metric -> the slope that theory expects.
      names: metric -> how the legend calls it.
      ax: where to draw; a new figure of column width by default.
    Returns:
      The axes.
    Raises:
      GradlabError: a column is missing.
    Example:
      >>> rows = {"metric": "rel_err", "eta": [1e-3, 1e-4], "value": [3e-3, 3e-4]}
      >>> ax = plot_order(pd.DataFrame(rows), slopes={"rel_err": 1})
    """
    require_columns(errors, ("metric", "eta", "value"), "the table of errors")
    rows = errors.loc[errors["value"] > 0]
    with paper_style():
        ax = axes_or_new(ax, SINGLE_COLUMN, 2.4)
        for number, metric in enumerate(unique(rows, "metric")):
            by_step = select(rows, metric=metric).groupby("eta")["value"]
            spread = by_step.agg(["min", "median", "max"]).sort_index()
            low, middle, high = spread.to_numpy(float).T
            x, color = spread.index.to_numpy(float), PALETTE[number]
            ax.fill_between(x, low, high, color=color, alpha=0.18, linewidth=0)
            ax.plot(
                x, middle, color=color, marker="o", markersize=3,
                label=label(str((names or {}).get(metric, metric)), 40), zorder=3,
            )  # fmt: skip
            guide = middle[0] * (x / x[0]) ** slopes[metric]
            ax.plot(x, guide, color=INK, linewidth=0.7, linestyle=(0, (4, 2)))
            ax.annotate(
                f"slope {slopes[metric]}", (x[0], guide[0]), (9, -1), fontsize=SMALL,
                textcoords="offset points", va="top", color=MUTED,
            )  # fmt: skip
        _log_axes(ax)
        ax.set_xlabel("step ‖u‖ / ‖θ‖")
        ax.set_ylabel("relative error")
    return ax


def _log_axes(ax: Axes) -> None:
    ax.set_xscale("log")
    ax.set_yscale("log")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(numticks=6))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: tick_text(value)))
    ax.grid(axis="y")
