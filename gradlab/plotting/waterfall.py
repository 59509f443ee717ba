"""Which tokens pushed a response down: drift along its text, split by cause."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from gradlab.errors import GradlabError
from gradlab.plotting.falls import (
    DRIFT_COLUMNS,
    TokenDrifts,
    fall_window,
    falling_tokens,
    token_drifts,
)
from gradlab.plotting.lanes import label_tokens
from gradlab.plotting.pairs import (
    READABLE,
    TOKEN_COLUMNS,
    SideTokens,
    loss_names,
    side_tokens,
    unique,
)
from gradlab.plotting.scales import tick_text
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
from gradlab.plotting.text import cut, number, visible
from gradlab.tables import require_columns, select

HEIGHT = 2.75  # inches of one response
_TOTAL = 0.3  # share of the height that the running total takes
_GAP = 0.09
_FEWEST = 12  # token places: fewer tokens have bars no wider than these
_CARRIED = "#9a9a9a"


_CAUSES = {
    "by_chosen": ("by chosen tokens", RAISED),
    "by_rejected": ("by rejected tokens", LOWERED),
    "carried": ("carried over", _CARRIED),
}


def plot_waterfall(
    tokens: pd.DataFrame,
    *,
    pair: int | None = None,
    loss: str | None = None,
    side: str = "chosen",
    max_tokens: int = READABLE,
    ax: Axes | None = None,
) -> Axes:
    """What one step does to each token of one response, by cause, and in running total.

    Above, each token's predicted drift: blue the part caused by chosen tokens,
    vermillion that by rejected tokens, grey what momentum and weight decay carry over,
    and a black bar their net; triangles mark up to `MARKED` tokens that fall most.
    Below, the running total of the net from the first token on, and that of the
    realised drift. Where the split by cause is unknown, the net alone is drawn. A
    response longer than `max_tokens` shows the stretch that falls most; the heading
    says what lies outside.

    Args:
      tokens: a tokens table with `predicted, by_chosen, by_rejected` (nats) and, if
        there are any, `carried` and `realised`.
      pair: which pair; may be left out when the table has only one.
      loss: which loss; the first one by default.
      side: the response, "chosen" or "rejected".
      max_tokens: shown at most.
      ax: where to draw; a new figure of page width by default. It needs about that.
    Returns:
      The axes of the bars; the running total is in its one child axes.
    Raises:
      GradlabError: a column is missing, or the loss, the pair or the side is unknown.
    Example:
      >>> keys = {"loss": "dpo", "pair": 0, "side": "chosen", "position": [0, 1]}
      >>> text = {"token": [" to", " be"], "region": ["prefix", "first"], "weight": -1}
      >>> parts = {"by_chosen": [0.2, 0.1], "by_rejected": [-0.1, -0.5]}
      >>> table = pd.DataFrame({**keys, **text, **parts, "predicted": [0.1, -0.4]})
      >>> ax = plot_waterfall(table)
    """
    require_columns(tokens, (*TOKEN_COLUMNS, *DRIFT_COLUMNS), "the tokens table")
    (name,) = loss_names(tokens, [loss] if loss is not None else None)[:1]
    rows = _pair_rows(tokens, pair, name)
    data = side_tokens(rows, side, [name])
    drifts = token_drifts(select(rows, side=side))
    shown = fall_window(drifts.net, data.first, max_tokens)
    worst = falling_tokens(drifts.net)
    with paper_style():
        ax = axes_or_new(ax, DOUBLE_COLUMN, HEIGHT)
        _draw_bars(ax, drifts, shown, worst)
        _draw_total(ax, drifts, shown)
        label_tokens(ax, data, shown)
        _color_worst(ax, shown, worst)
        heading = _heading(side, drifts, data, shown, worst)
        ax.set_title(
            "\n".join(heading), fontsize=7, pad=12, linespacing=1.35, parse_math=False
        )
    return ax


def _pair_rows(tokens: pd.DataFrame, pair: int | None, loss: str) -> pd.DataFrame:
    """The rows of one loss and pair."""
    known = unique(tokens, "pair")
    if pair is None and len(known) > 1:
        raise GradlabError(
            f"the tokens table has {len(known)} pairs; say which one to draw"
        )
    rows = select(tokens, loss=loss, pair=known[0] if pair is None else pair)
    require_columns(rows, (), f"pair {pair} of {loss!r} in the tokens table")
    return rows


def _draw_bars(
    ax: Axes, drifts: TokenDrifts, shown: slice, worst: Sequence[int]
) -> None:
    net = drifts.net[shown]
    x, floor, top = np.arange(len(net)), np.zeros(len(net)), np.zeros(len(net))
    for cause, values in drifts.causes.items():
        part = np.nan_to_num(values[shown])
        # Parts of one sign are stacked; the signs go opposite ways from 0.
        base = np.where(part < 0, floor, top)
        name, color = _CAUSES[cause]
        ax.bar(x, part, 0.78, base, color=color, label=name, zorder=2)
        floor, top = floor + np.minimum(part, 0), top + np.maximum(part, 0)
    if drifts.causes:
        # On colours and on white alike: black with a white rim.
        ax.hlines(net, x - 0.46, x + 0.46, color="white", linewidth=2.4, zorder=3)
        ax.hlines(net, x - 0.43, x + 0.43, color="k", lw=1.3, zorder=4, label="net")
    else:
        ax.bar(x, np.nan_to_num(net), 0.78, color=MUTED, label="net (no split)")
    low = float(min(floor.min(), np.nanmin(net, initial=0)))
    high = float(max(top.max(), np.nanmax(net, initial=0)))
    reach = (high - low) or 1.0
    marks = [i - shown.start for i in worst if shown.start <= i < shown.stop]
    under = np.minimum(floor, np.nan_to_num(net))[marks] - 0.055 * reach
    if marks:
        ax.plot(marks, under, "^", color=INK, ms=3, lw=0, label="falls most")
    _set_bar_axes(ax, len(net), low - (0.12 if marks else 0.05) * reach,
                  high + 0.05 * reach)  # fmt: skip


def _set_bar_axes(ax: Axes, count: int, low: float, high: float) -> None:
    """Leaves the lower part of the axes to the running total."""
    ax.axhline(0, color=MUTED, linewidth=0.6, zorder=1)
    ax.set_xlim(-0.5, max(count, _FEWEST) - 0.5)
    ax.set_ylim(high - (high - low) / (1 - _TOTAL - _GAP), high)
    ticks = MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(low, high)
    ticks = [tick for tick in ticks if low <= tick <= high]
    ax.set_yticks(ticks, [tick_text(round(tick, 12)) for tick in ticks])
    ax.spines["left"].set_bounds(low, high)
    ax.spines["bottom"].set_visible(False)
    ax.set_ylabel("drift (nats)", y=(1 + _TOTAL + _GAP) / 2)
    handles, names = ax.get_legend_handles_labels()
    rank = {"by": 0, "carried": 0, "net": 1, "falls": 2}
    order = sorted(range(len(names)), key=lambda i: rank[names[i].split()[0]])
    ax.legend(
        [handles[i] for i in order], [names[i] for i in order], loc="upper left",
        **_BESIDE,
    )  # fmt: skip


_BESIDE = {
    "bbox_to_anchor": (1.005, 1.04),
    "borderaxespad": 0,
    "fontsize": SMALL,
    "handlelength": 1.3,
    "labelspacing": 0.35,
}


def _draw_total(ax: Axes, drifts: TokenDrifts, shown: slice) -> None:
    """The running totals, whose value over a token includes that token."""
    below = ax.inset_axes((0, 0, 1, _TOTAL), sharex=ax)
    below.patch.set_visible(False)  # the mark of the first difference runs through
    total = np.cumsum(np.nan_to_num(drifts.net))
    edges = np.arange(shown.stop - shown.start + 1) - 0.5
    below.stairs(total[shown], edges, fill=True, color="#d9d9d9", zorder=1)
    below.stairs(
        total[shown], edges, baseline=None, color=INK, linewidth=1.2, zorder=3,
        label=f"predicted {signed(total[-1])}",
    )  # fmt: skip
    if not np.isnan(drifts.realised).any():
        real = np.cumsum(drifts.realised)
        below.stairs(
            real[shown], edges, baseline=None, color="#CC79A7", linewidth=1.1,
            linestyle=(0, (2.5, 1.2)), zorder=4, label=f"realised {signed(real[-1])}",
        )  # fmt: skip
    below.axhline(0, color=MUTED, linewidth=0.6, zorder=2)
    below.tick_params(axis="x", length=0, labelbottom=False)
    below.spines["bottom"].set_visible(False)
    below.yaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    below.yaxis.set_major_formatter(FuncFormatter(lambda y, _: tick_text(round(y, 12))))
    below.margins(y=0.12)
    below.set_ylabel("total")
    below.legend(loc="upper left", **_BESIDE)


def _color_worst(ax: Axes, shown: slice, worst: Sequence[int]) -> None:
    names = ax.get_xticklabels()
    for i in worst:
        if shown.start <= i < shown.stop:
            names[i - shown.start].set_color("#A34700")


def _heading(
    side: str,
    drifts: TokenDrifts,
    data: SideTokens,
    shown: slice,
    worst: Sequence[int],
) -> list[str]:
    """What the picture says, in words."""
    net = np.nan_to_num(drifts.net)
    parts = [
        f"{signed(np.nansum(values))} {_CAUSES[cause][0]}"
        for cause, values in drifts.causes.items()
    ]
    split = f" = {' '.join(parts).replace(' tokens', '', 1)}" if parts else ""
    lines = [f"{side} response: {signed(net.sum())} nats{split}"]
    falls = float(np.minimum(net, 0).sum())
    if worst:
        named = ", ".join(
            f"“{cut(visible(data.texts[i]), 10)}” {number(net[i])}" for i in worst
        )
        share = 100 * float(net[list(worst)].sum()) / falls
        lines.append(f"falls most: {named} ({share:.0f} % of all that falls)")
    if shown.stop - shown.start < len(net):
        outside = float(net.sum() - net[shown].sum())
        lines.append(
            f"tokens {shown.start + 1} to {shown.stop} of {len(net)}; "
            f"those outside drift {signed(outside)}"
        )
    return lines


def signed(value: float) -> str:
    """A number with its sign."""
    return ("+" if value > 0 else "") + number(value)
