"""Weights along the tokens of a response: one lane per loss over one token axis."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import Normalize, SymLogNorm
from numpy.typing import ArrayLike

from gradlab.plotting.pairs import SideTokens, loss_names, side_tokens, window
from gradlab.plotting.scales import norm_ticks, weight_norm
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

_LANE = 0.24  # inches per loss
_HALF = 0.42  # half the height of a lane in units of the lane distance
_BAR = 0.39  # half the width of a bar in units of the token distance
LANE_NOTE = (
    "∂L/∂log p of each token. Down, blue: a gradient step raises the token; up, orange:"
    " it lowers it.\nEach loss has its own scale, the same for both sides; (log) marks"
    " a symlog one."
)


def lane_height(losses: int) -> float:
    """Inches for so many lanes: less each when they are many, to stay on a page."""
    return losses * min(_LANE, 3.3 / losses)


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
    lowers it. Each lane has the scale of its loss over both sides of the pair, with its
    light lines at the largest magnitude; when magnitudes differ widely it is symlog,
    with light lines at powers of ten. The range of what is shown stands at the right.
    A long response shows the window around the first differing token, and says how many
    tokens lie outside.

    Args:
      tokens: rows of one pair of the tokens table.
      losses: lanes from top to bottom; all losses by default.
      side: "chosen" or "rejected".
      norm: one scale for all lanes, from `weight_norm`.
      max_tokens: tokens shown at most.
      ax: where to draw; a new figure of page width by default.
    Returns:
      The axes.
    Raises:
      GradlabError: not a tokens table of one pair, or an unknown loss or side.
    Example:
      >>> keys = {"pair": 0, "side": ["chosen", "rejected"], "position": 0}
      >>> rows = {"token": [" yes", " no"], "region": "first", "weight": [-1, 1]}
      >>> ax = plot_token_weights(pd.DataFrame({"loss": "dpo", **keys, **rows}))
    """
    names = loss_names(tokens, losses)
    data = side_tokens(tokens, side, names)
    shown = window(len(data.texts), data.first, max_tokens)
    by_loss = tokens.groupby("loss", observed=True, sort=False)["weight"]
    norms = [norm or weight_norm(by_loss.get_group(name)) for name in names]
    with paper_style():
        ax = axes_or_new(ax, DOUBLE_COLUMN, lane_height(len(names)) + 0.8)
        _draw_lanes(ax, data.weights[:, shown], norms)
        _label_lanes(ax, names, data.weights[:, shown], norms)
        label_tokens(ax, data, shown)
        ax.annotate(side, (0, 1), (-4, 2.5), ha="right", **_ABOVE)
    return ax


_ABOVE = {
    "xycoords": "axes fraction",
    "textcoords": "offset points",
    "va": "bottom",
    "fontsize": 8,
}


def _draw_lanes(ax: Axes, weights: np.ndarray, norms: Sequence[Normalize]) -> None:
    """Lane i lies around y = i; the y axis points down, so a bar up has less y."""
    lanes, count = weights.shape
    ends = np.array([-0.5, count - 0.5])
    levels, corners, colors = [], [], []
    for lane, norm in enumerate(norms):
        ticks = [tick for tick in norm_ticks(norm) if tick]
        levels += list(lane - _heights(norm, ticks))
        drawn = np.flatnonzero(np.nan_to_num(weights[lane], posinf=0, neginf=0))
        tops = lane - _heights(norm, weights[lane, drawn])
        for x, top in zip(drawn, tops, strict=True):
            left, right = x - _BAR, x + _BAR
            corners.append([(left, lane), (left, top), (right, top), (right, lane)])
            colors.append(RAISED if top > lane else LOWERED)
    # Collections, since thousands of separate artists take seconds to draw.
    for places, color, order in ((levels, "#e2e2e2", 1), (range(lanes), MUTED, 3)):
        lines = [np.column_stack([ends, [y, y]]) for y in places]
        ax.add_collection(LineCollection(lines, colors=color, lw=0.45, zorder=order))
    ax.add_collection(PolyCollection(corners, facecolors=colors, lw=0, zorder=2))


def _heights(norm: Normalize, weights: ArrayLike) -> np.ndarray:
    return _HALF * (2 * np.ma.getdata(norm(np.asarray(weights, float))) - 1)


def _label_lanes(
    ax: Axes, names: Sequence[str], weights: np.ndarray, norms: Sequence[Normalize]
) -> None:
    ax.set_xlim(-0.5, weights.shape[1] - 0.5)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_yticks(range(len(names)), [label(n, 22) for n in names], parse_math=False)
    ax.tick_params(axis="y", length=0)
    ax.spines[["left", "bottom"]].set_visible(False)
    for lane, row in enumerate(weights):
        known = row[np.isfinite(row)]
        low, high = (known.min(), known.max()) if known.size else (np.nan, np.nan)
        low, high = number(low), number(high)
        text = low if low == high else f"{low} to {high}"
        if isinstance(norms[lane], SymLogNorm):
            text += " (log)"
        ax.annotate(
            text, (1, lane), (4, 0), xycoords=("axes fraction", "data"),
            textcoords="offset points", va="center", fontsize=SMALL, color=INK,
        )  # fmt: skip


def label_tokens(ax: Axes, data: SideTokens, shown: slice) -> None:
    """Names the tokens under an axes whose x counts those shown, from 0.

    Marks the first difference, and says how many tokens lie outside.
    """
    texts = [cut(visible(text), 12) for text in data.texts[shown]]
    ax.set_xticks(
        range(len(texts)), texts, rotation=90, fontsize=SMALL, parse_math=False
    )
    ax.tick_params(axis="x", length=0, pad=1)
    if data.first is not None and shown.start <= data.first < shown.stop:
        place = data.first - shown.start
        left = place < len(texts) / 2
        edge = place - 0.5 if left else place + 0.5
        ax.axvspan(place - 0.5, place + 0.5, color="#f0e442", alpha=0.4, lw=0, zorder=0)
        ax.annotate(
            "first difference", (edge, 1), (0, 2.5), ha="left" if left else "right",
            **{**_ABOVE, "xycoords": ("data", "axes fraction"), "fontsize": SMALL},
        )  # fmt: skip
    before, after = shown.start, len(data.texts) - shown.stop
    for count, x, align in ((before, 0, "right"), (after, 1, "left")):
        if count:
            ax.annotate(
                f"…+{count}", (x, 0), (6 * x - 3, -9), fontsize=SMALL, ha=align,
                xycoords="axes fraction", textcoords="offset points", color=MUTED,
            )  # fmt: skip
