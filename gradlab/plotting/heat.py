"""A heat strip over the text: both responses as lines of boxes coloured by weight."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize, to_rgb

from gradlab.plotting.pairs import SIDES, SideTokens, loss_names, side_tokens
from gradlab.plotting.scales import describe, norm_ticks, tick_text, weight_norm
from gradlab.plotting.style import (
    DOUBLE_COLUMN,
    INK,
    MUTED,
    SMALL,
    axes_or_new,
    paper_style,
)
from gradlab.plotting.text import MONO, cut, label, visible

# Blue raises, red lowers, white does nothing; the ends are those of the palette.
WEIGHT_COLORS: Colormap = LinearSegmentedColormap.from_list(
    "gradlab_weights", ["#0b3c5d", "#0072B2", "#ffffff", "#D55E00", "#6b2300"]
)
MISSING_COLOR = "#d9d9d9"
_ADVANCE = 0.602  # width of a character of the monospaced font, in ems
_ROW = 1.45  # height of a line, in ems


@dataclass(frozen=True)
class _Box:
    row: int
    column: int
    text: str
    token: int


def _columns(width: float, size: float = SMALL) -> int:
    """Characters of the monospaced font that fit into so many inches."""
    return max(12, int(width * 72 / (_ADVANCE * size)))


def _wrap(texts: Sequence[str], columns: int, rows: int) -> tuple[list[_Box], int]:
    """Places token texts on lines; also tells for how many `rows` lines lack room."""
    boxes: list[_Box] = []
    row = column = 0
    for token, text in enumerate(texts):
        if column and column + len(text) > columns:
            row, column = row + 1, 0
        if row == rows:
            break
        boxes.append(_Box(row, column, text, token))
        column += len(text)
    while boxes and len(boxes) < len(texts) and boxes[-1].row == rows - 1:
        end = boxes[-1].column + len(boxes[-1].text)
        if end + len(_more(len(texts) - len(boxes))) <= columns:
            break
        boxes.pop()  # makes room for the mark on the last line
    return boxes, len(texts) - len(boxes)


def _more(count: int) -> str:
    return f" … (+{count} tokens)"


def _box_text(text: str, columns: int) -> str:
    blank = not text.strip(" ")
    shown = visible(text or "\0", family=MONO, spaces=blank)
    return cut(shown, min(24, columns))


def heat_height(tokens: pd.DataFrame, width: float, max_rows: int = 12) -> float:
    """Inches that `plot_token_heat` needs for one loss in so many inches of width."""
    losses, columns, rows = loss_names(tokens)[:1], _columns(width), 0
    for side in SIDES:
        texts = side_tokens(tokens, side, losses).texts
        boxes, _ = _wrap([_box_text(t, columns) for t in texts], columns, max_rows)
        rows += 1 + (boxes[-1].row + 1 if boxes else 1)
    return (rows + 0.4) * _ROW * SMALL / 72 + 0.22


def plot_token_heat(
    tokens: pd.DataFrame,
    *,
    loss: str | None = None,
    norm: Normalize | None = None,
    max_rows: int = 12,
    colorbar: bool = True,
    width: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Both responses as wrapped lines of token boxes, coloured by dL/dlogp.

    White is 0, blue (w < 0) means that a gradient step raises the token, red that it
    lowers it; grey is a weight that is not finite. Both sides share the scale. The
    first token that differs is outlined; since the tokens before it are the same, the
    two texts are aligned up to it. Text that takes more than `max_rows` lines ends in
    "… (+n tokens)".

    Args:
      tokens: rows of one pair of the tokens table.
      loss: which loss; the first one by default.
      norm: scale from `weight_norm`, to share it with other axes.
      max_rows: lines of each response at most.
      colorbar: draw the colour bar under the axes.
      width: inches that the text may take; by default those of `ax` at present.
      ax: where to draw; a new figure of page width by default.
    Returns:
      The axes.
    Raises:
      GradlabError: not a tokens table of one pair, or an unknown loss.
    """
    (name,) = loss_names(tokens, [loss] if loss is not None else None)[:1]
    sides = [side_tokens(tokens, side, [name]) for side in SIDES]
    norm = norm or weight_norm(np.concatenate([s.weights[0] for s in sides]))
    with paper_style():
        if ax is None:
            height = heat_height(tokens, 0.97 * DOUBLE_COLUMN, max_rows)
            ax = axes_or_new(None, DOUBLE_COLUMN, height + 0.55 * colorbar)
            width = 0.97 * DOUBLE_COLUMN
        columns, row = _columns(width or _width(ax)), 0.0
        for side, data in zip(SIDES, sides, strict=True):
            ax.text(0, row + 0.5, side, va="center", fontsize=SMALL, fontweight="bold")
            row = _draw_side(ax, data, norm, columns, row + 1, max_rows) + 0.4
        ax.set_xlim(0, columns)
        ax.set_ylim(row - 0.3, 0)
        ax.set_axis_off()
        ax.set_title(label(name), pad=2, parse_math=False)
        if colorbar:
            add_colorbar(ax, norm)
    return ax


def _width(ax: Axes) -> float:
    return ax.get_position().width * ax.figure.bbox.width / ax.figure.dpi


def _draw_side(
    ax: Axes,
    data: SideTokens,
    norm: Normalize,
    columns: int,
    top: float,
    max_rows: int,
) -> float:
    """Draws one response with its first line at `top`; returns where it ends."""
    texts = [_box_text(text, columns) for text in data.texts]
    boxes, missing = _wrap(texts, columns, max_rows)
    colors = [_color(data.weights[0, box.token], norm) for box in boxes]
    corners = [
        [
            (box.column + dx * len(box.text), top + box.row + dy)
            for dx, dy in ((0, 0.04), (1, 0.04), (1, 0.96), (0, 0.96))
        ]
        for box in boxes
    ]
    ax.add_collection(
        PolyCollection(corners, facecolors=colors, edgecolors="#c8c8c8", linewidths=0.3)
    )
    marked = [
        c for box, c in zip(boxes, corners, strict=True) if box.token == data.first
    ]
    ax.add_collection(
        PolyCollection(marked, facecolors="none", edgecolors=INK, linewidths=1.2)
    )
    for box, color in zip(boxes, colors, strict=True):
        blank = len(box.text) - len(box.text.lstrip(" "))
        body = box.text.strip(" ")
        _write(ax, box.column + blank + len(body) / 2, top + box.row, body, _ink(color))
    last = boxes[-1] if boxes else _Box(0, 0, "", 0)
    if missing:
        ax.text(
            last.column + len(last.text), top + last.row + 0.5, _more(missing),
            family=MONO, fontsize=SMALL, color=MUTED, va="center",
        )  # fmt: skip
    return top + last.row + 1


def _write(ax: Axes, x: float, row: float, text: str, color: str) -> None:
    # On the baseline, not centred: the letters of a line stand level.
    ax.text(
        x, row + 0.7, text, family=MONO, fontsize=SMALL, color=color, ha="center",
        va="baseline", parse_math=False,
    )  # fmt: skip


def _color(weight: float, norm: Normalize) -> tuple[float, float, float, float] | str:
    return WEIGHT_COLORS(float(norm(weight))) if np.isfinite(weight) else MISSING_COLOR


def _ink(color: tuple[float, float, float, float] | str) -> str:
    """Black or white, whichever stands out more on that colour (WCAG 2 contrast)."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return "#000000" if linear @ (0.2126, 0.7152, 0.0722) > 0.179 else "#ffffff"


def add_colorbar(place: Axes | Sequence[Axes], norm: Normalize) -> Colorbar:
    """A horizontal colour bar under the axes, with the scale and its signs in words."""
    axes = [place] if isinstance(place, Axes) else list(place)
    bar = axes[0].figure.colorbar(
        ScalarMappable(norm, WEIGHT_COLORS), ax=axes, location="bottom", aspect=60,
        shrink=0.7, pad=0.02, fraction=0.05,
    )  # fmt: skip
    ticks = norm_ticks(norm)
    bar.set_ticks(ticks, labels=[tick_text(t) for t in ticks])
    bar.ax.minorticks_off()
    bar.outline.set_linewidth(0.5)
    bar.set_label(
        f"∂L/∂log p per token ({describe(norm)})   blue: a step raises the token,"
        " red: lowers it;   outlined: first difference",
        fontsize=SMALL,
    )
    return bar
