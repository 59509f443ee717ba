"""Weight against probability: closed-form penalty curves and what the data shows."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gradlab.errors import GradlabError
from gradlab.plotting.pairs import loss_names
from gradlab.plotting.scales import (
    finite,
    log_odds,
    set_probability_axis,
    set_weight_axis,
)
from gradlab.plotting.style import (
    DOUBLE_COLUMN,
    INK,
    MUTED,
    SINGLE_COLUMN,
    LineStyle,
    axes_or_new,
    loss_styles,
    paper_style,
)
from gradlab.plotting.text import label
from gradlab.tables import require_columns, select

MAX_POINTS = 600  # dots of one loss in a scatter plot


def plot_penalty_curves(
    curves: pd.DataFrame,
    *,
    losses: Sequence[str] | None = None,
    styles: Mapping[str, LineStyle] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Weight of a token against its probability, one curve per loss.

    The x axis is in log-odds, so that unlikelihood's p / (1 - p) is a straight line on
    a log y axis. With zeros or negative weights the y axis is symlog.

    Args:
      curves: columns `loss`, `weight` (dL/dlogp), and `p` or `logp`; with `low` and
        `high` a band is drawn.
      losses: which, in order; all by default.
      styles: from `loss_styles`, to share colours with other figures.
      ax: where to draw; a new figure of page width by default.
    Returns:
      The axes, with a legend at its right.
    Raises:
      GradlabError: a column is missing, or a loss is unknown.
    Example:
      >>> p = np.linspace(0.01, 0.99, 50)
      >>> odds = pd.DataFrame({"loss": "unlikelihood", "p": p, "weight": p / (1 - p)})
      >>> ax = plot_penalty_curves(odds)
    """
    names = loss_names(_with_odds(curves), losses)
    rows = _with_odds(curves)
    rows = select(rows, loss=names)
    styles = styles or loss_styles(names)
    with paper_style():
        ax = axes_or_new(ax, DOUBLE_COLUMN * 0.72, 2.4)
        for number, name in enumerate(names):
            curve = select(rows, loss=name).sort_values("odds")
            _draw_curve(ax, curve, styles[name], number, len(names))
        set_probability_axis(ax.xaxis, rows["odds"])
        set_weight_axis(ax, rows["weight"])
        ax.axhline(0, color=MUTED, linewidth=0.6, zorder=0)
        ax.set_xlabel("probability of the token (log-odds scale)")
        ax.set_ylabel("weight ∂L/∂log p")
        add_loss_legend(ax, names, styles)
    return ax


def _with_odds(table: pd.DataFrame) -> pd.DataFrame:
    by = "logp" if "logp" in table.columns else "p"
    require_columns(table, ("loss", by, "weight"), "the table of curves")
    logp = table[by].to_numpy(float)
    if by == "p":
        logp = np.log(np.maximum(logp, 1e-300))
    if (logp > 1e-6).any():
        raise GradlabError(f"the column {by} holds a probability above 1")
    return table.assign(odds=log_odds(logp))


def _draw_curve(
    ax: Axes,
    curve: pd.DataFrame,
    style: LineStyle,
    number: int,
    count: int,
    x: str = "odds",
) -> None:
    # Curves of different losses may coincide: markers at staggered places show both.
    step = max(len(curve) // 5, 1)
    ax.plot(
        curve[x], curve["weight"], color=style.color, linestyle=style.dashes,
        marker=style.marker, markevery=(number * step // max(count, 1), step),
    )  # fmt: skip
    if {"low", "high"} <= set(curve.columns):
        band = {"color": style.color, "alpha": 0.15, "linewidth": 0}
        ax.fill_between(curve[x], curve["low"], curve["high"], **band)


def add_loss_legend(
    ax: Axes, names: Sequence[str], styles: Mapping[str, LineStyle]
) -> None:
    """A legend right of the axes with each loss's colour, dashes and marker."""
    handles = [
        Line2D([], [], color=s.color, linestyle=s.dashes, marker=s.marker)
        for s in (styles[name] for name in names)
    ]
    legend = ax.legend(
        handles, [label(name, 24) for name in names], loc="upper left",
        bbox_to_anchor=(1.01, 1.03), borderaxespad=0, labelspacing=0.35,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)


def plot_penalty_scatter(
    tokens: pd.DataFrame,
    *,
    loss: str | None = None,
    side: str = "rejected",
    styles: Mapping[str, LineStyle] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Weight against probability of real tokens under one loss, a dot per token.

    Args:
      tokens: a tokens table of any number of pairs; needs `logp`.
      loss: which loss; the first one by default.
      side: "rejected" or "chosen".
      styles: from `loss_styles`, to share colours with other figures.
      ax: where to draw; a new figure of column width by default.
    Returns:
      The axes. At most `MAX_POINTS` dots, taken at equal distances in the table.
    Raises:
      GradlabError: a column is missing, a loss is unknown, or the side has no tokens.
    Example:
      >>> rows = {"loss": "exmate", "side": "rejected", "logp": [-1.0, -2.0]}
      >>> tokens = pd.DataFrame(rows).assign(weight=lambda t: np.exp(t["logp"]))
      >>> ax = plot_penalty_scatter(tokens, loss="exmate")
    """
    require_columns(tokens, ("loss", "side", "logp", "weight"), "the tokens table")
    (name,) = loss_names(tokens, [loss] if loss is not None else None)[:1]
    rows = select(tokens, loss=name, side=side)
    if rows.empty:
        raise GradlabError(f"the tokens table has no {side} tokens for {name!r}")
    rows = _with_odds(rows.iloc[:: -(-len(rows) // MAX_POINTS)])
    style = (styles or loss_styles([name]))[name]
    with paper_style():
        ax = axes_or_new(ax, SINGLE_COLUMN, 2.2)
        ax.scatter(
            rows["odds"], rows["weight"], 3, style.color, alpha=0.45, linewidths=0,
            rasterized=True, zorder=2,
        )  # fmt: skip
        ax.axhline(0, color=MUTED, linewidth=0.6, zorder=1)
        set_probability_axis(ax.xaxis, finite(rows["odds"]))
        set_weight_axis(ax, rows["weight"])
        ax.set_title(label(name, 24), parse_math=False, fontsize=7, pad=2)
        ax.set_xlabel(f"probability of the {side} token")
        ax.set_ylabel("∂L/∂log p")
    return ax


def plot_net_weight(
    curves: pd.DataFrame,
    *,
    losses: Sequence[str] | None = None,
    styles: Mapping[str, LineStyle] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Net weight of a token that both responses share, against its probability.

    The sum of the chosen and the rejected weight of a common-prefix token: below 0 a
    gradient step raises it, above it lowers it. A ring marks each change of sign.

    Args:
      curves: columns `loss`, `weight` (the net weight), and `p` or `logp`.
      losses: which, in order; all by default.
      styles: from `loss_styles`, to share colours with other figures.
      ax: where to draw; a new figure of page width by default.
    Returns:
      The axes, with a legend at its right.
    Raises:
      GradlabError: a column is missing, or a loss is unknown.
    Example:
      >>> p = np.linspace(0.01, 0.99, 50)
      >>> net = pd.DataFrame({"loss": "exmate", "p": p, "weight": p - 1})
      >>> ax = plot_net_weight(net)
    """
    with paper_style():
        ax = plot_penalty_curves(curves, losses=losses, styles=styles, ax=ax)
        rows = _with_odds(curves)
        for name in loss_names(curves, losses):
            curve = select(rows, loss=name).sort_values("odds")
            odds, weight = np.asarray(curve["odds"]), np.asarray(curve["weight"], float)
            for place in _sign_changes(odds, weight):
                ax.plot(place, 0, "o", ms=7, mfc="none", mec=INK, mew=0.9, zorder=5)
        known = finite(rows["weight"])
        if known.size and known.min() < 0:  # linear where the signs compete
            set_weight_axis(ax, known, threshold=-known.min())
        ax.set_xlabel("probability of the shared token (log-odds scale)")
        ax.set_ylabel("net weight, chosen + rejected")
    return ax


def _sign_changes(x: np.ndarray, y: np.ndarray) -> list[float]:
    """Where y crosses 0 for good: at its zeros, or linear between its neighbours."""
    places = []
    nonzero = np.flatnonzero(y)
    for i, j in itertools.pairwise(nonzero):
        if y[i] * y[j] < 0:
            part = y[i] / (y[i] - y[j])
            between = x[i] + part * (x[j] - x[i])
            places.append(float(x[i + 1 : j].mean() if j > i + 1 else between))
    return places


def plot_length_curves(
    curves: pd.DataFrame,
    *,
    losses: Sequence[str] | None = None,
    styles: Mapping[str, LineStyle] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Weight of the rejected response against its length, one curve per loss.

    Args:
      curves: columns `loss`, `length` (tokens), `weight`; with `low` and `high` a
        band is drawn.
      losses: which, in order; all by default.
      styles: from `loss_styles`, to share colours with other figures.
      ax: where to draw; a new figure of page width by default.
    Returns:
      The axes, with a legend at its right.
    Raises:
      GradlabError: a column is missing, or a loss is unknown.
    Example:
      >>> t = np.arange(1, 65)
      >>> fall = pd.DataFrame({"loss": "exmate", "length": t, "weight": 0.5**t})
      >>> ax = plot_length_curves(fall)
    """
    require_columns(curves, ("loss", "length", "weight"), "the table of curves")
    names = loss_names(curves, losses)
    rows = select(curves, loss=names)
    styles = styles or loss_styles(names)
    with paper_style():
        ax = axes_or_new(ax, DOUBLE_COLUMN * 0.72, 2.4)
        for number, name in enumerate(names):
            curve = select(rows, loss=name).sort_values("length")
            _draw_curve(ax, curve, styles[name], number, len(names), "length")
        ax.set_xscale("log", base=2)
        lengths = sorted(set(rows["length"]))
        powers = [n for n in lengths if n > 0 and float(np.log2(n)).is_integer()]
        ax.set_xticks(powers or lengths[:6], [f"{n:g}" for n in powers or lengths[:6]])
        ax.minorticks_off()
        set_weight_axis(ax, rows["weight"])
        ax.set_xlabel("tokens in the rejected response")
        ax.set_ylabel("weight on the response, Σ ∂L/∂log p")
        add_loss_legend(ax, names, styles)
    return ax
