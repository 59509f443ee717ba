"""Figure of `preference_pipeline` along the runs; see there for the table."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures._preference_runs import FORMS, FREE, column, styles_of_runs, where
from gradlab.plotting.pairs import unique
from gradlab.plotting.style import DOUBLE_COLUMN, INK, new_figure
from gradlab.tables import seed_intervals, select

DASHES = ((0, (1, 1)), "-", (0, (5, 1.5)))


def paths(table: pd.DataFrame) -> Figure:
    """Utility against KL along the runs, a panel for each base, means over seeds."""
    rows = select(table, part="plane", metric=["kl", "utility"])
    strengths = [0.0, rows["strength"].max()]
    rows = where(rows, rows["strength"].isin(strengths))
    reference = select(table, part="reference", metric="utility")
    start = float(column(reference, "value").mean())
    bases = unique(where(rows, rows["delta"] == FREE), "loss")
    deltas = sorted(where(rows, rows["delta"] != FREE)["delta"].unique())
    fig = new_figure(DOUBLE_COLUMN, 2.7)
    axes = np.atleast_1d(fig.subplots(1, len(bases), sharey=True))
    styles = styles_of_runs()
    for ax, base in zip(axes, bases, strict=True):
        on = "" if base == "dpo" else f"(base={base})"
        for form in FORMS:
            for delta, dash in zip(deltas, DASHES, strict=False):
                own = select(rows, loss=f"{form}{on}", delta=delta)
                _path(ax, own, start, color=styles[form].color, linestyle=dash)
        _path(ax, select(rows, loss=base), start, color=styles["dpo"].color)
        ax.set_title(base)
    axes[0].set_ylabel("utility of samples")
    axes[len(bases) // 2].set_xlabel("KL to the reference (nats)")
    handles = [Line2D([], [], color=styles[name].color) for name in ("dpo", *FORMS)]
    handles += [
        Line2D([], [], color=INK, linestyle=dash)
        for _, dash in zip(deltas, DASHES, strict=False)
    ]
    budgets = [f"budget {delta:g} nats" for delta in deltas]
    labels = ["base, no budget", *FORMS, *budgets]
    fig.legend(handles, labels, loc="outside lower center", ncols=3)
    return fig


def _path(ax: Axes, rows: pd.DataFrame, start: float, **look) -> None:
    """From the reference over the stops of a run."""
    means = seed_intervals(rows, ["metric", "step"]).sort_values("step")
    kl, utility = (column(select(means, metric=m), "value") for m in ("kl", "utility"))
    ax.plot(
        [0.0, *kl], [start, *utility], marker=".", markersize=3, linewidth=1, **look
    )
