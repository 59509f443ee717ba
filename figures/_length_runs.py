"""The figures of `length_sensitivity` that show trained policies."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gradlab.plotting import loss_styles
from gradlab.plotting.estimates import ROW, plot_estimates
from gradlab.plotting.paths import plot_paths
from gradlab.plotting.style import DOUBLE_COLUMN, MUTED, new_figure
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
METRICS = ("gen_len", "score", "kl_seq", "r2_len", "drift_sum", "drift_token", "length")


def runs(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of trained policies at the study's rate, with their loss's name."""
    rows = select(table, kind="task", metric=list(METRICS))
    rows = rows[(rows["rate"].isna() | (rows["rate"] == 1))]
    keys = zip(rows["loss"], rows["beta_kind"], strict=True)
    return rows.assign(group=[NAMES.get(key, key[0]) for key in keys])


def _first_kappa(rows: pd.DataFrame) -> pd.DataFrame:
    return select(rows, kappa=rows["kappa"].max())


def frontier(table: pd.DataFrame) -> Figure:
    """Score, length and divergence against each other, a path per loss over beta."""
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
        x, y = (
            seed_intervals(select(own, metric=metric), ["beta"]) for metric in metrics
        )
        joined = x[["beta", "value"]].merge(y, on="beta", suffixes=("_x", ""))
        found.append(
            pd.DataFrame(
                {
                    "group": name,
                    "x": joined["value_x"],
                    "y": joined["value"],
                    "low": joined["low"],
                    "high": joined["high"],
                }
            )
        )
    return pd.concat(found, ignore_index=True)


def rewards(table: pd.DataFrame) -> Figure:
    """R² of the implicit reward on length: on data, on the policy's samples."""
    rows = _first_kappa(select(runs(table), metric="r2_len", subset=""))
    rows = select(rows, ref_convention="")
    names = [n for n in FRONTIER if n in set(rows["group"]) and "simpo" not in n]
    cells = seed_intervals(rows, ["group", "part"])
    cells = cells.rename(columns={"group": "row", "part": "series"})
    styles = loss_styles(["data", "policy"])
    fig = new_figure(DOUBLE_COLUMN * 0.6, ROW * len(names) + 0.85)
    ax = plot_estimates(
        cells, rows=names, series=["data", "policy"], styles=styles,
        ax=fig.add_subplot(),
    )  # fmt: skip
    ax.set_xlabel("R² of log π / π_ref on length, within prompts")
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
    ax.legend(*group_handles(names, styles), loc="best")
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
