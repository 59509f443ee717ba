"""Figures of the study `preference_pipeline`, from its long-format table.

Columns of analyses/tables/preference_pipeline.csv; a key that a row doesn't have is
empty: `study, part, scheme, rejected, orders, loss, seed, step, side, candidates, tau,
amount, delta, strength, metric, value`. The parts that are drawn, with their metrics:

    matched       regret, pair_gap, mislabel, calls: scheme, rejected, candidates, tau
    drift, scale, warp, length, saturation, ood, shared length
                  regret: scheme, amount (strength of the distortion)
    order bias    regret: scheme, orders, amount
    ties          regret: scheme, rejected (the tie rule), amount
    cycles        regret: scheme, amount
    delta         utility, utility_equal_kl, drop_mean, win_rate: loss, delta
    lambda        drop_q50, drop_q95: loss, delta, strength
    linear        peak_drop: scheme (the base), loss, delta, strength, step (instance)
    threshold     threshold: loss, delta
    grid          utility: scheme, loss
    control       utility, duty, drop_q05, drop_q50, drop_q95: loss, delta
    plane         the same and kl: loss, delta, strength
    reference     utility

A figure whose part the table lacks is left out. Intervals are 95 % Student-t intervals
over seeds, of the linear model the range over instances.
"""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures._preference_paths import paths
from figures._preference_runs import budget, grid, losses, quadratic
from figures._preference_strengths import planes, threshold
from gradlab.plotting import loss_styles, paper_style
from gradlab.plotting.pairs import unique
from gradlab.plotting.style import DOUBLE_COLUMN, INK, MUTED, SMALL, new_figure
from gradlab.plotting.trends import group_handles, plot_trends
from gradlab.tables import check_study_table, seed_intervals, select

DISTORTIONS = {
    "drift": "zero drifts from call to call",
    "scale": "scale differs by prompt",
    "warp": "monotone warp by prompt",
    "length": "bonus for a trait",
    "shared length": "the same, judge too",
    "saturation": "rounded and clipped",
    "ood": "offset on one in six",
}
TAILS = ("tail up", "tail down")  # of the scores' noise
SCHEMES = (
    "running winner", "both orders", "best of 3 votes", "max and min", "Swiss",
    "round robin",
)  # fmt: skip


def draw(table: pd.DataFrame) -> dict[str, Figure]:
    """All figures that the table has the parts for, by the suffix of their file.

    Raises:
      GradlabError: not a study table.
    """
    check_study_table(table, "the table of preference_pipeline")
    figures: Mapping[str, tuple[set[str], Callable[[pd.DataFrame], Figure]]] = {
        "calls": ({"matched"}, calls),
        "pairs": ({"matched"}, pairs),
        "distortions": (set(DISTORTIONS), distortions),
        "judges": ({"order bias", "ties", "cycles"}, judges),
        "budget": ({"delta"}, budget),
        "paths": ({"plane", "reference"}, paths),
        "threshold": ({"lambda", "linear"}, threshold),
        "quadratic": ({"delta"}, quadratic),
        "losses": ({"control", "delta"}, losses),
        "planes": ({"plane"}, planes),
        "grid": ({"grid", "pairs"}, grid),
    }
    parts = set(table["part"])
    with paper_style():
        return {
            name: make(table)
            for name, (needed, make) in figures.items()
            if needed <= parts
        }


def _widest(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the number of candidates that has most noises."""
    counts = rows.groupby("candidates")["tau"].nunique()
    return select(rows, candidates=counts.idxmax())


def _wide(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Means over seeds, a column for each metric."""
    means = seed_intervals(rows, [*keys, "metric"])
    return means.pivot_table(index=keys, columns="metric", values="value").reset_index()


def calls(table: pd.DataFrame) -> Figure:
    """Regret against judge calls, a panel per noise."""
    rows = _widest(select(table, part="matched", metric=["regret", "calls"]))
    rows = select(rows, rejected=["lowest", "second pass"])
    wide = _wide(rows, ["scheme", "tau"])
    noises = sorted(wide["tau"].unique())
    styles = loss_styles([*SCHEMES, *TAILS])
    fig = new_figure(DOUBLE_COLUMN, 2.45)
    axes = np.atleast_1d(fig.subplots(1, len(noises), sharex=True, sharey=True))
    for tau, ax in zip(noises, axes, strict=True):
        own = select(wide, tau=tau)
        for tail in TAILS:
            names = [
                name for name in unique(own, "scheme") if name.endswith(f", {tail}")
            ]
            scored = select(own, scheme=names).sort_values("calls")
            style = styles[tail]
            ax.plot(
                scored["calls"], scored["regret"], color=style.color,
                marker=style.marker, linestyle=style.dashes,
            )  # fmt: skip
        for scheme in SCHEMES:
            one, style = select(own, scheme=scheme), styles[scheme]
            ax.plot(
                one["calls"], one["regret"], color=style.color, marker=style.marker,
                linestyle="", markersize=4.5,
            )  # fmt: skip
        ax.set_xscale("log", base=2)
        ax.set_xticks([8, 16, 32], ["8", "16", "32"])
        ax.set_title(f"noise {tau:g} sd")
    axes[0].set_yscale("log")
    ticks = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1)
    axes[0].set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes[0].minorticks_off()
    axes[0].set_ylabel("regret of the chosen (sd)")
    axes[len(axes) // 2].set_xlabel("judge calls per prompt (scores: 1, 2, 4 each)")
    handles, labels = group_handles([*SCHEMES, *TAILS], styles)
    for handle in handles[: len(SCHEMES)]:
        handle.set_linestyle("")
    labels[len(SCHEMES) :] = [f"scores, {tail}" for tail in TAILS]
    fig.legend(handles, labels, loc="outside lower center", ncols=4)
    return fig


def pairs(table: pd.DataFrame) -> Figure:
    """Pair gap against the share of pairs with the worse one chosen."""
    rows = _widest(select(table, part="matched"))
    tau = sorted(rows["tau"].unique())[len(set(rows["tau"])) // 2]
    wide = _wide(select(rows, tau=tau), ["scheme", "rejected"])
    left_out = ("random pair", "scores x 2", "scores x 4")
    points = [
        one
        for one in wide.to_dict("records")
        if not one["scheme"].startswith(left_out) and one["mislabel"] > 0
    ]
    names = [f"{one['scheme']}, {one['rejected']}" for one in points]
    styles = loss_styles(names)
    fig = new_figure(DOUBLE_COLUMN, 2.7)
    ax = fig.add_subplot()
    for name, one in zip(names, points, strict=True):
        style = styles[name]
        hollow = "white" if one["rejected"] not in ("lowest", "second pass") else None
        ax.plot(
            100 * one["mislabel"], one["pair_gap"], color=style.color, linestyle="",
            marker=style.marker, markersize=5, markerfacecolor=hollow or style.color,
        )  # fmt: skip
    ax.set_xlabel(f"pairs with the worse one chosen (%), noise {tau:g} sd")
    ax.set_ylabel("utility, chosen less rejected (sd)")
    ax.set_xscale("log")
    ax.set_xticks([0.1, 0.3, 1, 3, 10], ["0.1", "0.3", "1", "3", "10"])
    ax.minorticks_off()
    fig.legend(
        ax.get_lines(), names, loc="outside right upper", title="chosen by, rejected",
        title_fontsize=7, alignment="left",
    )  # fmt: skip
    return fig


def distortions(table: pd.DataFrame) -> Figure:
    """Regret of scoring less that of comparing, against the distortion's strength."""
    rows = select(table, part=list(DISTORTIONS), metric="regret")
    keys = ["part", "amount", "seed"]
    wide = rows.pivot_table(index=keys, columns="scheme", values="value").reset_index()
    groups, styles = list(DISTORTIONS), loss_styles(DISTORTIONS)
    fig = new_figure(DOUBLE_COLUMN, 2.7)
    axes = fig.subplots(1, 2, sharey=True)
    for ax, tail in zip(axes, TAILS, strict=True):
        gain = wide[f"scores x 1, {tail}"] - wide["max and min"]
        trends = seed_intervals(wide.assign(value=gain), ["part", "amount"])
        _with_crossings(ax, trends, groups, styles)
        ax.set_title(f"scores' noise: {tail}")
        ax.set_xlabel("strength (sd of utility)")
    axes[0].set_ylabel("regret: scores less comparisons (sd)")
    handles, _ = group_handles(groups, styles)
    fig.legend(handles, list(DISTORTIONS.values()), loc="outside lower center", ncols=4)
    return fig


def _with_crossings(ax: Axes, trends: pd.DataFrame, groups: list[str], styles) -> None:
    """The lines of a panel, a ring wherever one crosses 0."""
    plot_trends(trends, x="amount", group="part", groups=groups, styles=styles, ax=ax)
    for group in groups:
        line = select(trends, part=group).sort_values("amount")
        for place in zero_crossings(*line[["amount", "value"]].to_numpy(float).T):
            ax.plot(
                place, 0, "o", color=styles[group].color, markersize=7, zorder=4,
                markerfacecolor="none",
            )  # fmt: skip


def zero_crossings(x: np.ndarray, y: np.ndarray) -> list[float]:
    """Where the line through the points crosses 0.

    Example:
      >>> zero_crossings(np.array([0.0, 1.0, 2.0]), np.array([-1.0, 1.0, 2.0]))
      [0.5]
    """
    found = []
    for k in np.flatnonzero(y[:-1] * y[1:] < 0):
        share = y[k] / (y[k] - y[k + 1])
        found.append(float(x[k] + share * (x[k + 1] - x[k])))
    return found


def judges(table: pd.DataFrame) -> Figure:
    """What order bias, ties and an intransitive part cost."""
    fig = new_figure(DOUBLE_COLUMN, 2.5)
    axes = fig.subplots(1, 3, sharey=True)
    panels = (
        ("order bias", "orders", {"scheme": "running winner"}, "order bias (sd)", {
            "fixed": "champion first", "random": "random order", "both": "both orders",
        }),
        ("ties", "rejected", {"scheme": "running winner"}, "tie below (sd)", {
            "keep": "keeps the champion", "coin": "coin", "ask": "asks again",
        }),
        ("cycles", "scheme", {}, "intransitive part (sd)", {
            "running winner": "running winner", "max and min": "max and min",
            "round robin": "round robin",
        }),
    )  # fmt: skip
    for ax, (part, group, keys, title, names) in zip(axes, panels, strict=True):
        rows = select(table, part=part, metric="regret", **keys)
        _panel(ax, seed_intervals(rows, [group, "amount"]), group, names)
        ax.set_xlabel(title)
    axes[0].set_ylabel("regret of the chosen (sd)")
    axes[0].set_ylim(bottom=0)
    return fig


def _panel(ax: Axes, trends: pd.DataFrame, group: str, names: Mapping[str, str]):
    shown = [name for name in names if name in set(trends[group])]
    styles = loss_styles(names)
    plot_trends(trends, x="amount", group=group, groups=shown, styles=styles, ax=ax)
    handles: list[Line2D] = group_handles(shown, styles)[0]
    ax.legend(
        handles, [names[name] for name in shown], loc="lower right", fontsize=SMALL,
        labelcolor=INK, edgecolor=MUTED,
    )  # fmt: skip
