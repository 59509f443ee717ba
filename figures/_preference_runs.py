"""Figures of the training runs of `preference_pipeline`; see there for the table."""

from typing import Any, cast

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gradlab.plotting import loss_styles
from gradlab.plotting.pairs import unique
from gradlab.plotting.style import (
    DOUBLE_COLUMN,
    INK,
    MUTED,
    SINGLE_COLUMN,
    SMALL,
    LineStyle,
    new_figure,
)
from gradlab.plotting.trends import group_handles, plot_trends
from gradlab.tables import seed_intervals, select

FORMS = ("bcr_added", "bcr_inside")
FREE = np.inf  # DPO: no budget
SELECTIONS = {
    "extremes": "comparisons",
    "scores": "scores",
    "scores_ood": "scores with a bonus for length",
    "champion": "running winner, random other",
    "random": "two at random, compared",
}


def styles_of_runs() -> dict[str, LineStyle]:
    """One colour per loss in all figures of the runs."""
    return loss_styles(("dpo", *FORMS, "dpo + mle", "other"))


def where(table: pd.DataFrame, mask: Any) -> pd.DataFrame:
    """The rows for which the mask is set."""
    return cast(pd.DataFrame, table[np.asarray(mask, bool)])


def column(table: pd.DataFrame, name: str) -> np.ndarray:
    """Its numbers."""
    return table[name].to_numpy(float)


def at_end(table: pd.DataFrame, **keys) -> pd.DataFrame:
    """The rows of the last step."""
    rows = select(table, **keys)
    return where(rows, rows["step"] == rows["step"].max())


def budget(table: pd.DataFrame) -> Figure:
    """Utility against the budget, at equal steps and at equal KL."""
    fig = new_figure(DOUBLE_COLUMN, 2.7)
    axes = fig.subplots(1, 2, sharey=True)
    panels = {
        "utility": "equal steps",
        "utility_equal_kl": "equal KL, where the first ends",
    }
    drawn, found = {}, []
    for ax, (metric, title) in zip(axes, panels.items(), strict=True):
        rows = at_end(table, part="delta", metric=metric)
        deltas = sorted(rows["delta"].unique())
        place = {delta: number for number, delta in enumerate(deltas)}
        rows = rows.assign(place=[place[delta] for delta in rows["delta"]])
        forms = [form for form in FORMS if form in set(rows["loss"])]
        styles = styles_of_runs()
        for name, level in _levels(table, rows, metric).items():
            drawn[name] = _level(ax, level, styles[name.partition(",")[0]])
        trends = seed_intervals(select(rows, loss=forms), ["loss", "place"])
        plot_trends(
            trends, x="place", group="loss", groups=forms, styles=styles, shift=0.12,
            ax=ax,
        )  # fmt: skip
        values = seed_intervals(rows, ["loss", "delta"])
        found += [column(values, name) for name in ("low", "high", "value")]
        shown = deltas[:-1] if deltas[-1] == FREE else deltas
        ax.set_xticks(range(len(shown)), [f"{delta:g}" for delta in shown])
        ax.set_xlabel("budget for the chosen side (nats)")
        ax.set_title(title)
    _tight(axes[0], np.concatenate(found))
    axes[0].set_ylabel("utility of samples")
    handles, labels = group_handles(forms, styles)
    fig.legend(
        [*handles, *drawn.values()], [*labels, *drawn],
        loc="outside lower center", ncols=3,
    )  # fmt: skip
    return fig


def _levels(
    table: pd.DataFrame, rows: pd.DataFrame, metric: str
) -> dict[str, list[float]]:
    """Name -> its interval: DPO, and the likelihood terms at equal steps."""
    found = {"dpo": _interval(select(rows, loss="dpo"))}
    controls = at_end(table, part="control", metric=metric)
    controls = where(controls, [str(x).endswith("*mle") for x in controls["loss"]])
    if not controls.empty:
        strengths = np.unique(column(controls, "strength"))
        own = select(controls, strength=strengths[len(strengths) // 2])
        gamma = unique(own, "loss")[0].removeprefix("dpo + ").removesuffix("*mle")
        name = f"dpo + mle, gamma {gamma}"
        found[name] = _interval(own)
    return found


def _interval(rows: pd.DataFrame) -> list[float]:
    """Mean, low and high over seeds."""
    means = seed_intervals(rows, ["metric"])
    return [float(column(means, name)[0]) for name in ("value", "low", "high")]


def _level(ax: Axes, level: list[float], style: LineStyle) -> Line2D:
    value, low, high = level
    ax.axhspan(low, high, color=style.color, alpha=0.12, linewidth=0)
    return ax.axhline(value, color=style.color, linestyle=(0, (4, 1.5)), linewidth=1)


def _tight(ax: Axes, values: np.ndarray) -> None:
    """Limits by what is drawn, not by the zero line."""
    found = values[np.isfinite(values)]
    room = 0.08 * max(np.ptp(found), 1e-3)
    ax.set_ylim(found.min() - room, found.max() + room)


def quadratic(table: pd.DataFrame) -> Figure:
    """Win rate against the mean drift of the chosen side, with a parabola per form."""
    rows = at_end(table, part="delta", metric=["drop_mean", "win_rate"])
    keys = ["loss", "delta", "seed"]
    wide = rows.pivot_table(index=keys, columns="metric", values="value").reset_index()
    fig = new_figure(SINGLE_COLUMN, 2.5)
    ax, styles = fig.add_subplot(), styles_of_runs()
    for loss in ("dpo", *FORMS):
        own, style = select(wide, loss=loss), styles[loss]
        ax.plot(
            -own["drop_mean"], own["win_rate"], color=style.color, linestyle="",
            marker=style.marker, markersize=3, alpha=0.7, label=loss,
        )  # fmt: skip
        both = select(wide, loss=[loss, "dpo"])
        drift = -column(both, "drop_mean")
        if loss in FORMS and len(np.unique(drift)) > 3:
            x = np.linspace(drift.min(), drift.max(), 100)
            fit = np.polyfit(drift, column(both, "win_rate"), 2)
            ax.plot(x, np.polyval(fit, x), color=style.color, linewidth=1)
    ax.set_xlabel("mean drift of the chosen side (nats)")
    ax.set_ylabel("wins over the reference")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig


def losses(table: pd.DataFrame) -> Figure:
    """Fall of the chosen side, hinge duty and utility, a row per loss."""
    rows = at_end(table, part=["delta", "control", "plane", "penalty"])
    strength = select(rows, part="delta")["strength"].max()
    rows = where(rows, (rows["part"] != "plane") | rows["strength"].isin([0, strength]))
    shown = ["drop_q05", "drop_q50", "drop_q95", "duty", "utility", "margin_right"]
    rows = select(rows, metric=shown)
    names = [
        loss if delta == FREE or loss.startswith("dpop") else f"{loss}, {delta:g}"
        for loss, delta in zip(rows["loss"], rows["delta"], strict=True)
    ]
    rows = rows.assign(name=names).drop_duplicates(["name", "metric", "seed"])
    order = list(dict.fromkeys(rows["name"]))
    cells = seed_intervals(rows, ["name", "metric"]).set_index(["metric", "name"])
    fig = new_figure(DOUBLE_COLUMN, 0.155 * len(order) + 0.75)
    axes = fig.subplots(1, 4, sharey=True, width_ratios=[2, 1, 1, 1.4])
    y = np.arange(len(order))[::-1]
    q05, q50, q95 = (
        cells.loc[f"drop_{q}"].reindex(order)["value"] for q in ("q05", "q50", "q95")
    )
    axes[0].hlines(y, q05, q95, color=INK, linewidth=1)
    axes[0].plot(q50, y, "o", color=INK, markersize=3)
    axes[0].axvline(0, color=MUTED, linewidth=0.6)
    axes[0].set_xlabel("fall of the chosen (nats):\n5th, 50th, 95th percentile")
    for ax, metric, title in (
        (axes[1], "duty", "beyond the\nbudget (duty)"),
        (axes[2], "margin_right", "pairs with\nmargin > 0"),
        (axes[3], "utility", "utility of samples"),
    ):
        part = cells.loc[metric].reindex(order)
        ax.hlines(y, part["low"], part["high"], color=INK, linewidth=0.8)
        ax.plot(part["value"], y, "o", color=INK, markersize=3)
        ax.set_xlabel(title)
    for ax in axes:
        ax.grid(visible=True, axis="y")
        ax.tick_params(axis="y", length=0)
    axes[0].set_yticks(y, order, fontsize=SMALL)
    return fig


def grid(table: pd.DataFrame) -> Figure:
    """Utility by selection and loss, and how good the selected pairs are."""
    rows = at_end(table, part="grid", metric="utility")
    schemes = [name for name in SELECTIONS if name in set(rows["scheme"])]
    place = {name: number for number, name in enumerate(schemes)}
    rows = rows.assign(place=[float(place[name]) for name in rows["scheme"]])
    styles, shown = styles_of_runs(), ("dpo", *FORMS)
    fig = new_figure(DOUBLE_COLUMN, 0.3 * len(schemes) + 1.2)
    left, right = fig.subplots(1, 2, sharey=True, width_ratios=[3, 1.3])
    trends = seed_intervals(rows, ["loss", "place"])
    for number, loss in enumerate(shown):
        line, style = select(trends, loss=loss), styles[loss]
        y = -line["place"] - 0.18 * (number - 1)
        left.hlines(y, line["low"], line["high"], color=style.color, linewidth=0.9)
        left.plot(
            line["value"], y, color=style.color, marker=style.marker, linestyle=""
        )
    left.set_yticks(
        [-place[name] for name in schemes], list(map(SELECTIONS.get, schemes))
    )
    left.set_xlabel("utility of samples")
    pairs = seed_intervals(
        select(table, part="pairs", metric="mislabel", scheme=schemes), ["scheme"]
    )
    right.plot(
        100 * pairs["value"], [-place[name] for name in pairs["scheme"]], "o", color=INK
    )
    right.set_xlabel("pairs with the\nworse one chosen (%)")
    right.set_xlim(left=0)
    handles, labels = group_handles(shown, styles)
    fig.legend(handles, labels, loc="outside lower center", ncols=3)
    return fig
