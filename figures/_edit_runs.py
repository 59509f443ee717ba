"""What the training runs of `edit_distance` did to their pairs."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from figures._edit_cells import (
    EQUAL_RATE,
    FOUR,
    KINDS,
    SHOWN,
    ends,
    kinds_of,
    legend_below,
    main_rate,
    name_of,
    shown_in,
    smallest,
    styles_of,
)
from gradlab.plotting.style import (
    DOUBLE_COLUMN,
    INK,
    MUTED,
    SMALL,
    new_figure,
)
from gradlab.plotting.trends import plot_trends
from gradlab.tables import seed_intervals, select

SMALLEST = {"text": "one letter edited", "arithmetic": "one wrong result"}
REGIONS = {"before": "#bbbbbb", "at": "#56B4E9", "after": "#0072B2"}


def _panels(table: pd.DataFrame, height: float, **options) -> tuple[Figure, dict]:
    """A panel for each trained kind, side by side."""
    kinds = kinds_of(select(table, metric="profile"))
    fig = new_figure(DOUBLE_COLUMN, height)
    axes = fig.subplots(1, len(kinds), squeeze=False, **options)[0]
    for kind, ax in zip(kinds, axes, strict=True):
        ax.set_title(f"{KINDS[kind]}, {SMALLEST[kind]}", fontsize=7, pad=3)
    return fig, dict(zip(kinds, axes, strict=True))


def profile(table: pd.DataFrame) -> Figure:
    """Drift of chosen tokens by distance from the first difference; counts below."""
    rows = select(table, metric="profile", side="chosen")
    kinds, losses, styles = kinds_of(rows), shown_in(rows), styles_of(table)
    fig = new_figure(DOUBLE_COLUMN, 3.0)
    top, bottom = fig.subplots(
        2, len(kinds), sharex="col", squeeze=False, height_ratios=[4, 1]
    )
    for kind, ax, low in zip(kinds, top, bottom, strict=True):
        lines = seed_intervals(select(rows, kind=kind, loss=losses), ["loss", "offset"])
        plot_trends(
            lines, x="offset", group="loss", groups=losses, styles=styles, ax=ax
        )
        _mark_difference(ax)
        ax.set_title(f"{KINDS[kind]}, {SMALLEST[kind]}", fontsize=7, pad=3)
        ax.set_xlabel("")
        counts = select(table, metric="profile_count", kind=kind, side="chosen")
        summed = counts.groupby("offset", as_index=False).agg(value=("value", "sum"))
        low.bar(summed["offset"], summed["value"], color=MUTED, width=0.8)
        low.set_xlabel("position from the first token that differs")
        low.xaxis.set_major_locator(MaxNLocator(integer=True))
    top[0].set_ylabel("drift of a chosen token (nats)")
    bottom[0].set_ylabel("tokens")
    legend_below(fig, losses, styles)
    return fig


def _mark_difference(ax: Axes) -> None:
    ax.axvline(0, color=MUTED, linewidth=0.6, linestyle=(0, (2, 2)), zorder=0)


def plane(table: pd.DataFrame) -> Figure:
    """Where runs go: drift of the rejected against drift of the chosen response."""
    fig, panels = _panels(table, 2.9)
    styles, drawn = styles_of(table), {}
    for kind, ax in panels.items():
        rows = select(
            table, metric="d_sum", kind=kind, rule=EQUAL_RATE, fit="well",
            lr=main_rate(table, kind),
        )  # fmt: skip
        rows = smallest(rows, table)
        for loss in shown_in(rows):
            drawn[loss] = True
            means = select(rows, loss=loss).pivot_table(
                index="step", columns="side", values="value"
            )
            x, y = (np.append(0, means[side]) for side in ("rejected", "chosen"))
            style = styles[loss]
            ax.plot(
                x, y, color=style.color, linestyle=style.dashes, linewidth=1,
                marker=style.marker, markersize=2.5,
            )  # fmt: skip
        for line in (ax.axhline, ax.axvline):
            line(0, color=MUTED, linewidth=0.6, zorder=0)
        ax.set_xlabel("drift of the rejected response (nats)")
    next(iter(panels.values())).set_ylabel("drift of the chosen (nats)")
    legend_below(fig, [loss for loss in SHOWN if loss in drawn], styles)
    return fig


def regions(table: pd.DataFrame) -> Figure:
    """Drift of chosen tokens before, at and after the first difference, by loss."""
    fig, panels = _panels(table, 2.9, sharey=True)
    losses = shown_in(select(table, metric="profile"))[::-1]
    for kind, ax in panels.items():
        for number, (region, color) in enumerate(REGIONS.items()):
            rows = select(ends(table, f"d_{region}", kind), side="chosen")
            found = seed_intervals(smallest(rows, table), ["loss"]).set_index("loss")
            found = found.reindex(losses)
            error = [found["value"] - found["low"], found["high"] - found["value"]]
            ax.barh(
                np.arange(len(losses)) + 0.27 * (1 - number), found["value"],
                height=0.25, color=color, label=f"{region} it", xerr=error,
                error_kw={"elinewidth": 0.7, "ecolor": INK},
            )  # fmt: skip
        ax.axvline(0, color=MUTED, linewidth=0.6)
        ax.set_yticks(range(len(losses)), [name_of(loss) for loss in losses])
        ax.set_xlabel("drift of a chosen token (nats)")
    handles = next(iter(panels.values())).get_legend_handles_labels()
    fig.legend(
        *handles, loc="outside lower center", ncols=3,
        title="place of the token relative to the first difference",
        title_fontsize=SMALL,
    )  # fmt: skip
    return fig


def rates(table: pd.DataFrame) -> Figure:
    """Drift after the difference, and exact answers, against the learning rate."""
    kinds, styles = kinds_of(select(table, metric="profile")), styles_of(table)
    fig = new_figure(DOUBLE_COLUMN, 2.3)
    axes, drawn = fig.subplots(1, len(kinds) + 1), {}
    panels = [("d_after", kind) for kind in kinds] + [("acc", kinds[-1])]
    for (metric, kind), ax in zip(panels, axes, strict=True):
        rows = select(table, metric=metric, kind=kind, fit="well", rule=EQUAL_RATE)
        rows = smallest(select(rows, side=["", "chosen"]), table)
        losses = [x for x in FOUR if len(set(select(rows, loss=x)["lr"])) > 1]
        drawn |= dict.fromkeys(losses)
        lines = seed_intervals(select(rows, loss=losses), ["loss", "lr"])
        plot_trends(lines, x="lr", group="loss", groups=losses, styles=styles, ax=ax)
        ax.set_xscale("log")
        shown = sorted(set(rows["lr"]))
        ax.set_xticks(shown, [f"{rate:g}" for rate in shown])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xlabel("learning rate")
        ax.set_title(KINDS[kind], fontsize=7, pad=3)
    for ax in axes[:-1]:
        ax.set_ylabel("drift after (nats/token)")
    axes[-1].set_ylabel("exact answers")
    start = select(table, metric="acc_start")["value"].mean()
    axes[-1].axhline(start, color=INK, linewidth=0.8, linestyle=(0, (4, 2)), zorder=0)
    axes[-1].set_ylim(-0.03, 1.05)
    legend_below(fig, list(drawn), styles)
    return fig
