"""The map of who moves: norms and cosine of the score gradients, with three regions."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from gradlab.plotting.cases import CASE_LOOK
from gradlab.plotting.pairs import unique
from gradlab.plotting.style import (
    INK,
    MARKERS,
    PALETTE,
    SINGLE_COLUMN,
    SMALL,
    axes_or_new,
    paper_style,
)
from gradlab.plotting.text import label, number
from gradlab.tables import require_columns, select


def plot_case_map(
    pairs: pd.DataFrame,
    *,
    ratio: float = 1.0,
    kinds: Sequence[str] | None = None,
    widest: float = 16.0,
    ax: Axes | None = None,
) -> Axes:
    """Each pair at (sqrt(n_c / n_r), cosine), over the regions of the cases.

    With d_c, d_r a loss's slopes on the two sums, q = d_r / d_c, x = sqrt(n_c / n_r),
    one SGD step on a pair lowers the chosen response iff cos > x / q, and raises the
    rejected one iff cos > q / x.

    Args:
      pairs: columns `kind`, `norm_ratio` = sqrt(n_c / n_r) and `cosine`.
      ratio: q; 1 for plain margin losses.
      kinds: which, in the order of their colours; all by default.
      widest: the x axis goes from 1/widest to widest; pairs beyond stand at its end.
      ax: where to draw; a new figure of column width by default.
    Returns:
      The axes.
    Raises:
      GradlabError: a column is missing.
    Example:
      >>> rows = {"kind": ["a", "a"], "norm_ratio": [0.5, 2.0], "cosine": [0.9, 0.1]}
      >>> ax = plot_case_map(pd.DataFrame(rows))
    """
    require_columns(pairs, ("kind", "norm_ratio", "cosine"), "the pairs table")
    with paper_style():
        ax = axes_or_new(ax, SINGLE_COLUMN, 2.6)
        _draw_regions(ax, ratio, widest)
        for place, kind in enumerate(kinds or unique(pairs, "kind")):
            rows = select(pairs, kind=kind)
            x = np.clip(rows["norm_ratio"].to_numpy(float), 1 / widest, widest)
            ax.scatter(
                x, rows["cosine"], 7, PALETTE[place % len(PALETTE)], alpha=0.75,
                marker=MARKERS[place % len(MARKERS)], linewidths=0.25,
                edgecolors="white", label=label(str(kind)), zorder=3,
            )  # fmt: skip
        _set_axes(ax, widest)
        ax.set_title(f"d_r / d_c = {number(ratio)}", fontsize=7, pad=3)
    return ax


def _draw_regions(ax: Axes, ratio: float, widest: float) -> None:
    """Fills the part of the map where each case holds, between its lines."""
    x = np.geomspace(1 / widest, widest, 400)
    falls, rises = np.minimum(x / ratio, 1), np.minimum(ratio / x, 1)
    faint = {"alpha": 0.3, "linewidth": 0, "zorder": 0}
    ax.fill_between(
        x, -1, np.minimum(falls, rises), color=CASE_LOOK["ideal"][0], **faint
    )
    ax.fill_between(x, falls, 1, color=CASE_LOOK["both fall"][0], **faint)
    ax.fill_between(x, rises, 1, color=CASE_LOOK["both rise"][0], **faint)
    for line in (falls, rises):
        ax.plot(x[line < 1], line[line < 1], color=INK, linewidth=0.6, zorder=1)
    border = min(max(ratio, 1 / widest), widest)
    places = {
        "both fall": (1 / widest, border, 0.93),
        "both rise": (border, widest, 0.93),
        "ideal": (1 / widest, widest, -0.9),
    }
    for case, (left, right, y) in places.items():
        if right / left > 4:  # elsewhere there is no room for its name
            middle = math.sqrt(left * right)
            ax.text(
                middle, y, case, fontsize=SMALL, ha="center", va="center", zorder=4,
                bbox={"facecolor": "white", "alpha": 0.6, "linewidth": 0, "pad": 0.8},
            )  # fmt: skip


def _set_axes(ax: Axes, widest: float) -> None:
    ax.set_xscale("log")
    ax.set_xlim(1 / widest, widest)
    ax.set_ylim(-1, 1)
    step = max(1, round(math.log2(widest) / 3))
    powers = range(-2 * step, 2 * step + 1, step)
    ax.xaxis.set_major_locator(FixedLocator([2.0**power for power in powers]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: _power_of_two(tick)))
    ax.set_xlabel("‖s_c‖ / ‖s_r‖")
    ax.set_ylabel("cosine of the score gradients")


def _power_of_two(value: float) -> str:
    """1/8, 1, 8."""
    return f"{value:g}" if value >= 1 else f"1/{1 / value:g}"
