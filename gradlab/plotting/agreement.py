"""Predicted against realised drift of tokens: how much the first order tells."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap, to_rgb

from gradlab.plotting.pairs import loss_names
from gradlab.plotting.scales import spaced, tick_text
from gradlab.plotting.style import (
    INK,
    SINGLE_COLUMN,
    LineStyle,
    axes_or_new,
    loss_styles,
    paper_style,
)
from gradlab.plotting.text import label, number
from gradlab.tables import require_columns, select

FEW = 400  # tokens up to which each has a dot of its own
HEAVY = 6.0  # largest over 90 % quantile of magnitudes from which a tail is heavy
_GUIDE = "#dddddd"
AGREEMENT_NOTE = (
    "One token's drift, positive: it gets more likely. On the line prediction and step"
    " agree. Darker: more tokens (log scale)."
)
ASINH_NOTE = (
    "Axes with powers of ten are linear near 0, logarithmic beyond (asinh): few tokens"
    " move much more than the rest."
)


@dataclass(frozen=True)
class DriftScale:
    """Where a drift lies along an axis: at itself, or at asinh(drift / width).

    Attributes:
      width: up to about where the asinh is linear, nats; None: linear everywhere.
    """

    width: float | None

    def place(self, drift: np.ndarray) -> np.ndarray:
        """Nats to axis units."""
        return drift if self.width is None else np.arcsinh(drift / self.width)


def drift_scale(drifts: np.ndarray) -> DriftScale:
    """Linear, or asinh from the median magnitude on when the tail is heavy.

    Args:
      drifts: finite, nats.
    """
    sizes = np.abs(drifts[drifts != 0])
    if sizes.size == 0 or sizes.max() <= HEAVY * np.quantile(sizes, 0.9):
        return DriftScale(None)
    return DriftScale(float(np.median(sizes)))


def plot_agreement(
    tokens: pd.DataFrame,
    *,
    loss: str | None = None,
    styles: Mapping[str, LineStyle] | None = None,
    bins: int = 34,
    ax: Axes | None = None,
) -> Axes:
    """Predicted (x) against realised (y) drift of every token under one loss.

    A dot per token, or hexagons darker with the logarithm of their count from `FEW`
    tokens on. Both axes have one scale, linear or asinh (`drift_scale`), so that the
    line where prediction and step agree is the diagonal. Under the axes stands how many
    tokens there are, and in the corner:

        r = Pearson,  slope = Σ pred·real / Σ pred²,  error = ‖real - pred‖ / ‖real‖

    Args:
      tokens: columns `loss`, `predicted`, `realised` (nats); rows in which one of the
        two is not finite are left out.
      loss: which loss; the first one by default.
      styles: from `loss_styles`, to share colours with other figures.
      bins: hexagons across the axes.
      ax: where to draw; a new figure of column width by default.
    Returns:
      The axes; its coordinates are those of the scale.
    Raises:
      GradlabError: a column is missing, or the loss is unknown.
    Example:
      >>> drifts = {"predicted": [0.1, -0.2], "realised": [0.1, -0.1]}
      >>> ax = plot_agreement(pd.DataFrame({"loss": "dpo", **drifts}))
    """
    require_columns(tokens, ("loss", "predicted", "realised"), "the tokens table")
    (name,) = loss_names(tokens, [loss] if loss is not None else None)[:1]
    points = known_drifts(tokens, name)
    color = (styles or loss_styles([name]))[name].color
    scale = drift_scale(points.ravel())
    with paper_style():
        ax = axes_or_new(ax, SINGLE_COLUMN, 2.9)
        ends = _set_square(ax, points, scale)
        _draw_points(ax, scale.place(points), ends, color, bins)
        ax.plot(ends, ends, color=INK, linewidth=0.7, zorder=3)
        ax.axhline(0, color=_GUIDE, linewidth=0.6, zorder=0)
        ax.axvline(0, color=_GUIDE, linewidth=0.6, zorder=0)
        _note_agreement(ax, points, scale, ends)
        ax.set_title(label(name, 22), parse_math=False, fontsize=7, pad=3)
        axes = "" if scale.width is None else " (asinh)"
        ax.set_xlabel(f"predicted drift (nats)\n{len(points):,} tokens{axes}")
        ax.set_ylabel("realised drift (nats)")
    return ax


def known_drifts(tokens: pd.DataFrame, loss: str) -> np.ndarray:
    """[N, 2] predicted and realised drift of the tokens of a loss that have both."""
    points = select(tokens, loss=loss)[["predicted", "realised"]].to_numpy(float)
    return points[np.isfinite(points).all(axis=1)]


def _set_square(ax: Axes, points: np.ndarray, scale: DriftScale) -> tuple[float, float]:
    """Gives both axes one range with 0 inside, and ticks; returns the range."""
    places = np.append(scale.place(points).ravel(), 0.0)
    low, high = float(places.min()), float(places.max())
    pad = 0.06 * (high - low) or 1.0
    ends = (low - pad, high + pad)
    for axis, spacing in ((ax.xaxis, 0.24), (ax.yaxis, 0.13)):
        ticks = spaced(_candidates(points), scale.place, np.array(ends), spacing)
        at = scale.place(np.array(ticks))
        axis.set_ticks(list(at), [tick_text(tick) for tick in ticks])
    ax.set_xlim(ends)
    ax.set_ylim(ends)
    ax.set_aspect("equal")
    return ends


def _candidates(points: np.ndarray) -> list[float]:
    """Ticks in order of precedence: 0, round numbers, powers of ten."""
    ticks = [0.0]
    for largest in (-points.min(initial=0.0), points.max(initial=0.0)):
        if largest > 0:
            power = 10.0 ** math.floor(math.log10(largest))
            round_ = max(n * power for n in (1, 2, 5) if n * power <= largest)
            ticks += [round_, -round_, round_ / 2, -round_ / 2]
            ticks += [s * power / 10.0**k for k in range(9) for s in (1, -1)]
    return ticks


def _draw_points(
    ax: Axes, places: np.ndarray, ends: tuple[float, float], color: str, bins: int
) -> None:
    if len(places) <= FEW:
        ax.scatter(
            places[:, 0], places[:, 1], 5, color, alpha=0.55, linewidths=0, zorder=2
        )
        return
    ax.hexbin(
        places[:, 0], places[:, 1], gridsize=bins, extent=(*ends, *ends), bins="log",
        mincnt=1, cmap=_shades(color), linewidths=0.15, zorder=2,
    )  # fmt: skip


def _shades(color: str) -> Colormap:
    """From a tint that shows on white to a dark shade of the loss's colour."""
    rgb = np.array(to_rgb(color))
    steps = [0.35 * rgb + 0.65, rgb, 0.4 * rgb]
    return LinearSegmentedColormap.from_list("gradlab_counts", steps)


def _note_agreement(
    ax: Axes, points: np.ndarray, scale: DriftScale, ends: tuple[float, float]
) -> None:
    """Writes the numbers into the emptier one of the two corners off the diagonal."""
    part = (scale.place(points) - ends[0]) / (ends[1] - ends[0])
    above = np.sum((part[:, 0] < 0.45) & (part[:, 1] > 0.55))
    below = np.sum((part[:, 0] > 0.55) & (part[:, 1] < 0.45))
    pearson, slope, error = agreement_numbers(*points.T)
    texts = [
        f"r {_fixed(pearson, 4)}", f"slope {_fixed(slope, 2)}",
        f"error {number(error)}",
    ]  # fmt: skip
    x, y, align = (0.03, 0.985, "left") if above <= below else (0.985, 0.02, "right")
    ax.text(
        x, y, "\n".join(texts), ha=align, va="top" if align == "left" else "bottom",
        transform=ax.transAxes, fontsize=6, linespacing=1.15, zorder=4,
        bbox={"facecolor": "white", "alpha": 0.6, "linewidth": 0, "pad": 0.6},
    )  # fmt: skip


def _fixed(value: float, decimals: int) -> str:
    """With all its decimals, since 1 and 0.99996 differ; plain `number` when large."""
    if not abs(value) < 100:
        return number(value)
    return f"{value:.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def agreement_numbers(
    predicted: np.ndarray, realised: np.ndarray
) -> tuple[float, float, float]:
    """Pearson correlation, slope through 0 and relative error; NaN where undefined.

    Args:
      predicted: [N] finite drifts, nats.
      realised: [N] likewise.

    Example:
      >>> found = agreement_numbers(np.array([1.0, 2.0]), np.array([2.0, 4.0]))
      >>> [round(number, 6) for number in found]
      [1.0, 2.0, 0.5]
    """
    if predicted.size == 0:
        return math.nan, math.nan, math.nan
    one, two = predicted - predicted.mean(), realised - realised.mean()
    return (
        _ratio(one @ two, math.sqrt(one @ one) * math.sqrt(two @ two)),
        _ratio(predicted @ realised, predicted @ predicted),
        _ratio(np.linalg.norm(realised - predicted), np.linalg.norm(realised)),
    )


def _ratio(above: Any, below: Any) -> float:
    return float(above / below) if below > 0 else math.nan
