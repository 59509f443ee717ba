"""Where probability goes when an unlikely token is pushed down."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from gradlab.errors import GradlabError
from gradlab.plotting.scales import tick_text
from gradlab.plotting.style import (
    INK,
    LOWERED,
    MUTED,
    RAISED,
    SINGLE_COLUMN,
    SMALL,
    axes_or_new,
    paper_style,
)
from gradlab.plotting.text import number
from gradlab.tables import require_columns

ROLES = {
    "top": ("argmax", RAISED),
    "target": ("pushed\ndown", LOWERED),
    "rest": ("all\nothers", "#8c8c8c"),
}
TIMES = {"before": 0.4, "after": 1.0}  # opacity
_WIDTH = 0.38  # of a bar


def plot_squeezed_mass(
    masses: pd.DataFrame, *, log: bool = False, ax: Axes | None = None
) -> Axes:
    """Mass of the argmax, of the token pushed down and of the rest, as bars.

    Each in a pale bar before the pushes and a full one after them; above it, by how
    much the mass was multiplied.

    Args:
      masses: columns `role` ("top", "target" or "rest"), `when` ("before" or "after")
        and `value`, a probability; with `low` and `high` an interval is drawn.
      log: a log axis, on which the unlikely token can be seen.
      ax: where to draw; a new figure of column width by default.
    Returns:
      The axes.
    Raises:
      GradlabError: a column is missing, or there is not one positive value of each role
        and time.
    Example:
      >>> rows = [("top", 0.6, 0.7), ("target", 0.1, 0.02), ("rest", 0.3, 0.28)]
      >>> table = pd.DataFrame(rows, columns=["role", "before", "after"])
      >>> ax = plot_squeezed_mass(table.melt("role", var_name="when"))
    """
    rows = _one_each(masses)
    with paper_style():
        ax = axes_or_new(ax, SINGLE_COLUMN / 2, 2.0)
        if log:
            _log_axis(ax, masses["value"].to_numpy(float))
        for x, (role, (_, color)) in enumerate(ROLES.items()):
            for side, (when, alpha) in zip((-0.5, 0.5), TIMES.items(), strict=True):
                row, at = rows.loc[role, when], x + side * _WIDTH
                ax.bar(at, row["value"], 0.92 * _WIDTH, color=color, alpha=alpha)
                if {"low", "high"} <= set(row.index):
                    low = max(row["low"], ax.get_ylim()[0]) if log else row["low"]
                    ax.vlines(at, low, row["high"], color=INK, linewidth=0.7)
            _note_factor(ax, x, rows.loc[role])
        ax.set_xticks(range(len(ROLES)), [name for name, _ in ROLES.values()])
        ax.tick_params(axis="x", length=0, labelsize=SMALL)
        ax.set_xlim(-0.55, len(ROLES) - 0.45)
        if not log:
            ax.set_ylim(0, 1.12 * ax.get_ylim()[1])
        ax.set_ylabel("probability")
    return ax


def _one_each(masses: pd.DataFrame) -> pd.DataFrame:
    require_columns(masses, ("role", "when", "value"), "the table of masses")
    wanted = pd.MultiIndex.from_product([ROLES, TIMES], names=["role", "when"])
    rows = masses.set_index(["role", "when"])
    if rows.index.has_duplicates or set(rows.index) != set(wanted):
        raise GradlabError(
            "the table of masses needs one row of each role (top, target, rest) before "
            "and after"
        )
    if (rows["value"].to_numpy(float) <= 0).any():
        raise GradlabError("a mass is a probability over 0; found another in the table")
    return rows


def _note_factor(ax: Axes, x: int, times: pd.DataFrame) -> None:
    values = times["value"]
    factor = float(values.loc["after"]) / float(values.loc["before"])
    top = times[["value", "high"]].max().max() if "high" in times else values.max()
    ax.annotate(
        f"×{number(factor)}", (x, top), (0, 2), ha="center",
        textcoords="offset points", fontsize=SMALL, color=INK,
    )  # fmt: skip


def _log_axis(ax: Axes, values: np.ndarray) -> None:
    ax.set_yscale("log")
    ax.set_ylim(10.0 ** np.floor(np.log10(0.8 * values.min())), 2.0)
    ax.yaxis.set_major_locator(LogLocator(numticks=5))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: tick_text(value)))


def plot_absorbed(
    positions: pd.DataFrame, *, name: str = "", ax: Axes | None = None
) -> Axes:
    """Share of the freed mass that the argmax takes, against its mass before.

    Args:
      positions: columns `top_before`, the probability of the argmax before, and
        `absorbed`, its share of the mass that moved; one row per position.
      name: what the positions are, for the heading.
      ax: where to draw; a new figure of half a column by default.
    Returns:
      The axes.
    Raises:
      GradlabError: a column is missing.
    Example:
      >>> rows = pd.DataFrame({"top_before": [0.2, 0.9], "absorbed": [0.1, 1.0]})
      >>> ax = plot_absorbed(rows)
    """
    columns = ("top_before", "absorbed")
    require_columns(positions, columns, "the table of positions")
    with paper_style():
        ax = axes_or_new(ax, SINGLE_COLUMN / 2, 1.7)
        x, y = (positions[column].to_numpy(float) for column in columns)
        ax.scatter(x, y, 5, RAISED, alpha=0.45, linewidths=0, clip_on=False, zorder=3)
        ax.axhline(0, color=MUTED, linewidth=0.6, zorder=1)
        ax.set(xlim=(0, 1), ylim=(0, 1), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
        ax.set_xlabel("argmax mass before")
        ax.set_ylabel("share it absorbs")
        ax.set_title(name, fontsize=7, pad=4)
    return ax
