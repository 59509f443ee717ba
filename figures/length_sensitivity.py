"""Figures of the study `length_sensitivity`, from its long-format table.

Columns of analyses/tables/length_sensitivity.csv; a key that a row doesn't have is
empty: `study, kind, loss, seed, step, side, beta_kind, ref_convention, subset, part,
quantity, pair, L_c, L_r, quartile, kappa, beta, rate, alpha_ld, metric, value`. The
metrics that are drawn, and the keys of their rows besides study, kind and seed:

    w_abs, mass, mass_ratio    kind weights: loss, part, L_c, L_r
    value_change, weight_ratio kind padding: loss, side, part, step = appended tokens
    rho, rho_low, rho_high     kind a set of pairs: loss, quantity, part, side = length
    mass                       kind a set of pairs: loss, L_c, over the loss's mean
    gen_len, score, kl_seq, trunc_share
                               kind task: loss, beta_kind, beta, kappa, rate
    r2_len                     the same with part
    drift_sum, drift_token     the same with side, quartile
    first_margin_sd, first_margin_spread
                               kind identity: pair
    w_eos, eos_energy, length  kind eos: loss, quartile
    logp_fitted, logp_closed, logp_averaged_kl
                               kind tabular: loss, pair, quantity, L_c

A figure whose metrics the table lacks is left out. Intervals are 95 % Student-t
intervals over seeds; those of real pairs are bootstrap intervals over pairs.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from figures import _length_runs as trained
from gradlab.plotting import length_maps_figure, loss_styles, paper_style
from gradlab.plotting.estimates import ROW, plot_estimates
from gradlab.plotting.pairs import unique
from gradlab.plotting.style import DOUBLE_COLUMN, MUTED, SMALL, new_figure
from gradlab.plotting.text import label, number
from gradlab.plotting.trends import group_handles
from gradlab.tables import check_study_table, seed_intervals, select

DATASETS = {
    "hh_helpful": "HH helpful",
    "hh_harmless": "HH harmless",
    "gsm8k": "GSM8K, one wrong step",
    "llmbar": "LLMBar",
}
QUANTITIES = {"margin": "margin", "slope": "|slope c|", "gradient": "gradient norm"}


def draw(table: pd.DataFrame) -> dict[str, Figure]:
    """All figures that the table has the metrics for, by the suffix of their file.

    Raises:
      GradlabError: not a study table.
    """
    check_study_table(table, "the table of length_sensitivity")
    sets = [name for name in DATASETS if name in set(table["kind"])]
    task = table["metric"] == "gen_len"
    figures: dict[str, tuple[bool, Callable[[pd.DataFrame], Figure]]] = {
        "weights": (_has(table, "weights", "w_abs"), weights),
        "maps": (_has(table, "weights", "mass_ratio"), maps),
        "padding": (_has(table, "padding", "value_change"), padding),
        "optimum": (_has(table, "tabular", "logp_averaged_kl"), optimum),
        "masses": (bool(sets), masses),
        "correlations": (bool(sets), correlations),
        "eos": (_has(table, "eos", "w_eos"), eos),
        "frontier": (bool(task.any()), trained.frontier),
        "meetings": (_has(table, "task", "trunc_share"), trained.meetings),
        "rewards": (_has(table, "task", "r2_len"), trained.rewards),
        "subsets": (bool((task & (table["subset"] != "")).any()), trained.subsets),
        "quartiles": (_has(table, "task", "drift_sum"), trained.quartiles),
        "variants": (
            _has(table, "identity", "first_margin_sd")
            and bool((task & (table["ref_convention"] != "")).any()),
            trained.variants,
        ),
    }  # fmt: skip
    with paper_style():
        return {name: make(table) for name, (has, make) in figures.items() if has}


def _has(table: pd.DataFrame, kind: str, metric: str) -> bool:
    return bool(((table["kind"] == kind) & (table["metric"] == metric)).any())


def _logarithmic(ax: Axes, *, base: float = 10, both: bool = True) -> None:
    ax.set_xscale("log", base=base)
    if both:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1,)))
    for axis in (ax.xaxis, ax.yaxis)[: 1 + both]:
        axis.set_major_formatter(lambda x, _: number(x))
        axis.set_minor_locator(NullLocator())


def weights(table: pd.DataFrame) -> Figure:
    """Weight per token and in all of the chosen side against its length."""
    rows = select(table, kind="weights", metric=["w_abs", "mass"])
    losses = unique(rows, "loss")
    styles = loss_styles(losses)
    fig = new_figure(DOUBLE_COLUMN, 4.1)
    grid = fig.subplots(2, 2, sharex=True, sharey="row")
    names = {"w_abs": "|w| per token", "mass": "Σ|w| of the response"}
    titles = {"reference": "policy = reference", "trained": "margin of 2 nats"}
    for axes, (metric, name) in zip(grid, names.items(), strict=True):
        for ax, (part, title) in zip(axes, titles.items(), strict=True):
            for loss in losses:
                line = select(rows, loss=loss, metric=metric, part=part)
                line, style = line.sort_values("L_c"), styles[loss]
                ax.plot(
                    line["L_c"].astype(float), line["value"], color=style.color,
                    linestyle=style.dashes, marker=style.marker, markersize=3,
                    linewidth=1,
                )  # fmt: skip
            _logarithmic(ax, base=2)
            ax.set_title(title if metric == "w_abs" else "", fontsize=7, pad=2)
        axes[0].set_ylabel(name)
    other = int(rows["L_r"].iloc[0])
    fig.supxlabel(
        f"tokens in the chosen response; the rejected one has {other}", fontsize=8
    )
    fig.legend(*group_handles(losses, styles), loc="outside right center")
    return fig


def maps(table: pd.DataFrame) -> Figure:
    """Which side weighs more over both lengths, at the reference."""
    rows = select(table, kind="weights", metric="mass_ratio", part="reference")
    maps = {
        loss: select(rows, loss=loss).rename(
            columns={"L_c": "length_chosen", "L_r": "length_rejected"}
        )
        for loss in unique(rows, "loss")
    }
    return length_maps_figure(
        maps, value="log₂ of Σ|w| chosen / rejected", columns=min(3, len(maps))
    )


def padding(table: pd.DataFrame) -> Figure:
    """Change of the loss when tokens are appended to one side."""
    rows = select(table, kind="padding", metric="value_change")
    losses = unique(rows, "loss")
    styles = loss_styles(losses)
    fig = new_figure(DOUBLE_COLUMN, 4.1)
    grid = fig.subplots(2, 2, sharex=True, sharey=True)
    notes = {"neutral": "neutral tokens", "typical": "typical tokens"}
    for axes, (part, name) in zip(grid, notes.items(), strict=True):
        for ax, side in zip(axes, ("chosen", "rejected"), strict=True):
            ax.axhline(0, color=MUTED, linewidth=0.6, zorder=0)
            for loss in losses:
                line = select(rows, loss=loss, side=side, part=part)
                line, style = line.sort_values("step"), styles[loss]
                ax.plot(
                    line["step"].astype(float), line["value"], color=style.color,
                    linestyle=style.dashes, marker=style.marker, markersize=3,
                    linewidth=1,
                )  # fmt: skip
            _logarithmic(ax, base=2, both=False)
            ax.set_yscale("symlog", linthresh=0.01)
            ax.yaxis.set_major_formatter(lambda x, _: number(x))
            ax.set_title(f"{name}, {side} side", fontsize=7, pad=2)
    fig.supxlabel("tokens appended to a response of 16", fontsize=8)
    fig.supylabel("change of the loss", fontsize=8)
    fig.legend(*group_handles(losses, styles), loc="outside right center")
    return fig


def optimum(table: pd.DataFrame) -> Figure:
    """Fitted against closed-form log-probabilities, and the averaged-KL optimum."""
    rows = select(table, kind="tabular")
    shown = ["logp_fitted", "logp_closed", "logp_averaged_kl"]
    rows = select(rows, metric=shown)
    wide = rows.pivot_table(
        index=["loss", "pair", "quantity", "L_c"], columns="metric", values="value"
    ).reset_index()
    fig = new_figure(DOUBLE_COLUMN, 2.7)
    left, right = fig.subplots(1, 2, sharex=True, sharey=True)
    marks = dict(zip(unique(rows, "loss"), "o^sD", strict=False))
    ends = [wide["logp_closed"].min(), 0]
    dots = None
    for ax, column in ((left, "logp_fitted"), (right, "logp_averaged_kl")):
        ax.plot(ends, ends, color=MUTED, linewidth=0.6, zorder=0)
        for loss, mark in marks.items():
            own = select(wide, loss=loss).dropna(subset=[column])
            dots = ax.scatter(
                own["logp_closed"], own[column], 12, own["L_c"].astype(float),
                marker=mark, cmap="viridis", vmin=1, vmax=wide["L_c"].max(),
                linewidths=0, label=label(loss),
            )  # fmt: skip
    left.set_ylabel("fitted log π")
    left.legend(loc="upper left", markerscale=0.9, handletextpad=0.2)
    right.set_ylabel("optimum of reward − β averaged KL")
    right.set_title("averaged_dpo", fontsize=7, pad=2)
    fig.supxlabel("closed form, log π in nats", fontsize=8)
    if dots is not None:
        bar = fig.colorbar(dots, ax=[left, right], pad=0.01, label="tokens")
        bar.outline.set_visible(False)  # type: ignore[operator]
    return fig


def masses(table: pd.DataFrame) -> Figure:
    """Total weight of a real response against its length, a panel per set."""
    sets = [name for name in DATASETS if name in set(table["kind"])]
    rows = select(table, metric="mass", part="reference", kind=sets)
    losses = unique(rows, "loss")
    styles = loss_styles(losses)
    fig = new_figure(DOUBLE_COLUMN, 2.5)
    axes = np.atleast_1d(fig.subplots(1, len(sets), sharey=True))
    for ax, name in zip(axes, sets, strict=True):
        ax.axhline(1, color=MUTED, linewidth=0.6, zorder=0)
        for loss in losses:
            line = select(rows, kind=name, loss=loss).sort_values("L_c")
            style = styles[loss]
            ax.plot(
                line["L_c"].astype(float), line["value"], color=style.color,
                linestyle=style.dashes, marker=style.marker, markersize=3, linewidth=1,
            )  # fmt: skip
        ax.set_title(DATASETS[name], fontsize=7, pad=2)
    axes[0].set_ylim(0, None)  # shared, so only once all lines are there
    axes[0].set_ylabel("Σ|w| / the loss's mean")
    fig.supxlabel("tokens in the response", fontsize=8)
    fig.legend(*group_handles(losses, styles), loc="outside right center")
    return fig


def correlations(table: pd.DataFrame) -> Figure:
    """Rank correlations with the length difference, plain and partial, real pairs."""
    sets = [name for name in DATASETS if name in set(table["kind"])]
    rows = select(table, metric=["rho", "rho_low", "rho_high"], kind=sets, side="gap")
    keys = ["kind", "loss", "quantity", "part"]
    wide = rows.pivot_table(index=keys, columns="metric", values="value").reset_index()
    wide = wide.rename(
        columns={"kind": "series", "loss": "row", "rho": "value", "rho_low": "low",
                 "rho_high": "high"}
    )  # fmt: skip
    losses, styles = unique(rows, "loss"), loss_styles(sets)
    fig = new_figure(DOUBLE_COLUMN, 2 * (ROW * len(losses) + 0.25) + 0.5)
    grid = fig.subplots(2, len(QUANTITIES), sharex=True, sharey=True)
    notes = {"plain": "", "given": ", given the token gap"}
    for axes, (part, note) in zip(grid, notes.items(), strict=True):
        for ax, (quantity, name) in zip(axes, QUANTITIES.items(), strict=True):
            own = select(wide, quantity=quantity, part=part)
            if len(own):
                plot_estimates(own, rows=losses, series=sets, styles=styles, ax=ax)
            ax.set_title(name + note, fontsize=7, pad=2)
            ax.set_xlim(-1.05, 1.05)
    handles, _ = group_handles(sets, styles)
    for handle in handles:
        handle.set_linestyle("")
    names = [DATASETS[name] for name in sets]
    fig.legend(
        handles, names, loc="outside lower center", ncols=len(sets),
        title="rank correlation with L_chosen − L_rejected, 95 % bootstrap interval",
        title_fontsize=SMALL,
    )  # fmt: skip
    return fig


def eos(table: pd.DataFrame) -> Figure:
    """Weight and logit energy of the end token against the response's length."""
    rows = select(table, kind="eos")
    losses = unique(rows, "loss")
    styles = loss_styles(losses)
    fig = new_figure(DOUBLE_COLUMN, 2.4)
    names = {"w_eos": "|w| of the end token\n/ mean |w| of the batch",
             "eos_energy": "share of the end token\nin the logit energy"}  # fmt: skip
    for ax, (metric, name) in zip(fig.subplots(1, 2), names.items(), strict=True):
        for loss in losses:
            own, style = select(rows, loss=loss), styles[loss]
            x = seed_intervals(select(own, metric="length"), ["quartile"])
            y = seed_intervals(select(own, metric=metric), ["quartile"])
            both = x[["quartile", "value"]].merge(y, on="quartile", suffixes=("_x", ""))
            both = both.sort_values("value_x")
            ax.plot(
                both["value_x"], both["value"], color=style.color,
                linestyle=style.dashes, marker=style.marker, markersize=3, linewidth=1,
            )  # fmt: skip
            ax.vlines(both["value_x"], both["low"], both["high"], color=style.color,
                      linewidth=0.7, alpha=0.5)  # fmt: skip
        ax.set_xlabel("tokens in the response")
        ax.set_ylabel(name)
        ax.set_ylim(0, None)
    fig.legend(*group_handles(losses, styles), loc="outside right center")
    return fig
