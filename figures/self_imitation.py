"""Figures of the study `self_imitation`, from its long-format table.

Columns of analyses/tables/self_imitation.csv; a key that a row doesn't have is empty:
`study, part, loss, seed, step, side, scale, shift, iteration, decoding, negatives,
target_nat, draw, outcome, z, metric, value`. The metrics that are drawn, and the parts
and keys of their rows besides study and loss:

    loss_real, loss_gen, slope_real, slope_gen
                               identity: z
    kl_data_policy, acc        exact, lm, words: seed, scale, shift, decoding,
                               iteration; sampled: draw as well
    logp_real, logp_gen        words: seed, iteration
    d_chosen_sum, d_rejected_sum
                               lm, lm pairs, lm scale, words: seed, iteration, step;
                               drain source: seed; lm scale and drain source with
                               scale and shift
    log_ratio, fitted_z or learned
                               optimum, calibration: seed, outcome

A figure whose parts the table lacks is left out. Intervals: 95 % Student-t over seeds.
"""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures._imitation_lines import NAMES, STYLES, legend, lines, named
from figures._imitation_words import words
from gradlab.plotting import paper_style
from gradlab.plotting.scales import set_log_ticks
from gradlab.plotting.style import (
    DOUBLE_COLUMN,
    INK,
    LOWERED,
    MUTED,
    RAISED,
    SMALL,
    new_figure,
)
from gradlab.plotting.text import number
from gradlab.tables import check_study_table, seed_intervals, select

FLOOR = 1e-6  # nats: KL below it is drawn there


def draw(table: pd.DataFrame) -> dict[str, Figure]:
    """All figures that the table has the parts for, by the suffix of their file.

    Raises:
      GradlabError: not a study table.
    """
    check_study_table(table, "the table of self_imitation")
    figures: Mapping[str, tuple[set[str], Callable[[pd.DataFrame], Figure]]] = {
        "members": ({"identity"}, members),
        "iterations": ({"exact", "lm"}, iterations),
        "words": ({"words", "words own rate"}, words),
        "sides": ({"lm", "lm pairs"}, sides),
        "shifts": ({"drain source", "lm scale"}, shifts),
        "calibration": ({"optimum", "calibration"}, calibration),
        "spread": ({"sampled"}, spread),
    }
    parts = set(table["part"])
    table = table.assign(name=[NAMES.get(loss, loss) for loss in table["loss"]])
    with paper_style():
        return {
            name: make(table)
            for name, (needed, make) in figures.items()
            if needed <= parts
        }


def _at_scale(rows: pd.DataFrame, scale: float) -> pd.DataFrame:
    """Rows at a scale, and those of SFT, which has none."""
    others = [loss for loss in NAMES if loss != "sft"]
    return pd.concat([select(rows, loss="sft"), select(rows, loss=others, scale=scale)])


def members(table: pd.DataFrame) -> Figure:
    """Losses of both sides and their weights against z."""
    rows = select(table, part="identity")
    fig = new_figure(DOUBLE_COLUMN, 4.2)
    axes = fig.subplots(2, 2, sharex=True)
    panels = {
        "loss_real": "ℓ₁(z), demonstration",
        "loss_gen": "ℓ₋₁(z), generated",
        "slope_real": "|ℓ₁′(z)|, demonstration",
        "slope_gen": "|ℓ₋₁′(z)|, generated",
    }
    for ax, (metric, title) in zip(axes.ravel(), panels.items(), strict=True):
        weight = metric.startswith("slope")
        for name in named(rows):
            curve = select(rows, name=name, metric=metric).sort_values("z")
            value = curve["value"].abs() if weight else curve["value"]
            style = STYLES[name]
            ax.plot(curve["z"], value, color=style.color, linestyle=style.dashes)
        ax.set_title(title)
        if weight:
            ax.set_yscale("log", nonpositive="mask")
            ax.set_ylim(5e-3, 60)
            set_log_ticks(ax.yaxis)
            ax.set_xlabel("z = scale · log(π / πₜ) + shift")
        else:
            ax.set_ylim(-6, 6)
            ax.axhline(0, color=MUTED, linewidth=0.6, zorder=0)
        ax.axvline(0, color=MUTED, linewidth=0.6, zorder=0)
    legend(fig, named(rows))
    return fig


def iterations(table: pd.DataFrame) -> Figure:
    """Distance to the source and accuracy over the iterations of self-play."""
    rows = select(table, decoding="sampled", shift=0.0)
    exact = select(rows, part="exact", metric="kl_data_policy")
    decoder = select(rows, part="lm")
    scales = [s for s in (0.1, 1.0) if s in set(exact["scale"])]
    fig = new_figure(DOUBLE_COLUMN, 4.4)
    axes = fig.subplots(2, 2).ravel()
    for ax, scale in zip(axes, scales, strict=False):
        lines(ax, _at_scale(exact, scale), floor=FLOOR)
        ax.set_yscale("log")
        set_log_ticks(ax.yaxis)
        ax.set_title(f"tabular, exact expectations, scale {scale:g}")
        ax.set_ylabel("KL(data ‖ policy) (nats)")
    names = {"kl_data_policy": "KL(data ‖ policy) (nats/token)",
             "acc": "share of prompts answered"}  # fmt: skip
    for ax, (metric, name) in zip(axes[2:], names.items(), strict=True):
        lines(ax, select(decoder, metric=metric))
        ax.set_ylabel(name)
        ax.set_title(f"chains of additions, scale {decoder['scale'].max():g}")
    for ax in axes:
        ax.set_xlabel("iteration")
        ax.set_xticks(sorted(set(decoder["iteration"]) | set(exact["iteration"])))
    axes[3].set_ylim(-0.03, 1.03)
    legend(fig, named(exact))
    return fig


def sides(table: pd.DataFrame) -> Figure:
    """Drift of both sides along training, self-generated and corrupted negatives."""
    play = select(table, part="lm", decoding="sampled", iteration=1)
    wrong = select(table, part="lm pairs")
    fig = new_figure(DOUBLE_COLUMN, 2.9)
    panels = {"negatives: own samples": play, "negatives: one result corrupted": wrong}
    for ax, (title, rows) in zip(fig.subplots(1, 2), panels.items(), strict=True):
        for name in named(rows):
            _path(ax, select(rows, name=name), name)
        ax.axhline(0, color=MUTED, linewidth=0.6, zorder=0)
        ax.axline((0, 0), slope=1, color=MUTED, linewidth=0.6, linestyle=(0, (4, 3)))
        ax.set_title(title)
        ax.set(xlabel="drift of the negatives (nats)",
               ylabel="drift of the demonstrations (nats)")  # fmt: skip
    legend(fig, named(pd.concat(panels.values())))
    return fig


def _path(ax: Axes, rows: pd.DataFrame, name: str) -> None:
    """Means over seeds from the start on; the end with its intervals."""
    style, ends = STYLES[name], []
    for side in ("rejected", "chosen"):
        drift = select(rows, metric=f"d_{side}_sum")
        ends.append(seed_intervals(drift, ["step"]).sort_values("step"))
    x, y = (np.concatenate([[0.0], end["value"]]) for end in ends)
    ax.plot(x, y, color=style.color, linestyle=style.dashes, linewidth=1)
    last = [end.iloc[-1] for end in ends]
    errors = [[[e["value"] - e["low"]], [e["high"] - e["value"]]] for e in last]
    ax.errorbar(
        x[-1], y[-1], xerr=np.nan_to_num(errors[0]), yerr=np.nan_to_num(errors[1]),
        color=style.color, marker=style.marker, markersize=4, elinewidth=0.7,
    )  # fmt: skip


def shifts(table: pd.DataFrame) -> Figure:
    """Drift of demonstrations by scale and shift, with the target at ratio 1."""
    drift = select(table, metric="d_chosen_sum", loss="bernoulli")
    decoder = select(drift, part="lm scale")
    panels = {
        "tabular, from the source, with unseen outcomes": select(
            drift, part="drain source"
        ),
        f"chains of additions, {decoder['step'].max():g} steps": select(
            decoder, step=decoder["step"].max()
        ),
    }
    fig = new_figure(DOUBLE_COLUMN, 2.4)
    for ax, (title, rows) in zip(fig.subplots(1, 2), panels.items(), strict=True):
        _cells(ax, seed_intervals(rows, ["scale", "shift"]))
        ax.set_title(title, fontsize=7)
    fig.supxlabel(
        "Drift of the demonstrations in nats, Bernoulli member, mean and 95 % interval "
        "over seeds; →: (log r \N{MINUS SIGN} shift)/scale at r = 1",
        fontsize=SMALL,
    )
    return fig


def _cells(ax: Axes, cells: pd.DataFrame) -> None:
    wide = cells.pivot(index="scale", columns="shift", values="value")
    values = wide.to_numpy(float)
    shade = np.sign(values) * np.log10(1 + np.abs(values))
    ax.pcolormesh(shade, cmap="RdBu", vmin=-2.6, vmax=2.6, edgecolors="white", lw=1)
    for cell in cells.to_dict("records"):
        row = list(wide.index).index(cell["scale"])
        column = list(wide.columns).index(cell["shift"])
        half = cell["high"] - cell["value"]
        text = number(cell["value"] if abs(cell["value"]) >= 0.005 else 0.0)
        text += f" ± {number(half)}" if half >= 0.005 else ""
        target = number(-cell["shift"] / cell["scale"] + 0.0)
        ax.text(
            column + 0.5, row + 0.5, f"{text}\n→ {target}",
            ha="center", va="center", fontsize=SMALL,
            color="white" if abs(shade[row, column]) > 1.7 else INK,
        )  # fmt: skip
    ax.set_xticks(np.arange(wide.shape[1]) + 0.5, [f"{s:g}" for s in wide.columns])
    ax.set_yticks(np.arange(wide.shape[0]) + 0.5, [f"{s:g}" for s in wide.index])
    ax.tick_params(length=0)
    ax.set(xlabel="shift", ylabel="scale")


def calibration(table: pd.DataFrame) -> Figure:
    """Where members balance, and what policies learn, against the true log-ratio."""
    fitted = _by_outcome(table, "optimum", "fitted_z")
    learned = _by_outcome(table, "calibration", "learned")
    fig = new_figure(DOUBLE_COLUMN, 3.7)
    axes = fig.subplots(2, 4, sharex=True, sharey=True).ravel()
    limit = 1.1 * np.abs(fitted["log_ratio"].to_numpy(float)).max()
    names = named(fitted)
    for ax, name in zip(axes, names, strict=False):
        ax.axline((0, 0), slope=1, color=MUTED, linewidth=0.8)
        free, own = select(fitted, name=name), select(learned, name=name)
        ax.plot(own["log_ratio"], own["learned"], "o", color=RAISED, ms=3, mfc="none")
        ax.plot(free["log_ratio"], free["fitted_z"], "x", color=LOWERED, ms=3)
        ax.set(title=name, xlim=(-limit, limit), ylim=(-limit, limit))
    for ax in axes[len(names) :]:
        ax.set_axis_off()
        ax.plot([], [], "x", color=LOWERED, label="balance of ℓ₁ and ℓ₋₁")
        ax.plot([], [], "o", color=RAISED, mfc="none", label="policy after training")
        ax.plot([], [], color=MUTED, label="z = log(p / pₜ)")
        ax.legend(loc="center")
    fig.supxlabel("true log(p / pₜ) of an outcome", fontsize=8)
    fig.supylabel("z (scale 1, no shift)", fontsize=8)
    return fig


def _by_outcome(table: pd.DataFrame, part: str, metric: str) -> pd.DataFrame:
    rows = select(table, part=part, metric=["log_ratio", metric])
    keys = ["name", "seed", "outcome"]
    return rows.set_index([*keys, "metric"])["value"].unstack("metric").reset_index()


def spread(table: pd.DataFrame) -> Figure:
    """KL of every run on finite samples, by member, at both scales."""
    rows = select(table, part="sampled", metric="kl_data_policy")
    last = select(rows, iteration=rows["iteration"].max())
    start = select(rows, iteration=0)["value"].median()
    scales = sorted(set(select(last, loss="bernoulli")["scale"]))
    names = named(last)
    fig = new_figure(DOUBLE_COLUMN, 2.5)
    axes = fig.subplots(1, len(scales), sharey=True, squeeze=False)[0]
    for ax, scale in zip(axes, scales, strict=True):
        own = _at_scale(last, scale)
        for place, name in enumerate(names):
            values = select(own, name=name)["value"].to_numpy(float)
            side, color = np.linspace(-0.3, 0.3, len(values)), STYLES[name].color
            ax.plot(values, place + side, ".", color=color, ms=2, alpha=0.5)
            ax.plot([np.median(values)] * 2, [place - 0.4, place + 0.4], color=INK)
        ax.axvline(start, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
        ax.set_xscale("log")
        set_log_ticks(ax.xaxis)
        ax.set_title(f"scale {scale:g}")
        ax.set_xlabel("KL(data ‖ policy) (nats)")
    axes[0].set_yticks(range(len(names)), names)
    axes[0].set_ylim(len(names) - 0.4, -0.6)
    return fig
