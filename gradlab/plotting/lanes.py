"""Weights along the tokens of a response: one lane per loss over one token axis."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from gradlab.plotting.pairs import SideTokens, loss_names, side_tokens, window
from gradlab.plotting.scales import describe, norm_ticks, tick_text, weight_norm
from gradlab.plotting.style import (
    DOUBLE_COLUMN,
    INK,
    LOWERED,
    MUTED,
    RAISED,
    SMALL,
    axes_or_new,
    paper_style,
)
from gradlab.plotting.text import cut, label, number, visible

LANE = 0.24  # inches per loss
_HALF = 0.44  # half the height of a lane in units of the lane distance


def plot_token_weights(
    tokens: pd.DataFrame,
    *,
    losses: Sequence[str] | None = None,
    side: str = "chosen",
    norm: Normalize | None = None,
    max_tokens: int = 40,
    ax: Axes | None = None,
) -> Axes:
    """Bars of dL/dlogp along the tokens of one response, one lane per loss.

    Down and blue: a gradient step raises the token (w < 0); up and vermillion: it
    lowers it. All lanes share one scale, symlog when magnitudes differ widely; the
    range of each lane stands at its right end. Longer responses show the window around
    the first differing token, and say how many tokens lie outside.

    Args:
      tokens: rows of one pair of the tokens table.
      losses: lanes from top to bottom; all losses by default.
      side: "chosen" or "rejected".
      norm: scale from `weight_norm`, to share it with other axes.
      max_tokens: tokens shown at most.
      ax: where to draw; a new figure of page width by default.
    Returns:
      The axes.
    Raises:
      GradlabError: not a tokens table of one pair, or an unknown loss or side.
    """
    names = loss_names(tokens, losses)
    data = side_tokens(tokens, side, names)
    shown = window(len(data.texts), data.first, max_tokens)
    norm = norm or weight_norm(data.weights[:, shown])
    with paper_style():
        ax = axes_or_new(ax, DOUBLE_COLUMN, LANE * len(names) + 0.9)
        _draw_lanes(ax, data.weights[:, shown], norm)
        _label_lanes(ax, names, data.weights[:, shown])
        _label_tokens(ax, data, shown)
        outside = len(data.texts) - (shown.stop - shown.start)
        rest = f", {shown.stop - shown.start} of {len(data.texts)} tokens" * (
            outside > 0
        )
        ax.set_title(f"{side}{rest}", fontsize=7, fontweight="bold", pad=9)
    return ax


def _draw_lanes(ax: Axes, weights: np.ndarray, norm: Normalize) -> None:
    lanes, count = weights.shape
    x = np.arange(count)
    for value in norm_ticks(norm):
        for lane in range(lanes):
            y = lane - _HALF * (2 * float(norm(value)) - 1)
            color, width = (MUTED, 0.5) if value == 0 else ("#e6e6e6", 0.4)
            ax.hlines(y, -0.6, count - 0.4, color=color, linewidth=width, zorder=1)
    filled = np.where(np.isfinite(weights), weights, 0.0)
    heights = -_HALF * (2 * np.ma.getdata(norm(filled)) - 1)
    for lane in range(lanes):
        colors = np.where(filled[lane] < 0, RAISED, LOWERED)
        ax.bar(x, heights[lane], 0.78, bottom=lane, color=colors, linewidth=0, zorder=2)
    ax.set_xlim(-0.6, count - 0.4)
    ax.set_ylim(lanes - 0.45, -0.55)  # the y axis points down, so a bar up is negative


def _label_lanes(ax: Axes, names: Sequence[str], weights: np.ndarray) -> None:
    ax.set_yticks(range(len(names)), [label(n, 22) for n in names], parse_math=False)
    ax.tick_params(axis="y", length=0)
    ax.spines[["left", "bottom"]].set_visible(False)
    for lane, row in enumerate(weights):
        known = row[np.isfinite(row)]
        low, high = (known.min(), known.max()) if known.size else (np.nan, np.nan)
        text = number(low) if low == high else f"{number(low)} to {number(high)}"
        ax.annotate(
            text, (1, lane), (4, 0), xycoords=("axes fraction", "data"),
            textcoords="offset points", va="center", fontsize=SMALL, color=INK,
        )  # fmt: skip


def _label_tokens(ax: Axes, data: SideTokens, shown: slice) -> None:
    texts = [cut(visible(text), 12) for text in data.texts[shown]]
    ax.set_xticks(
        range(len(texts)), texts, rotation=90, fontsize=SMALL, parse_math=False
    )
    ax.tick_params(axis="x", length=0, pad=1)
    if data.first is not None and shown.start <= data.first < shown.stop:
        place = data.first - shown.start
        ax.axvspan(
            place - 0.5, place + 0.5, color="#f0e442", alpha=0.35, lw=0, zorder=0
        )
        ax.get_xticklabels()[place].set_fontweight("bold")
        ax.annotate(
            "first difference", (place, 1), (0, 1.5), va="bottom", fontsize=SMALL - 0.5,
            xycoords=("data", "axes fraction"), textcoords="offset points",
            ha="left" if place < len(texts) / 2 else "right", color=INK,
        )  # fmt: skip
    before, after = shown.start, len(data.texts) - shown.stop
    for count, x, align in ((before, 0, "right"), (after, 1, "left")):
        if count:
            ax.annotate(
                f"…+{count}", (x, 0), (6 * x - 3, -9), fontsize=SMALL, ha=align,
                xycoords="axes fraction", textcoords="offset points", color=MUTED,
            )  # fmt: skip


def scale_note(norm: Normalize) -> str:
    """One line that explains the lanes' scale."""
    ticks = [t for t in norm_ticks(norm) if t > 0]
    lines = ", ".join("±" + tick_text(t) for t in ticks)
    return f"scale: {describe(norm)}; light lines at {lines}"
