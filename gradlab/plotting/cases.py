"""Which of the two responses a step moves where: shares of pairs, one bar per loss."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from gradlab.errors import GradlabError
from gradlab.plotting.pairs import loss_names
from gradlab.plotting.style import (
    DOUBLE_COLUMN,
    INK,
    MUTED,
    SMALL,
    axes_or_new,
    paper_style,
)
from gradlab.plotting.text import label
from gradlab.tables import require_columns, select

ROW = 0.22  # inches per loss
# From the left: the chosen response falls, it rises, nothing moves.
CASE_LOOK = {
    "both fall": ("#D55E00", "black"),
    "reversed": ("#8C2D62", "white"),
    "both rise": ("#E69F00", "black"),
    "ideal": ("#56B4E9", "black"),
    "no push": ("#d0d0d0", "black"),
}
FALLS = "both fall"
_NARROW = 0.045  # share under which a segment has no room for its number


def plot_cases(
    pairs: pd.DataFrame,
    *,
    losses: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Share of pairs in each entanglement case, one stacked bar per loss.

    From the left "both fall" and "reversed", in which the chosen response falls; then
    "both rise" and "ideal" (chosen up, rejected down), and "no push". The line at the
    end of "both fall" is its Wilson 95 % interval; its count of pairs stands at the
    right. A loss whose step has no split by side (an empty case) says so.

    Args:
      pairs: one row per loss and pair with the columns `loss, case`.
      losses: bars from top to bottom; all losses by default.
      ax: where to draw; a new figure of page width by default.
    Returns:
      The axes.
    Raises:
      GradlabError: a column is missing, a loss is unknown, or a case is.
    Example:
      >>> cases = ["ideal", "both fall", "both fall"]
      >>> ax = plot_cases(pd.DataFrame({"loss": "dpo", "case": cases}))
    """
    require_columns(pairs, ("loss", "case"), "the pairs table")
    names = loss_names(pairs, losses)
    counts = np.stack([_counts(pairs, name) for name in names])
    with paper_style():
        ax = axes_or_new(ax, DOUBLE_COLUMN, ROW * len(names) + 0.75)
        _draw_bars(ax, counts)
        _draw_intervals(ax, counts[:, 0], counts.sum(axis=1))
        ax.set_yticks(range(len(names)), [label(n) for n in names], parse_math=False)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.set_ylim(len(names) - 0.4, -0.6)
        ax.set_xlim(0, 1)
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])
        ax.set_xlabel("share of pairs (%)")
        ax.legend(
            loc="lower left", bbox_to_anchor=(-0.01, 1), ncols=len(CASE_LOOK),
            handlelength=1, columnspacing=1.2, borderaxespad=0.1,
        )  # fmt: skip
    return ax


def _counts(pairs: pd.DataFrame, loss: str) -> np.ndarray:
    """Pairs of one loss in each case, in the order of `CASE_LOOK`."""
    cases = select(pairs, loss=loss)["case"].astype(object).fillna("")
    found = [str(case) for case in cases if case != ""]
    unknown = sorted(set(found) - set(CASE_LOOK))
    if unknown:
        raise GradlabError(
            f"the pairs table: unknown case {unknown[0]!r} of {loss!r}; "
            f"expected one of {', '.join(CASE_LOOK)}"
        )
    return np.array([found.count(case) for case in CASE_LOOK])


def _draw_bars(ax: Axes, counts: np.ndarray) -> None:
    total = counts.sum(axis=1)
    shares = counts / np.maximum(total, 1)[:, None]
    left, y = np.zeros(len(counts)), np.arange(len(counts))
    for column, (case, (color, ink)) in enumerate(CASE_LOOK.items()):
        width = shares[:, column]
        ax.barh(y, width, 0.74, left, color=color, label=case, zorder=1)
        for row in np.flatnonzero(width >= _NARROW).tolist():
            ax.text(
                left[row] + width[row] / 2, row, f"{100 * width[row]:.0f}",
                ha="center", va="center", fontsize=SMALL, color=ink,
            )  # fmt: skip
        left += width
    for row in np.flatnonzero(total == 0).tolist():
        text = "this step has no split by side"
        ax.text(0.005, row, text, va="center", fontsize=SMALL, color=MUTED)


def _draw_intervals(ax: Axes, falls: np.ndarray, total: np.ndarray) -> None:
    """Whiskers at the lower edge of the bars, clear of their numbers."""
    known = np.flatnonzero(total)
    low, high = wilson(falls[known], total[known])
    y = known + 0.27
    ax.hlines(y, low, high, color=INK, linewidth=1.0, zorder=3)
    ax.vlines(np.append(low, high), np.tile(y - 0.1, 2), np.tile(y + 0.1, 2),
              color=INK, linewidth=0.8, zorder=3)  # fmt: skip
    for row in known.tolist():
        _note(ax, row, f"{falls[row]:,} of {total[row]:,}")
    ax.annotate(FALLS, (1, 1), (6, 5), **_RIGHT)


_RIGHT = {
    "textcoords": "offset points",
    "xycoords": "axes fraction",
    "fontsize": SMALL,
    "color": INK,
    "annotation_clip": False,
}


def _note(ax: Axes, row: int, text: str) -> None:
    place = {**_RIGHT, "xycoords": ("axes fraction", "data")}
    ax.annotate(text, (1, row), (6, 0), va="center", **place)


def wilson(
    counts: np.ndarray, totals: np.ndarray, z: float = 1.959964
) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of the Wilson interval of a share.

    Args:
      counts: [N] how many.
      totals: [N] of how many, above 0.
      z: normal quantile; the default gives 95 %.
    """
    middle = counts + z * z / 2
    half = z * np.sqrt(counts * (totals - counts) / totals + z * z / 4)
    low, high = ((middle + s * half) / (totals + z * z) for s in (-1, 1))
    return np.where(counts > 0, low, 0.0), np.where(counts < totals, high, 1.0)
