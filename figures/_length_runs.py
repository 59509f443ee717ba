"""The figures of `length_sensitivity` that show trained policies."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from gradlab.plotting import loss_styles
from gradlab.plotting.estimates import ROW, plot_estimates
from gradlab.plotting.paths import plot_paths
from gradlab.plotting.style import DOUBLE_COLUMN, MUTED, new_figure
from gradlab.plotting.text import number
from gradlab.plotting.trends import group_handles, plot_trends
from gradlab.tables import seed_intervals, select

MATCHED = "avg_matched"
# (loss, kind of its strength) -> how it is called
NAMES = {
    ("dpo", "sum"): "dpo",
    ("averaged_dpo", "avg_matched"): "averaged_dpo, Lβ",
    ("averaged_dpo", "avg"): "averaged_dpo, β",
    ("ipo", "sum"): "ipo",
    ("ipo(reduction=mean)", "avg_matched"): "averaged ipo, Lτ",
    ("ipo(reduction=mean)", "avg"): "averaged ipo, τ",
    ("simpo", "avg_matched"): "simpo, Lβ",
    ("simpo_summed", "sum"): "simpo summed",
    ("rdpo", "sum"): "rdpo",
    ("sampo", "sum"): "sampo",
    ("wpo", "sum"): "wpo",
    ("averaged_dpo(reference_averaged=False)", "avg_matched"): "reference summed, Lβ",
}
FRONTIER = list(NAMES.values())
AXES = {
    ("kl_seq", "score"): ("KL to the reference, nats", "score"),
    ("gen_len", "score"): ("tokens generated", "score"),
    ("kl_seq", "gen_len"): ("KL to the reference, nats", "tokens generated"),
}
SUBSETS = ("chosen shorter", "matched", "chosen longer")
TWO = ("dpo", "averaged_dpo, Lβ")
COMPARED = (TWO, ("dpo", "sampo"), ("simpo, Lβ", "simpo summed"))
# Their rewards are neither the sum nor the mean of log-ratios.
OTHER_REWARD = ("simpo", "simpo_summed", "averaged_dpo(reference_averaged=False)")
CUT = 0.05  # share of samples that reach the limit of length, above which it shows
METRICS = (
    "gen_len", "score", "kl_seq", "trunc_share", "r2_len", "drift_sum", "drift_token",
    "length",
)  # fmt: skip


def runs(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of trained policies at the study's rate, with their loss's name."""
    rows = select(table, kind="task", metric=list(METRICS))
    rows = rows[(rows["rate"].isna() | (rows["rate"] == 1))]
    keys = zip(rows["loss"], rows["beta_kind"], strict=True)
    return rows.assign(group=[NAMES.get(key, key[0]) for key in keys])


def _first_kappa(rows: pd.DataFrame) -> pd.DataFrame:
    return select(rows, kappa=rows["kappa"].max())


def frontier(table: pd.DataFrame) -> Figure:
    """Score, length and divergence against each other, a path per loss over beta.

    Markers are open where more than `CUT` of the samples reach the limit of length.
    """
    rows = _first_kappa(runs(table))
    plain = select(rows, subset="", ref_convention="")
    names = [name for name in FRONTIER if name in set(plain["group"])]
    styles = loss_styles(names)
    fig = new_figure(DOUBLE_COLUMN, 2.75)
    for ax, (metrics, labels) in zip(fig.subplots(1, 3), AXES.items(), strict=True):
        points = _points(plain, metrics, names)
        plot_paths(
            points, groups=names, styles=styles, ax=ax, pareto=metrics[1] == "score"
        )
        for name, cut in points[points["cut"] > CUT].groupby("group"):
            style = styles[str(name)]
            ax.plot(cut["x"], cut["y"], style.marker, color=style.color, mfc="white",
                    markersize=4, mew=0.6)  # fmt: skip
        ax.set_xlabel(labels[0])
        ax.set_ylabel(labels[1])
    fig.legend(*group_handles(names, styles), loc="outside lower center", ncols=4)
    return fig


def _points(rows: pd.DataFrame, metrics, names) -> pd.DataFrame:
    """Means over seeds of both metrics by group and beta, the reference first."""
    found = []
    for name in names:
        own = select(rows, group=[name, "reference"])
        own = own.assign(beta=own["beta"].fillna(np.inf))
        x, y, cut = (
            seed_intervals(select(own, metric=metric), ["beta"])
            for metric in (*metrics, "trunc_share")
        )
        joined = x[["beta", "value"]].merge(y, on="beta", suffixes=("_x", ""))
        joined = joined.merge(cut[["beta", "value"]], on="beta", suffixes=("", "_cut"))
        found.append(
            pd.DataFrame(
                {
                    "group": name,
                    "x": joined["value_x"],
                    "y": joined["value"],
                    "low": joined["low"],
                    "high": joined["high"],
                    "cut": joined["value_cut"],
                }
            )
        )
    return pd.concat(found, ignore_index=True)


def meetings(table: pd.DataFrame) -> Figure:
    """Length against KL of every policy that a comparison at equal KL stands on."""
    rows = select(table, kind="task", subset="", ref_convention="")
    rows = rows[rows["rate"] <= 1]
    keys = zip(rows["loss"], rows["beta_kind"], strict=True)
    rows = rows.assign(group=[NAMES.get(key, "") for key in keys])
    panels = _panels(rows)
    styles = loss_styles(list(dict.fromkeys(n for names in COMPARED for n in names)))
    fig = new_figure(DOUBLE_COLUMN, 2 + 1.7 * (len(panels) > 3))
    grid = fig.subplots(1 + (len(panels) > 3), 3, squeeze=False).ravel()
    for ax, (names, kappa) in zip(grid, panels, strict=False):
        for name in names:
            _dots(ax, select(rows, group=name, kappa=kappa), styles[name])
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        ax.xaxis.set_major_formatter(lambda x, _: number(x))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_title(f"κ = {number(kappa)}", fontsize=7, pad=2)
    for ax in grid[len(panels) :]:
        ax.axis("off")
    for ax in grid[: len(panels)][-3:]:
        ax.set_xlabel("KL to the reference, nats")
    fig.supylabel("tokens generated", fontsize=8)
    shown = list(dict.fromkeys(name for names, _ in panels for name in names))
    handles, _ = group_handles(shown, styles)
    for handle in handles:
        handle.set_linestyle("")
    fig.legend(handles, shown, loc="outside lower center", ncols=len(shown))
    return fig


def _panels(rows: pd.DataFrame) -> list[tuple[tuple[str, str], float]]:
    """Two losses and the annotator's kappa under which both were trained."""
    kappas = sorted(set(rows["kappa"]), reverse=True)
    there = set(zip(rows["group"], rows["kappa"], strict=True))
    return [
        (names, kappa)
        for names in COMPARED
        for kappa in (kappas if names == TWO else kappas[:1])
        if {(name, kappa) for name in names} <= there
    ]


def _dots(ax, rows: pd.DataFrame, style) -> None:
    """A marker per policy, open where its samples are cut off."""
    wide = rows.pivot_table(
        index=["seed", "beta", "rate"], columns="metric", values="value"
    )
    for some, fill in (
        (wide[wide["trunc_share"] <= CUT], style.color),
        (wide[wide["trunc_share"] > CUT], "white"),
    ):
        ax.plot(some["kl_seq"], some["gen_len"], style.marker, color=style.color,
                mfc=fill, markersize=3, mew=0.7)  # fmt: skip


def rewards(table: pd.DataFrame) -> Figure:
    """R² of the implicit reward on length: on data, on the policy's samples."""
    rows = _first_kappa(select(runs(table), metric="r2_len", subset=""))
    rows = select(rows, ref_convention="")
    shown = [name for key, name in NAMES.items() if key[0] not in OTHER_REWARD]
    names = [name for name in shown if name in set(rows["group"])]
    cells = seed_intervals(rows, ["group", "part"])
    cells = cells.rename(columns={"group": "row", "part": "series"})
    styles = loss_styles(["data", "policy"])
    fig = new_figure(DOUBLE_COLUMN * 0.6, ROW * len(names) + 0.85)
    ax = plot_estimates(
        cells, rows=names, series=["data", "policy"], styles=styles,
        ax=fig.add_subplot(),
    )  # fmt: skip
    ax.set_xlabel("R² of the implicit reward on length, within prompts")
    handles, _ = group_handles(["data", "policy"], styles)
    for handle in handles:
        handle.set_linestyle("")
    fig.legend(
        handles, ["on the pairs", "on the policy's samples"],
        loc="outside lower center", ncols=2,
    )  # fmt: skip
    return fig


def subsets(table: pd.DataFrame) -> Figure:
    """Length of what policies write that learnt from pairs of one kind of length."""
    rows = runs(table)
    own = select(rows, metric="gen_len", subset=list(SUBSETS))
    cells = seed_intervals(own, ["group", "subset"])
    place = {name: k for k, name in enumerate(SUBSETS)}
    cells = cells.assign(place=[place[x] for x in cells["subset"]])
    names = [name for name in TWO if name in set(cells["group"])]
    fig = new_figure(DOUBLE_COLUMN * 0.55, 2.3)
    ax = fig.add_subplot()
    styles = loss_styles(names)
    plot_trends(cells, x="place", group="group", groups=names, styles=styles,
                shift=0.08, ax=ax)  # fmt: skip
    _mark_reference(ax, rows)
    ax.set_xticks(range(len(SUBSETS)), SUBSETS)
    ax.set_xlim(-0.4, len(SUBSETS) - 0.6)
    ax.set_xlabel("pairs that it learnt from")
    ax.set_ylabel("tokens generated")
    _fit_y(ax, cells, rows)
    ax.legend(*group_handles(names, styles), loc="upper left")
    return fig


def _mark_reference(ax, rows: pd.DataFrame) -> None:
    start = select(rows, loss="reference", metric="gen_len")["value"].mean()
    ax.axhline(start, color=MUTED, linewidth=0.8, linestyle=":")
    ax.annotate(
        "reference", (1, start), xycoords=("axes fraction", "data"), fontsize=6.5,
        ha="right", va="bottom", color=MUTED, xytext=(0, 1), textcoords="offset points",
    )  # fmt: skip


def _fit_y(ax, cells: pd.DataFrame, rows: pd.DataFrame) -> None:
    """The range of the means and of the reference: 0 is far from all of them."""
    start = select(rows, loss="reference", metric="gen_len")["value"].mean()
    values = np.append(cells[["value", "low", "high"]].to_numpy(float).ravel(), start)
    low, high = np.nanmin(values), np.nanmax(values)
    ax.set_ylim(low - 0.12 * (high - low), high + 0.12 * (high - low))


def quartiles(table: pd.DataFrame) -> Figure:
    """Drift of the training pairs by quartile of length, in all and per token."""
    rows = _first_kappa(runs(table))
    rows = select(rows, subset="", metric=["drift_sum", "drift_token"])
    rows = rows.loc[rows["beta"].sub(0.1).abs() < 1e-9]
    names = [name for name in TWO if name in set(rows["group"])]
    styles = loss_styles(names)
    fig = new_figure(DOUBLE_COLUMN, 3.5)
    grid = fig.subplots(2, 2, sharex=True)
    labels = {"drift_sum": "Δ log p, nats", "drift_token": "Δ log p, nats per token"}
    for axes, (metric, name) in zip(grid, labels.items(), strict=True):
        for ax, side in zip(axes, ("chosen", "rejected"), strict=True):
            cells = seed_intervals(
                select(rows, metric=metric, side=side), ["group", "quartile"]
            )
            cells["quartile"] = cells["quartile"].astype(int) + 1
            plot_trends(cells, x="quartile", group="group", groups=names,
                        styles=styles, shift=0.08, ax=ax)  # fmt: skip
            ax.set_xlabel("")
            ax.set_title(side, fontsize=7, pad=2)
            ax.set_xticks(range(1, 5))
        axes[0].set_ylabel(name)
    fig.supxlabel("quartile of length, shortest first", fontsize=8)
    fig.legend(*group_handles(names, styles), loc="outside upper center", ncols=2)
    return fig


def variants(table: pd.DataFrame) -> Figure:
    """Length against LD-DPO's alpha, and SamPO's first margins."""
    rows = runs(table)
    names = {"both": "policy and reference weighted", "policy": "policy only"}
    own = select(rows, metric="gen_len", ref_convention=list(names))
    cells = seed_intervals(own, ["ref_convention", "alpha_ld"])
    styles = loss_styles(names)
    fig = new_figure(DOUBLE_COLUMN, 2.4)
    left, right = fig.subplots(1, 2)
    plot_trends(cells, x="alpha_ld", group="ref_convention", groups=list(names),
                styles=styles, shift=0.015, ax=left)  # fmt: skip
    _mark_reference(left, rows)
    _fit_y(left, cells, rows)
    left.set_xlabel("α of LD-DPO")
    left.set_ylabel("tokens generated")
    handles, _ = group_handles(list(names), styles)
    left.legend(handles, list(names.values()), loc="best")
    first = select(table, metric=["first_margin_sd", "first_margin_spread"])
    wide = first.pivot_table(index=["seed", "pair"], columns="metric", values="value")
    expected = wide["first_margin_sd"]
    right.plot(expected, expected * wide["first_margin_spread"], "o", ms=3, alpha=0.7)
    ends = [0, 1.05 * expected.max()]
    right.plot(ends, ends, color=MUTED, linewidth=0.6, zorder=0)
    right.set_xlabel("SD by sampling without replacement")
    right.set_ylabel("SD of SamPO's first margin")
    return fig
