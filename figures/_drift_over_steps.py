"""Figures of `drift_prediction` about many steps: training, its ledger, squeezing.

The metrics that are drawn, and the keys of their rows besides study, kind and seed:

    probe_drift                probe, step
    ledger                     part, step
    top_before, absorbed       part = tabular or decoder; pair
    log_top, log_target, log_rest
                               part = decoder; pair: log of after over before
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gradlab.plotting import loss_styles
from gradlab.plotting.fan import plot_fan
from gradlab.plotting.pairs import unique
from gradlab.plotting.squeezing import ROLES, plot_absorbed, plot_squeezed_mass
from gradlab.plotting.style import DOUBLE_COLUMN, SINGLE_COLUMN, SMALL, new_figure
from gradlab.plotting.trends import group_handles, plot_trends
from gradlab.tables import seed_intervals, select

LOGS = tuple(f"log_{role}" for role in ROLES)
TRAINED = ("chosen", "rejected", "chosen heldout", "rejected heldout")
PARTS = {"tabular": "softmax rows", "decoder": "decoder"}


def curves(table: pd.DataFrame) -> Figure:
    """Drift of all probes over training."""
    return _over_steps(table, "probe_drift", "probe", "response", "Adam")


def ledger(table: pd.DataFrame) -> Figure:
    """Cumulative parts of the chosen drift over a short AdamW run."""
    return _over_steps(table, "ledger", "part", "chosen responses", "AdamW")


def _over_steps(
    table: pd.DataFrame, metric: str, group: str, whose: str, optimiser: str
) -> Figure:
    rows = seed_intervals(select(table, metric=metric), [group, "step"])
    groups = [str(name) for name in unique(rows, group)]
    fig = new_figure(DOUBLE_COLUMN, 2.6)
    ax, styles = fig.add_subplot(), loss_styles(groups)
    plot_trends(rows, x="step", group=group, styles=styles, ax=ax)
    ax.set_xlabel(f"training step (DPO, {optimiser})")
    ax.set_ylabel(f"drift of the {whose} (nats)")
    handles, labels = group_handles(groups, styles)
    fig.legend(handles, labels, loc="outside right upper")
    return fig


def fan(table: pd.DataFrame) -> Figure:
    """How all probes part over training: the pairs' own texts above, others below."""
    rows = select(table, metric="probe_drift")
    rows = rows.assign(probe=[str(name).replace("_", " ") for name in rows["probe"]])
    probes = [str(name) for name in unique(rows, "probe")]
    styles = loss_styles(probes)
    panels = [
        ("answers of pairs", [p for p in probes if p in TRAINED]),
        ("other texts", [p for p in probes if p not in TRAINED]),
    ]
    panels = [(name, shown) for name, shown in panels if shown]
    fig = new_figure(SINGLE_COLUMN, 1.75 * len(panels) + 0.3)
    axes = fig.subplots(len(panels), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    low, high = rows["value"].min(), rows["value"].max()
    axes[0].set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    for ax, (name, shown) in zip(axes, panels, strict=True):
        plot_fan(rows, x="step", group="probe", groups=shown, styles=styles, ax=ax)
        ax.set_title(name, fontsize=7, pad=3)
        ax.set_xlabel("training step (DPO, Adam)")
        ax.label_outer()
    fig.supylabel("change of log-probability (nats)", fontsize=8)
    count = rows["seed"].nunique()
    fig.supxlabel(f"Mean of {count} seeds, and their range.", fontsize=SMALL)
    return fig


def squeezing(table: pd.DataFrame) -> Figure:
    """Masses before and after pushes on unlikely tokens; who absorbs what they lose."""
    masses = squeezed_masses(table)
    bars = seed_intervals(masses, ["role", "when"])
    fig = new_figure(SINGLE_COLUMN, 4.2)
    above, below = fig.subplots(2, 2, height_ratios=(1.25, 1))
    for ax, log in zip(above, (False, True), strict=True):
        plot_squeezed_mass(bars, log=log, ax=ax)
        ax.set_title("decoder, log scale" if log else "decoder", fontsize=7, pad=4)
    above[1].set_ylabel("")
    rows = select(table, metric=["top_before", "absorbed"])
    for ax, (part, name) in zip(below, PARTS.items(), strict=True):
        wide = select(rows, part=part).pivot_table(
            index=["seed", "pair"], columns="metric", values="value"
        )
        plot_absorbed(wide, name=name, ax=ax)
    below[1].set_ylabel("")
    count = len(masses) // (2 * len(ROLES))
    fig.supxlabel(
        f"Bars: pale before, full after the pushes; mean over {count} positions,\n"
        "95 % intervals over seeds. Below: share of the moved\n"
        "mass that the argmax takes, one dot per position.", fontsize=SMALL,
    )  # fmt: skip
    return fig


def squeezed_masses(table: pd.DataFrame) -> pd.DataFrame:
    """Masses of the three roles in the decoder, before and after, at every position.

    The table holds the mass m of the argmax before the pushes and the three ratios
    f = after / before. Masses add up to 1 at both times, hence the pushed token had

        y = (1 - m f_top - (1 - m) f_rest) / (f_target - f_rest)

    Returns:
      Columns seed, pair, role, when, value.
    """
    rows = select(table, metric=["top_before", *LOGS], part="decoder")
    wide = rows.pivot_table(index=["seed", "pair"], columns="metric", values="value")
    ratio = {role: np.exp(wide[f"log_{role}"]) for role in ROLES}
    top = wide["top_before"]
    lost = 1 - top * ratio["top"] - (1 - top) * ratio["rest"]
    target = lost / (ratio["target"] - ratio["rest"])
    before = {"top": top, "target": target, "rest": 1 - top - target}
    parts = [
        mass.to_frame("value").reset_index().assign(role=role, when=when)
        for role in ROLES
        for when, mass in (
            ("before", before[role]),
            ("after", before[role] * ratio[role]),
        )
    ]
    return pd.concat(parts, ignore_index=True)
