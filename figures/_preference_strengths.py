"""Figures of `preference_pipeline` over lambda; see there for the table."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures._preference_runs import (
    FORMS,
    FREE,
    at_end,
    column,
    styles_of_runs,
    where,
)
from gradlab.plotting.pairs import unique
from gradlab.plotting.style import DOUBLE_COLUMN, INK, MUTED, new_figure
from gradlab.plotting.trends import group_handles, plot_trends
from gradlab.tables import seed_intervals, select

METRICS = {
    "drop_q95": "fall of the chosen,\n95th percentile (nats)",
    "utility": "utility of samples",
}
DASHES = ("-", (0, (1.2, 1.2)), (0, (4, 1.5)), (0, (4, 1, 1, 1)))


def threshold(table: pd.DataFrame) -> Figure:
    """The fall against lambda over its threshold: linear model and decoder.

    Of the linear model median and range over instances.
    """
    fig = new_figure(DOUBLE_COLUMN, 2.7)
    left, right = fig.subplots(1, 2)
    styles = styles_of_runs()
    rows = select(table, part="linear", scheme="dpo", metric="peak_drop")
    names = {"outside": "bcr_added", "inside": "bcr_inside"}
    rows = rows.assign(
        loss=[names[form] for form in rows["loss"]],
        value=rows["value"] / rows["delta"],
    )
    trends = rows.groupby(["loss", "strength"])["value"].agg(["median", "min", "max"])
    trends.columns = ["value", "low", "high"]
    plot_trends(
        trends.reset_index(), x="strength", group="loss", groups=FORMS, styles=styles,
        ax=left,
    )  # fmt: skip
    low, high = (float(end) for end in np.quantile(column(rows, "strength"), [0, 1]))
    left.axvspan(low, 1, color=MUTED, alpha=0.12, linewidth=0)
    left.set(xscale="log", yscale="log", xlim=(low, high))
    left.axhline(1, color=MUTED, linewidth=0.6)
    left.set_xticks([0.25, 0.5, 1, 2, 4], ["0.25", "0.5", "1", "2", "4"])
    left.set_yticks([1, 3, 10, 30], ["1", "3", "10", "30"])
    left.minorticks_off()
    left.set_ylim(0.8, 1.3 * column(trends.reset_index(), "high").max())
    left.set_xlabel("lambda / predicted threshold")
    left.set_ylabel("largest fall / budget")
    left.set_title("linear model")
    _decoder_threshold(table, right, styles)
    handles, labels = group_handles(FORMS, styles)
    fig.legend(handles, labels, loc="outside lower center", ncols=2)
    return fig


def _decoder_threshold(table: pd.DataFrame, ax: Axes, styles) -> None:
    rows = at_end(table, part="lambda", metric=["drop_q50", "drop_q95"])
    for metric, alpha in (("drop_q95", 1.0), ("drop_q50", 0.5)):
        trends = seed_intervals(select(rows, metric=metric), ["loss", "strength"])
        for form in FORMS:
            line, style = (
                select(trends, loss=form).sort_values("strength"),
                styles[form],
            )
            x = line["strength"].to_numpy(float)
            ax.fill_between(x, line["low"], line["high"], color=style.color, alpha=0.12)
            ax.plot(
                x, line["value"], color=style.color, alpha=alpha,
                linestyle="-" if metric == "drop_q95" else ":", marker=style.marker,
            )  # fmt: skip
    budget = float(rows["delta"].iloc[0])
    limits = select(
        table, part="threshold", metric="threshold", loss=list(FORMS), delta=budget
    )
    for form in FORMS:
        own = select(limits, loss=form)
        if own.empty:
            continue
        largest = [column(part, "value").max() for _, part in own.groupby("seed")]
        if np.median(largest) > 0:
            color = styles[form].color
            ax.axvline(
                float(np.median(largest)), color=color, linestyle="--", linewidth=0.8
            )
    ax.axhline(budget, color=MUTED, linewidth=0.6)
    ax.set_xscale("log", base=4)
    ticks = sorted(rows["strength"].unique())
    ax.set_xticks(ticks, [fraction(tick) for tick in ticks])
    ax.minorticks_off()
    ax.set_xlabel("lambda in its unit (dashed: threshold)")
    ax.set_ylabel("fall of the chosen (nats)")
    ax.set_title("decoder: 95th percentile, median (dotted)")


def fraction(value: float) -> str:
    """Such as 1/16 or 4."""
    return f"{value:g}" if value >= 1 else f"1/{1 / value:g}"


def planes(table: pd.DataFrame) -> Figure:
    """Fall and utility against lambda, a column for each base, both forms."""
    rows = at_end(table, part="plane", metric=list(METRICS))
    bases = unique(where(rows, rows["delta"] == FREE), "loss")
    limited = where(rows, (rows["delta"] != FREE) & (rows["delta"] > 0))
    deltas = sorted(limited["delta"].unique())
    fig = new_figure(DOUBLE_COLUMN, 3.6)
    axes = fig.subplots(len(METRICS), len(bases), sharex=True, sharey="row")
    axes = axes.reshape(len(METRICS), len(bases))
    for below, (metric, title) in zip(axes, METRICS.items(), strict=True):
        for ax, base in zip(below, bases, strict=True):
            _panel(ax, select(rows, metric=metric), base, deltas)
        below[0].set_ylabel(title)
    for ax, base in zip(axes[0], bases, strict=True):
        ax.set_title(base)
        for delta in deltas:
            ax.axhline(delta, color=MUTED, linewidth=0.6, zorder=0)
    ticks = sorted(limited["strength"].unique())
    for ax in axes[-1]:
        ax.set_xscale("log", base=4)
        ax.set_xticks(ticks, [fraction(tick) for tick in ticks])
        ax.minorticks_off()
    axes[-1][len(bases) // 2].set_xlabel("lambda in its unit")
    handles, _ = group_handles(FORMS, styles_of_runs())
    handles += [
        Line2D([], [], color=INK, linestyle=dash)
        for _, dash in zip(deltas, DASHES, strict=False)
    ]
    labels = [*FORMS, *(f"budget {delta:g} nats" for delta in deltas), "no budget"]
    handles.append(Line2D([], [], color=styles_of_runs()["dpo"].color, linewidth=4,
                          alpha=0.3))  # fmt: skip
    fig.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return fig


def _panel(ax: Axes, rows: pd.DataFrame, base: str, deltas: list[float]) -> None:
    """One metric of one base: a line for each form and budget, a band for none."""
    styles, on = styles_of_runs(), "" if base == "dpo" else f"(base={base})"
    alone = seed_intervals(select(rows, loss=base), ["loss"])
    low, high = (float(column(alone, name)[0]) for name in ("low", "high"))
    ax.axhspan(low, high, color=styles["dpo"].color, alpha=0.3, linewidth=0)
    for number, form in enumerate(FORMS):
        own = select(rows, loss=f"{form}{on}")
        for delta, dash in zip(deltas, DASHES, strict=False):
            line = seed_intervals(select(own, delta=delta), ["strength"])
            line = line.sort_values("strength")
            x = column(line, "strength") * (1 + 0.08 * (2 * number - 1))
            style = styles[form]
            ax.vlines(x, line["low"], line["high"], color=style.color, linewidth=0.8)
            ax.plot(
                x, line["value"], color=style.color, marker=style.marker,
                markersize=3, linestyle=dash,
            )  # fmt: skip
