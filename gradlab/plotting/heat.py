"""A heat strip over the text: both responses as lines of boxes coloured by weight."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import (
    Colormap,
    LinearSegmentedColormap,
    Normalize,
    SymLogNorm,
)

from gradlab.plotting.pairs import SIDES, SideTokens, loss_names, side_tokens
from gradlab.plotting.scales import norm_ticks, tick_text, weight_norm
from gradlab.plotting.style import (
    DOUBLE_COLUMN,
    INK,
    MUTED,
    SMALL,
    axes_or_new,
    paper_style,
)
from gradlab.plotting.text import MONO, cut, label, visible

# Blue raises, orange lowers, white does nothing: the palette's two colours, lightened
# so that black text stands out on every shade.
WEIGHT_COLORS: Colormap = LinearSegmentedColormap.from_list(
    "gradlab_weights", ["#3d94c8", "#ffffff", "#e07b2e"]
)
MISSING_COLOR = "#d9d9d9"
_ADVANCE = 0.602  # width of a character of the monospaced font, in ems
_ROW = 1.45  # height of a line, in ems
_HEAD, _GAP = 1.0, 0.35  # height of the head and of the gap under a side, in lines
HEAT_NOTE = (
    "Blue: a gradient step raises the token; orange: it lowers it; outlined: the first"
    " token that differs. Both sides of a loss share its scale."
)


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
    return (rows + _HEAD + 2 * _GAP) * _ROW * SMALL / 72


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

    White is 0, blue (w < 0) means that a gradient step raises the token, orange that it
    lowers it; grey is a weight that is not finite. Both sides share the scale. The
    first token that differs is outlined; since the tokens before it are the same, the
    two texts are aligned up to it. Text that takes more than `max_rows` lines ends in
    "… (+n tokens)".

    Args:
      tokens: rows of one pair of the tokens table.
      loss: which loss; the first one by default.
      norm: scale from `weight_norm`, to share it with other axes.
      max_rows: lines of each response at most.
      colorbar: draw a small colour bar in the head of the axes.
      width: inches that the text may take; by default those of `ax` at present.
      ax: where to draw; a new figure of page width by default.
    Returns:
      The axes.
    Raises:
      GradlabError: not a tokens table of one pair, or an unknown loss.
    Example:
      >>> keys = {"pair": 0, "side": ["chosen", "rejected"], "position": 0}
      >>> rows = {"token": [" yes", " no"], "region": "first", "weight": [-1, 1]}
      >>> ax = plot_token_heat(pd.DataFrame({"loss": "dpo", **keys, **rows}))
    """
    (name,) = loss_names(tokens, [loss] if loss is not None else None)[:1]
    sides = [side_tokens(tokens, side, [name]) for side in SIDES]
    norm = norm or weight_norm(np.concatenate([s.weights[0] for s in sides]))
    with paper_style():
        if ax is None:
            width = 0.96 * DOUBLE_COLUMN
            height = heat_height(tokens, width, max_rows)
            ax = axes_or_new(None, DOUBLE_COLUMN, height + 0.05)
        columns, row = _columns(width or _width(ax)), _HEAD
        ax.text(0, 0.7, label(name), fontsize=8, va="baseline", parse_math=False)
        for side, data in zip(SIDES, sides, strict=True):
            ax.text(0, row + 0.7, side, fontsize=SMALL, color=MUTED, va="baseline")
            row = _draw_side(ax, data, norm, columns, row + 1, max_rows) + _GAP
        ax.set_xlim(0, columns)
        ax.set_ylim(row, 0)
        ax.set_axis_off()
        if colorbar:
            _add_bar(ax, norm, row)
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
    for box in boxes:
        blank = len(box.text) - len(box.text.lstrip(" "))
        body = box.text.strip(" ")
        _write(ax, box.column + blank + len(body) / 2, top + box.row, body)
    last = boxes[-1] if boxes else _Box(0, 0, "", 0)
    if missing:
        ax.text(
            last.column + len(last.text), top + last.row + 0.5, _more(missing),
            family=MONO, fontsize=SMALL, color=MUTED, va="center",
        )  # fmt: skip
    return top + last.row + 1


def _write(ax: Axes, x: float, row: float, text: str) -> None:
    # On the baseline, not centred: the letters of a line stand level.
    ax.text(
        x, row + 0.7, text, family=MONO, fontsize=SMALL, color="black", ha="center",
        va="baseline", parse_math=False,
    )  # fmt: skip


def _color(weight: float, norm: Normalize) -> tuple[float, float, float, float] | str:
    return WEIGHT_COLORS(float(norm(weight))) if np.isfinite(weight) else MISSING_COLOR


def _add_bar(ax: Axes, norm: Normalize, rows: float) -> None:
    """A small colour bar in the head of an axes that is so many rows high."""
    bar = ax.inset_axes((0.63, 1 - 0.62 / rows, 0.33, 0.5 / rows))
    colors = np.linspace(0, 1, 256)[None]
    bar.imshow(colors, WEIGHT_COLORS, extent=(0, 1, 0, 1), aspect="auto")
    ticks = norm_ticks(norm, most=2)
    places = np.ma.getdata(norm(np.array(ticks)))
    bar.set_xticks(places, [tick_text(t) for t in ticks], fontsize=SMALL - 0.5)
    bar.tick_params(axis="x", length=1.5, width=0.4, pad=0.8)
    bar.set_yticks([])
    bar.spines[:].set(visible=True, linewidth=0.4)
    kind = "symlog" if isinstance(norm, SymLogNorm) else "linear"
    bar.annotate(
        f"∂L/∂log p ({kind})", (0, 0.5), (-7, 0), xycoords="axes fraction", ha="right",
        textcoords="offset points", va="center", fontsize=SMALL - 0.5,
    )  # fmt: skip
