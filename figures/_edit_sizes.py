"""Runs of `edit_distance` on edits of many sizes and places, and at many strengths."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from figures._edit_cells import (
    FOUR,
    KINDS,
    SHOWN,
    ends,
    grid_losses,
    kinds_of,
    legend_below,
    name_of,
    shown_in,
    smallest,
    styles_of,
)
from gradlab.plotting.lossgrid import ROW, SHADES, plot_loss_grid
from gradlab.plotting.style import (
    DOUBLE_COLUMN,
    INK,
    SMALL,
    LineStyle,
    new_figure,
)
from gradlab.plotting.trends import plot_trends
from gradlab.tables import seed_intervals, select

COLUMNS = {"text": "texts", "arithmetic": "problems"}
ORANGES = LinearSegmentedColormap.from_list("gradlab_oranges", ["#D55E00", "#fff6f0"])


def _by_size(rows: pd.DataFrame, table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Rows of the sweep over edit distance with their place on a category axis."""
    kind = str(rows["kind"].iloc[0])
    whole = select(rows, edit_kind="whole")
    first = smallest(rows, table)
    cut = select(rows, edit_kind="substitute")
    where = select(select(table, metric="profile"), kind=kind)["edit_pos"].iloc[0]
    if kind == "text":
        cut = select(cut, edit_pos=where)
    steps = [("one wrong\nresult", first)] if kind != "text" else []
    steps += [
        (f"{int(size)}", select(cut, edit_tokens=size))
        for size in sorted(set(cut["edit_tokens"]))
    ]
    steps.append(("all", whole))
    parts = [part.assign(place=at) for at, (_, part) in enumerate(steps)]
    return pd.concat(parts), [name for name, _ in steps]


def _draw_sizes(
    ax: Axes, rows: pd.DataFrame, table: pd.DataFrame, styles: dict[str, LineStyle]
) -> list[str]:
    placed, names = _by_size(rows, table)
    losses = shown_in(placed)
    lines = seed_intervals(select(placed, loss=losses), ["loss", "place"])
    plot_trends(
        lines, x="place", group="loss", groups=losses, styles=styles, shift=0.06, ax=ax
    )
    ax.set_xticks(range(len(names)), names)
    ax.set_xlabel("edited tokens of the rejected response")
    return losses


def distance(table: pd.DataFrame) -> Figure:
    """Drift of the chosen response and of its tokens after the edit, by distance."""
    kinds, styles = kinds_of(select(table, metric="profile")), styles_of(table)
    fig = new_figure(DOUBLE_COLUMN, 2.25 * len(kinds) + 0.3)
    grid, drawn = fig.subplots(len(kinds), 2, squeeze=False), {}
    names = {
        "d_sum": "chosen response (nats)",
        "d_after": "after the edit (nats/token)",
    }
    for kind, line in zip(kinds, grid, strict=True):
        for (metric, name), ax in zip(names.items(), line, strict=True):
            rows = select(ends(table, metric, kind), side="chosen")
            drawn |= dict.fromkeys(_draw_sizes(ax, rows, table, styles))
            ax.set_ylabel(f"drift {name}")
            ax.set_title(KINDS[kind], fontsize=7, pad=3)
    legend_below(fig, [loss for loss in SHOWN if loss in drawn], styles)
    return fig


def accuracy(table: pd.DataFrame) -> Figure:
    """Exact answers after training: by edit distance, and for every loss."""
    rows, styles = ends(table, "acc", "arithmetic"), styles_of(table)
    fig = new_figure(DOUBLE_COLUMN, 2.9)
    left, right = fig.subplots(1, 2)
    swept = select(rows, loss=list(FOUR))
    losses = _draw_sizes(left, swept, table, styles)
    for loss in losses:
        style = styles[loss]
        left.plot([], [], color=style.color, marker=style.marker, label=name_of(loss))
    left.legend(loc="best", fontsize=SMALL)
    left.set_ylabel("exact answers after training")
    _dots(right, smallest(rows, table), grid_losses(table), styles)
    right.set_xlabel("exact answers, one wrong result")
    start = select(table, metric="acc_start")["value"].mean()
    for draw_line in (left.axhline, right.axvline):
        draw_line(start, color=INK, linewidth=0.8, linestyle=(0, (4, 2)), zorder=0)
    left.set_ylim(-0.03, 1.06)
    right.set_xlim(-0.03, 1.03)
    left.annotate(
        "before training", (0, start), xytext=(0, 2), textcoords="offset points",
        fontsize=SMALL, ha="left", va="bottom",
    )  # fmt: skip
    return fig


def _dots(
    ax: Axes, rows: pd.DataFrame, losses: list[str], styles: dict[str, LineStyle]
) -> None:
    """A dot and its interval for every loss, the first on top."""
    found = seed_intervals(rows, ["loss"]).set_index("loss")
    losses = [loss for loss in losses if loss in found.index]
    for at, loss in enumerate(reversed(losses)):
        point, style = found.loc[loss], styles[loss]
        ax.plot([point["low"], point["high"]], [at, at], color=style.color, linewidth=1)
        ax.plot(
            point["value"], at, color=style.color, marker=style.marker, markersize=3
        )
    ax.set_yticks(
        range(len(losses)), [name_of(loss) for loss in reversed(losses)],
        fontsize=SMALL,
    )  # fmt: skip


def falls(table: pd.DataFrame) -> Figure:
    """Share of pairs whose chosen response ends below its start, by loss and edit."""
    parts, columns = [], []
    for kind in kinds_of(select(table, metric="profile")):
        placed, names = _by_size(ends(table, "below_start", kind), table)
        names = [f"{COLUMNS[kind]}, {name.split()[0]}" for name in names]
        columns += names
        parts.append(placed.assign(column=[names[at] for at in placed["place"]]))
    rows, losses = pd.concat(parts), grid_losses(table)
    cells = seed_intervals(select(rows, loss=losses), ["loss", "column"])
    fig = new_figure(DOUBLE_COLUMN, 1.25 * ROW * len(losses) + 0.75)
    ax = plot_loss_grid(
        cells, rows=losses, columns=columns, shade=lambda x: x, cmap=SHADES,
        text=lambda x: "" if np.isnan(x) else f"{100 * x:.0f} %", ax=fig.add_subplot(),
    )  # fmt: skip
    ax.set_yticklabels([name_of(loss) for loss in losses])
    fig.supxlabel(
        "Share of pairs whose chosen response ends less likely than it started, by "
        "edited tokens\nof synthetic texts and of word problems (one: a wrong result)",
        fontsize=SMALL,
    )
    return fig


def strengths(table: pd.DataFrame) -> Figure:
    """lam x beta: exact answers, and drift after the difference; lam = 0 is DPO."""
    fig = new_figure(DOUBLE_COLUMN, 2.1)
    panels = {
        "acc": ("exact answers after training", lambda x: f"{100 * x:.0f} %"),
        "d_after": ("drift after the wrong result (nats/token)", _signed(3)),
    }
    for (metric, (name, text)), ax in zip(
        panels.items(), fig.subplots(1, 2), strict=True
    ):
        rows = ends(table, metric, "arithmetic")
        rows = smallest(select(rows, side=["", "chosen"]), table)
        names = [name for name in set(rows["loss"]) if _strength_loss(name)]
        rows = select(rows, loss=names).fillna({"lam": 0.0})
        _heat(ax, rows, "lam", "beta", text, last=True)
        ax.set_ylabel("lam (0: DPO)")
        ax.set_xlabel("beta")
        ax.set_title(name, fontsize=7, pad=3)
    return fig


def _signed(digits: int) -> Callable[[float], str]:
    return lambda x: f"{x:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _strength_loss(loss: str) -> bool:
    return loss.partition("(")[0] in ("dpo", "dpop")


def _heat(
    ax: Axes,
    rows: pd.DataFrame,
    down: str,
    across: str,
    text: Callable[[float], str],
    *,
    last: bool = False,
) -> None:
    """Means over seeds in a grid; darker is lower. `last`: rows grow upwards."""
    means = rows.pivot_table(index=down, columns=across, values="value", sort=False)
    if last:
        means = means.sort_index().sort_index(axis=1)
    values = means.to_numpy(float)
    drawn = np.ma.masked_invalid(values)
    spread = float(np.ptp(drawn.compressed())) or 1.0
    low = float(drawn.min())
    ax.pcolormesh(
        drawn, cmap=ORANGES, vmin=low, vmax=low + spread, edgecolors="white",
        linewidth=0.8,
    )  # fmt: skip
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            dark = value < low + 0.45 * spread
            ax.text(
                j + 0.5, i + 0.5, text(value), ha="center", va="center", fontsize=7,
                color="white" if dark else INK,
            )  # fmt: skip
    for axis, names in ((ax.yaxis, means.index), (ax.xaxis, means.columns)):
        shown = [n if isinstance(n, str) else f"{n:g}" for n in names]
        axis.set_ticks(np.arange(len(names)) + 0.5, shown)
    ax.tick_params(length=0)


def places(table: pd.DataFrame) -> Figure:
    """DPO: drift of chosen tokens by operation and place of a four-token edit."""
    fig = new_figure(DOUBLE_COLUMN, 1.6)
    names = {"d_sum": "chosen response (nats)", "d_at": "at the difference (nats)",
             "d_after": "after it (nats/token)"}  # fmt: skip
    words = {0.0: "front", 0.5: "middle", 1.0: "end"}
    for (metric, name), ax in zip(names.items(), fig.subplots(1, 3), strict=True):
        rows = select(ends(table, metric, "text"), side="chosen", loss="dpo")
        rows = select(rows, edit_pos=list(words))
        rows = rows[rows["edit_tokens"] > 1]
        rows = rows.assign(place=[words[at] for at in rows["edit_pos"]])
        _heat(ax, rows, "edit_kind", "place", _signed(2))
        ax.set_title(f"drift, {name}", fontsize=7, pad=3)
        ax.set_xlabel("place of the edit")
        ax.label_outer()
    return fig
