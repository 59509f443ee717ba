"""Every base of `preference_pipeline` over budgets and strengths."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures._preference_runs import (
    FORMS,
    FREE,
    at_end,
    column,
    fraction,
    styles_of_runs,
    where,
)
from gradlab.plotting.pairs import unique
from gradlab.plotting.style import DOUBLE_COLUMN, INK, MUTED, new_figure
from gradlab.plotting.trends import group_handles
from gradlab.tables import seed_intervals, select

METRICS = {
    "drop_q95": "fall of the chosen,\n95th percentile (nats)",
    "utility": "utility of samples",
}
DASHES = ("-", (0, (1.2, 1.2)), (0, (4, 1.5)), (0, (4, 1, 1, 1)))


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
