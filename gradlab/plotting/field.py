"""Gradient fields of pairwise losses: arrows over the two likelihood ratios."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from gradlab.errors import GradlabError
from gradlab.plotting.pairs import loss_names
from gradlab.plotting.scales import tick_text
from gradlab.plotting.style import (
    DOUBLE_COLUMN,
    INK,
    LOWERED,
    RAISED,
    SINGLE_COLUMN,
    SMALL,
    axes_or_new,
    new_figure,
    paper_style,
)
from gradlab.plotting.text import label
from gradlab.tables import require_columns, select

COORDINATES = ("ratio", "log")
MAX_ARROWS = 15  # along each axis
FIELD_COLORS = "viridis_r"
_COMPONENTS = {
    "ratio": ("d_x_chosen", "d_x_rejected"),
    "log": ("d_h_chosen", "d_h_rejected"),
}
_NULL_STYLES = {"chosen": (RAISED, "-"), "rejected": (LOWERED, (0, (3, 1.5)))}


def plot_gradient_field(
    field: pd.DataFrame,
    lines: pd.DataFrame | None = None,
    *,
    loss: str | None = None,
    coordinates: str = "log",
    norm: Normalize | None = None,
    colorbar: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Arrows of steepest descent, -dL, over both likelihood ratios to the reference.

    All arrows have one length; colour is the gradient's magnitude, and a dot stands
    where it is 0. Both coordinates are drawn over the same logarithmic axes, so that
    the two pictures differ in nothing but the direction and the colour of the arrows.

    Args:
      field: columns `loss`, `h_chosen`, `h_rejected`, and `d_h_...` or `d_x_...`
        (`GradientField.columns`).
      lines: columns `loss`, `side`, `line`, `h_chosen`, `h_rejected`
        (`GradientField.null_columns`); None or no rows: none are drawn.
      loss: which loss; the first one by default.
      coordinates: "log" for dL/d log-ratio, "ratio" for dL/d ratio.
      norm: of the colours, to share them with other axes.
      colorbar: draw a colour bar above the axes.
      ax: where to draw; a new figure of column width by default.
    Returns:
      The axes.
    Raises:
      GradlabError: a column is missing, the loss or the coordinates are unknown, or
        the points are no full grid.
    Example:
      >>> h = np.linspace(-2, 2, 5)
      >>> grid = np.stack(np.meshgrid(h, h)).reshape(2, -1)
      >>> rows = {"h_chosen": grid[0], "h_rejected": grid[1]}
      >>> table = pd.DataFrame({"loss": "dpo", **rows, "d_h_chosen": -1.0})
      >>> ax = plot_gradient_field(table.assign(d_h_rejected=1.0))
    """
    if coordinates not in COORDINATES:
        raise GradlabError(
            f"coordinates={coordinates!r}; expected one of {', '.join(COORDINATES)}"
        )
    names = ("h_chosen", "h_rejected", *_COMPONENTS[coordinates])
    require_columns(field, ("loss", *names), "the table of the field")
    (name,) = loss_names(field, [loss] if loss is not None else None)[:1]
    axes, arrows = _grid(select(field, loss=name), names)
    with paper_style():
        ax = axes_or_new(ax, SINGLE_COLUMN, 3.1)
        norm = norm or magnitude_norm(arrows)
        _draw_arrows(ax, axes, arrows, norm)
        if lines is not None and len(lines):
            _draw_lines(ax, lines, name)
        _set_axes(ax, axes)
        symbol = "∂L/∂ log x" if coordinates == "log" else "∂L/∂x"
        title = f"{label(name, 24)}, {coordinates} coordinates: −{symbol}"
        ax.set_title(title, parse_math=False, fontsize=7, pad=3)
        if colorbar:
            _add_bar(ax, norm, symbol)
    return ax


def plot_gradient_fields(
    field: pd.DataFrame, lines: pd.DataFrame | None = None, *, loss: str | None = None
) -> Figure:
    """One loss in ratio and in log coordinates, side by side.

    Args:
      field: as in `plot_gradient_field`, with both kinds of gradients.
      lines: likewise; their legend stands below.
      loss: which loss; the first one by default.
    Returns:
      A figure of page width.
    """
    with paper_style():
        legend = lines is not None and len(lines) > 0
        figure = new_figure(DOUBLE_COLUMN, 3.35 if legend else 3.05)
        panels = figure.subplots(1, 2, sharey=True)
        for ax, coordinates in zip(panels, COORDINATES, strict=True):
            plot_gradient_field(field, lines, loss=loss, coordinates=coordinates, ax=ax)
        panels[1].set_ylabel("")
        if lines is not None and legend:
            _add_legend(figure, lines)
    return figure


def _grid(
    rows: pd.DataFrame, names: tuple[str, ...]
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Both axes, thinned to `MAX_ARROWS`, and the components [2, rejected, chosen]."""
    chosen, rejected = (np.unique(rows[name].to_numpy(float)) for name in names[:2])
    if len(rows) != len(chosen) * len(rejected):
        raise GradlabError(
            f"the table of the field has {len(rows)} points; expected a full grid of "
            f"{len(chosen)} h_chosen by {len(rejected)} h_rejected"
        )
    ordered = rows.sort_values(["h_rejected", "h_chosen"])
    shape = (len(rejected), len(chosen))
    parts = [ordered[n].to_numpy(float).reshape(shape) for n in names[2:]]
    skip = [math.ceil(len(axis) / MAX_ARROWS) for axis in (chosen, rejected)]
    thinned = np.stack(parts)[:, :: skip[1], :: skip[0]]
    return (chosen[:: skip[0]], rejected[:: skip[1]]), thinned


def magnitude_norm(arrows: np.ndarray) -> Normalize:
    """A scale for the lengths of arrows [2, ...]: logarithmic where they differ.

    At most eight decades are shown; whatever is smaller has the colour of the end.
    """
    sizes = np.hypot(*arrows)
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    if sizes.size == 0:
        return Normalize(0, 1, clip=True)
    high = float(sizes.max())
    low = max(float(sizes.min()), high * 1e-8)
    if high / low < 1.5:
        return Normalize(0, high, clip=True)
    return LogNorm(low, high, clip=True)


def _draw_arrows(ax: Axes, axes, arrows: np.ndarray, norm: Normalize) -> None:
    x, y = np.meshgrid(np.exp(axes[0]), np.exp(axes[1]))
    size = np.hypot(*arrows)
    moving = size > 0
    unit = -arrows / np.where(moving, size, 1)  # descent
    ax.quiver(
        x[moving], y[moving], unit[0][moving], unit[1][moving], size[moving],
        cmap=FIELD_COLORS, norm=norm, pivot="mid", angles="uv", units="width",
        scale=1.25 * len(axes[0]), width=0.006, headwidth=3.6, headlength=4.2,
        headaxislength=3.8, zorder=2,
    )  # fmt: skip
    ax.plot(x[~moving], y[~moving], ".", color="#bbbbbb", markersize=2, zorder=2)


def _draw_lines(ax: Axes, lines: pd.DataFrame, name: str) -> None:
    names = ("loss", "side", "line", "h_chosen", "h_rejected")
    require_columns(lines, names, "the table of null lines")
    for _, line in select(lines, loss=name).groupby(["side", "line"]):
        color, dashes = _NULL_STYLES[line["side"].iloc[0]]
        x, y = np.exp(line["h_chosen"]), np.exp(line["h_rejected"])
        # White below: the line stays visible across the arrows.
        ax.plot(x, y, color="white", linewidth=2.6, zorder=3)
        ax.plot(x, y, color=color, linestyle=dashes, linewidth=1.4, zorder=4)


def _set_axes(ax: Axes, axes) -> None:
    ax.set_xscale("log")
    ax.set_yscale("log")
    for axis, values, set_limits in (
        (ax.xaxis, axes[0], ax.set_xlim),
        (ax.yaxis, axes[1], ax.set_ylim),
    ):
        margin = 0.6 * (values[-1] - values[0]) / max(len(values) - 1, 1)
        set_limits(math.exp(values[0] - margin), math.exp(values[-1] + margin))
        axis.set_major_formatter(FuncFormatter(lambda value, _: tick_text(value)))
        axis.set_minor_locator(NullLocator())
    ax.set_aspect("equal")
    corner = np.exp([max(a[0] for a in axes), min(a[-1] for a in axes)])
    ax.plot(corner, corner, color=INK, linewidth=0.5, alpha=0.35, zorder=1)
    ax.set_xlabel("x chosen = π / π ref")
    ax.set_ylabel("x rejected = π / π ref")


def _add_bar(ax: Axes, norm: Normalize, symbol: str) -> None:
    figure = ax.get_figure()
    if figure is None:
        return
    bar = figure.colorbar(
        ScalarMappable(norm, FIELD_COLORS), ax=ax, shrink=0.75, aspect=24, pad=0.02
    )
    bar.set_label(f"|{symbol}|", fontsize=SMALL)
    bar.outline.set_linewidth(0.4)  # pyright: ignore
    bar.ax.tick_params(labelsize=SMALL, length=1.5, width=0.4)
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: tick_text(v)))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    low, high = float(norm.vmin or 0), float(norm.vmax or 1)
    if isinstance(norm, LogNorm) and high / low < 100:  # room for one decade at most
        bar.set_ticks([low, math.sqrt(low * high), high])


def _add_legend(figure: Figure, lines: pd.DataFrame) -> None:
    shown = [side for side in _NULL_STYLES if side in set(lines["side"])]
    handles = [
        Line2D([], [], color=_NULL_STYLES[s][0], linestyle=_NULL_STYLES[s][1])
        for s in shown
    ]
    names = [f"the push on the {side} side changes its sign" for side in shown]
    figure.legend(handles, names, loc="outside lower center", ncols=2)
