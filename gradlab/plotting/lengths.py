"""The set of figures that an analysis of length shows, from its two tables."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from gradlab.plotting.estimates import ROW, plot_estimates
from gradlab.plotting.lengthmaps import length_maps_figure
from gradlab.plotting.pairs import loss_names
from gradlab.plotting.style import (
    DOUBLE_COLUMN,
    MUTED,
    LineStyle,
    axes_or_new,
    loss_styles,
    new_figure,
    paper_style,
)
from gradlab.plotting.text import number
from gradlab.plotting.trends import group_handles
from gradlab.tables import require_columns, select

FIGURES = ("weights", "correlations", "maps")
PAIR_COLUMNS = (
    "loss", "pair", "length_chosen", "length_rejected", "weight_chosen",
    "weight_rejected", "mass_chosen", "mass_rejected",
)  # fmt: skip
BINS = 8  # of length, of about equal numbers of responses
CELLS = 6  # of a map, along each axis
MAPS = 12  # panels
PANELS = {
    "total weight\nand length": {"": "rho_mass_length"},
    "margin and\nlength difference": {"": "rho_margin", "given": "rho_margin_partial"},
    "|slope| and\nlength difference": {"": "rho_slope", "given": "rho_slope_partial"},
}


def length_figures(
    pairs: pd.DataFrame,
    summary: pd.DataFrame,
    *,
    losses: Sequence[str] | None = None,
    styles: Mapping[str, LineStyle] | None = None,
) -> dict[str, Figure]:
    """All figures of one analysis of length, by name.

    Args:
      pairs: one row per loss and pair.
      summary: one row per loss.
      losses: which, in order; those of the summary by default.
      styles: from `loss_styles`, to share colours with further figures.
    Returns:
      weights: weight per token, and total weight, against a response's length;
      correlations: rank correlations with length, with their intervals;
      maps: which side weighs more, over the two lengths, one panel per loss.
    Raises:
      GradlabError: a table lacks a column or a loss.
    """
    require_columns(pairs, PAIR_COLUMNS, "the pairs table")
    needed = [column for panel in PANELS.values() for column in panel.values()]
    require_columns(summary, needed, "the summary table")
    names = loss_names(summary, losses)
    loss_names(pairs, names)
    styles = styles or loss_styles(names)
    with paper_style():
        return {
            "weights": weights_figure(pairs, names, styles),
            "correlations": correlations_figure(summary, names),
            "maps": maps_figure(pairs, names),
        }


def weights_figure(
    pairs: pd.DataFrame, losses: Sequence[str], styles: Mapping[str, LineStyle]
) -> Figure:
    """Weight per token at the left and of the whole response at the right."""
    fig = new_figure(DOUBLE_COLUMN, 2.3 + 0.1 * max(0, len(losses) - 12))
    panels = list(fig.subplots(1, 2))
    for ax, what in zip(panels, ("weight", "mass"), strict=True):
        plot_length_profile(pairs, what=what, losses=losses, styles=styles, ax=ax)
    fig.legend(*group_handles(losses, styles), loc="outside right center")
    return fig


def plot_length_profile(
    pairs: pd.DataFrame,
    *,
    what: str = "weight",
    losses: Sequence[str] | None = None,
    styles: Mapping[str, LineStyle] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Mean weight of the responses of about one length, over the loss's own mean.

    Args:
      pairs: a pairs table.
      what: "weight" for |w| per token, "mass" for its sum.
      losses: which, in order; all by default.
      styles: from `loss_styles`, to share colours with other figures.
      ax: where to draw; a new figure of page width by default.
    Returns:
      The axes, both of them logarithmic; lines of losses without weight are left out.
    Raises:
      GradlabError: a column is missing, or a loss is unknown.
    Example:
      >>> rows = {"loss": "dpo", "pair": [0, 1]}
      >>> for side in ("chosen", "rejected"):
      ...     rows |= {f"length_{side}": [2, 8], f"weight_{side}": 0.1}
      ...     rows |= {f"mass_{side}": [0.2, 0.8]}
      >>> ax = plot_length_profile(pd.DataFrame(rows))
    """
    require_columns(pairs, PAIR_COLUMNS, "the pairs table")
    names = loss_names(pairs, losses)
    styles = styles or loss_styles(names)
    with paper_style():
        ax = axes_or_new(ax, DOUBLE_COLUMN * 0.7, 2.3)
        ax.axhline(1, color=MUTED, linewidth=0.6, zorder=0)
        for name in names:
            own, style = select(pairs, loss=name), styles[name]
            length, value = (_both(own, quantity) for quantity in ("length", what))
            length, value = length[value > 0], value[value > 0]
            if len(value):
                at, mean = _profile(length, value / value.mean())
                ax.plot(
                    at, mean, color=style.color, linestyle=style.dashes, linewidth=1,
                    marker=style.marker, markersize=3,
                )  # fmt: skip
        ax.set_xscale("log")
        ax.set_yscale("log")
        for axis in (ax.xaxis, ax.yaxis):  # lengths may span less than a decade
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(lambda x, _: number(x))
            axis.set_minor_locator(NullLocator())
        ax.set_xlabel("tokens in the response")
        ax.set_ylabel(
            "|w| per token / its mean" if what == "weight" else "Σ|w| / its mean"
        )
    return ax


def _both(own: pd.DataFrame, quantity: str) -> np.ndarray:
    columns = [f"{quantity}_chosen", f"{quantity}_rejected"]
    return own[columns].to_numpy(float).ravel()


def _profile(length: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean lengths and values of up to `BINS` bins that hold about as many each."""
    edges = np.unique(np.quantile(length, np.linspace(0, 1, BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, length, side="left")
    used = np.unique(bins)
    means = [(length[bins == b].mean(), value[bins == b].mean()) for b in used]
    at, mean = np.array(means).T
    return at, mean


def correlations_figure(summary: pd.DataFrame, losses: Sequence[str]) -> Figure:
    """A panel per quantity, a row per loss; hollow series: given the token gap."""
    fig = new_figure(DOUBLE_COLUMN, ROW * len(losses) + 0.95)
    axes = fig.subplots(1, len(PANELS), sharey=True)
    names = {"": "plain", "given": "given the sides' difference per token"}
    styles = dict(zip(names, loss_styles(names).values(), strict=True))
    for ax, (title, columns) in zip(axes, PANELS.items(), strict=True):
        parts = [
            pd.DataFrame(
                {
                    "row": summary["loss"],
                    "series": series,
                    "value": summary[column],
                    "low": summary[f"{column}_low"],
                    "high": summary[f"{column}_high"],
                }
            )
            for series, column in columns.items()
        ]
        plot_estimates(
            pd.concat(parts), rows=losses, series=list(columns), styles=styles, ax=ax
        )
        ax.set_xlim(-1.08, 1.08)
        ax.set_xticks([-1, -0.5, 0, 0.5, 1], ["−1", "−½", "0", "½", "1"])
        ax.set_title(title, fontsize=7, loc="center")
    axes[1].set_xlabel("rank correlation, 95 % bootstrap interval over pairs")
    handles, _ = group_handles(list(names), styles)
    for handle in handles:
        handle.set_linestyle("")
    fig.legend(handles, list(names.values()), loc="outside lower center", ncols=2)
    return fig


def maps_figure(pairs: pd.DataFrame, losses: Sequence[str]) -> Figure:
    """Up to `MAPS` losses: log2 of the sides' total weights over (L_w, L_l).

    Losses that put no weight on a side are left out.
    """
    cells = {loss: _cells(select(pairs, loss=loss)) for loss in losses}
    known = [loss for loss in losses if np.isfinite(cells[loss]["value"]).any()]
    maps = {loss: cells[loss] for loss in (known or losses)[:MAPS]}
    return length_maps_figure(maps, value="log₂ of Σ|w| chosen / rejected")


def _cells(own: pd.DataFrame) -> pd.DataFrame:
    """Median log2 mass ratio in cells of length, named by their bins' medians."""
    lengths = _both(own, "length")
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, CELLS + 1)[1:-1]))
    bins = np.searchsorted(edges, lengths, side="left")
    middle = {b: float(np.median(lengths[bins == b])) for b in np.unique(bins)}
    bins = bins.reshape(-1, 2)
    one, two = (own[f"mass_{side}"].to_numpy(float) for side in ("chosen", "rejected"))
    known = (one > 0) & (two > 0)
    ratio = np.log2(np.where(known, one, np.nan) / np.where(known, two, np.nan))
    table = pd.DataFrame(
        {
            "length_chosen": [middle[b] for b in bins[:, 0]],
            "length_rejected": [middle[b] for b in bins[:, 1]],
            "value": ratio,
        }
    )
    keys = ["length_chosen", "length_rejected"]
    return table.groupby(keys).median().reset_index()
