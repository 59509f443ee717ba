"""Single steps of `edit_distance`, and the weights of the penalty's placements."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from figures._edit_cells import styles_of
from gradlab.plotting.buckets import bucket_of
from gradlab.plotting.pairs import unique
from gradlab.plotting.style import (
    DOUBLE_COLUMN,
    INK,
    LOWERED,
    MUTED,
    RAISED,
    SINGLE_COLUMN,
    SMALL,
    LineStyle,
    new_figure,
)
from gradlab.plotting.text import label
from gradlab.tables import seed_intervals, select

NAMES = {
    "text": "synthetic text", "arithmetic": "word problems",
    "gsm8k": "GSM8K, corrupted", "blimp": "BLiMP",
    "arc_easy": "ARC easy", "arc_challenge": "ARC challenge",
    "persona": "persona", "hellaswag": "HellaSwag",
}  # fmt: skip
BINS = 6


def _wide_tokens(table: pd.DataFrame) -> pd.DataFrame:
    rows = select(table, metric=["token_ww", "token_real"])
    keys = ["kind", "pair", "position"]
    return rows.pivot_table(index=keys, columns="metric", values="value").reset_index()


def wrong_way(table: pd.DataFrame) -> Figure:
    """Score of the sign argument against the drift in the pair's own step of DPO."""
    tokens = _wide_tokens(table)
    kinds = [k for k in NAMES if len(select(tokens, kind=k)) >= 4 * BINS]
    columns = min(len(kinds), 3)
    lines = -(-len(kinds) // columns)
    fig = new_figure(DOUBLE_COLUMN, 1.85 * lines + 0.3)
    grid = fig.subplots(lines, columns, squeeze=False).ravel()
    for ax in grid[len(kinds) :]:
        ax.remove()
    for kind, ax in zip(kinds, grid, strict=False):
        ranks = select(tokens, kind=kind)[["token_ww", "token_real"]].rank(pct=True)
        score, drift = ranks.to_numpy(float).T
        _scatter(ax, 1 - score, drift)
        rho = select(table, metric="ww_real", kind=kind)["value"].mean()
        shown = f"{rho:+.2f}".replace("-", "\N{MINUS SIGN}")
        ax.set_title(f"{NAMES[kind]}: {shown}", fontsize=7, pad=3)
        ax.set_xticks([0, 0.5, 1])
        ax.set_yticks([0, 0.5, 1])
    fig.supxlabel(
        "rank of p(token | rejected) less p(token | chosen), the sign argument's score",
        fontsize=8,
    )
    fig.supylabel("rank of drift in its pair's step", fontsize=8)
    return fig


def _scatter(ax: Axes, x: np.ndarray, y: np.ndarray) -> None:
    ax.scatter(x, y, s=4, color=MUTED, alpha=0.5, linewidths=0)
    bins = bucket_of(x, BINS)
    middle = [(np.median(x[bins == b]), np.median(y[bins == b])) for b in set(bins)]
    ax.plot(*zip(*sorted(middle), strict=True), color=LOWERED, marker="o", markersize=3)
    ax.plot([0, 1], [0, 1], color=MUTED, linewidth=0.6, linestyle=(0, (2, 2)), zorder=0)


def real(table: pd.DataFrame) -> Figure:
    """Predicted drift before, at and after the first difference, by kind and loss."""
    metrics = ["pred_before", "pred_at", "pred_after"]
    rows = select(table, metric=metrics)
    kinds = [kind for kind in NAMES if kind in set(rows["kind"])]
    losses = [str(loss) for loss in unique(rows, "loss")]
    styles = styles_of(table)
    columns = min(len(kinds), 3)
    lines = -(-len(kinds) // columns)
    fig = new_figure(DOUBLE_COLUMN, 1.75 * lines + 0.4)
    grid = fig.subplots(lines, columns, squeeze=False).ravel()
    for ax in grid[len(kinds) :]:
        ax.remove()
    for kind, ax in zip(kinds, grid, strict=False):
        for number, metric in enumerate(metrics):
            own = select(rows, kind=kind, metric=metric)
            _side_bars(ax, own, losses, styles, number)
        ax.axhline(0, color=MUTED, linewidth=0.6)
        ax.set_xticks(range(3), ["before", "at", "after"])
        ax.set_title(NAMES[kind], fontsize=7, pad=3)
    for loss in losses:
        grid[0].plot([], [], "s", color=styles[loss].color, label=label(loss))
    fig.legend(
        *grid[0].get_legend_handles_labels(), loc="outside lower center",
        ncols=len(losses),
    )  # fmt: skip
    fig.supylabel("predicted drift (10⁻³ nats)", fontsize=8)
    return fig


def _side_bars(
    ax: Axes,
    rows: pd.DataFrame,
    losses: list[str],
    styles: dict[str, LineStyle],
    number: int,
) -> None:
    rows = select(rows, side="chosen")
    if rows.empty:
        return
    width = 0.8 / len(losses)
    found = seed_intervals(rows, ["loss"]).set_index("loss")
    for place, loss in enumerate(losses):
        if loss in found.index:
            point = found.loc[loss]
            at = number + width * (place - (len(losses) - 1) / 2)
            ax.bar(at, 1e3 * point["value"], width=width, color=styles[loss].color)
            ends = [1e3 * point["low"], 1e3 * point["high"]]
            ax.plot([at, at], ends, color=INK, linewidth=0.6)


def placements(table: pd.DataFrame) -> Figure:
    """How hard the chosen is pulled, over how hard the rejected is pushed."""
    rows = select(table, metric="weight_ratio")
    fig = new_figure(SINGLE_COLUMN, 2.3)
    ax = fig.add_subplot()
    names = {
        "dpo": "DPO", "dpop": "inside (DPO-Positive)",
        "dpop_inside_nobeta": "inside, without beta", "dpop_outside": "outside",
    }  # fmt: skip
    colors = {"dpo": MUTED, "dpop": RAISED, "dpop_outside": LOWERED}
    for loss, name in names.items():
        line = select(rows, loss=loss).sort_values("x")
        if len(line):
            ax.plot(
                line["x"], line["value"], color=colors.get(loss, "#009E73"), label=name,
                drawstyle="steps-post",
            )  # fmt: skip
    ax.set_yscale("log")
    ax.set_yticks([1, 10, 100, 1000], ["1", "10", "100", "1000"])
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("log-ratio h_c of the chosen (nats)")
    ax.set_ylabel("weight of chosen / rejected")
    fig.legend(loc="outside lower center", ncols=2, fontsize=SMALL)
    return fig
