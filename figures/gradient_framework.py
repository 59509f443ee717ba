"""Figures of the study `gradient_framework`, from its long-format table.

Columns of analyses/tables/gradient_framework.csv; a key that a row doesn't have is
empty: `study, kind, model, loss, baseline, schedule, matching, part, region, side,
seed, step, rho, false_neg, size, p, length, pair, metric, value`. The metrics that are
drawn, and the keys of their rows besides study, loss and seed:

    penalty_weight, prefix_net_weight
                               p; kind = curve
    weight_by_length           length; kind = curve
    logit_gradient             region = good, bad, third or rest; kind = curve
    p_good, p_bad, p_third     step; kind = tabular
    ce_pos, agility            kind = g2, model = decoder or log-linear, rho, false_neg,
                               matching = rate: after training
    off_support                size: after training from fresh weights
    threshold, ratio           pair; part = condition: push over pull above which the
                               good example falls, and that of the loss

A figure whose metrics the table lacks is left out.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from gradlab.plotting import (
    loss_styles,
    paper_style,
    plot_length_curves,
    plot_logit_bars,
    plot_net_weight,
    plot_penalty_curves,
)
from gradlab.plotting.scales import tick_text
from gradlab.plotting.style import DOUBLE_COLUMN, MUTED, SMALL, LineStyle, new_figure
from gradlab.plotting.trends import group_handles, plot_trends
from gradlab.tables import check_study_table, seed_intervals, select

# loss of the table -> its name, where that is another; one name, one colour
NAMES = {
    "mle": "mle",
    "mle(reduction=mean)": "mle",
    "mle(reduction=batch)": "mle",
    "unlikelihood_token": "unlikelihood (token)",
    "exmate(reduction=token, lam=1)": "exmate (token)",
    "dpo": "dpo",
    "mate (sum, .5)": "mate",
    "mate(reduction=sum, lam=0.5)": "mate",
    "mate(lam=0.2)": "mate",
    "exmate(reduction=mean, lam=1)": "exmate (mean)",
    "exmate(lam=0.05)": "exmate (mean)",
    "exmate(lam=0.2)": "exmate (mean)",
    "exmate(lam=1)": "exmate (mean)",
    "exmate(lam=5)": "exmate (mean)",
    "exmate(reduction=sum, lam=1)": "exmate (sum)",
    "unlikelihood_sequence": "unlikelihood (sequence)",
    "dpo + mle": "dpo + mle",
    "dpo + 0.1*mle(reduction=mean)": "dpo + mle",
    "dpo + 1*mle(reduction=mean)": "dpo + mle",
    "dpo + exmate (token)": "dpo + exmate",
    "dpo + exmate(reduction=token, lam=1)": "dpo + exmate",
    "dpo + 0.1*exmate(lam=1)": "dpo + exmate",
    "dpo + 1*exmate(lam=1)": "dpo + exmate",
    "exmate(lam=1), then dpo": "exmate, then dpo",
    "mle(reduction=mean), then dpo": "mle, then dpo",
    "exmate(reduction=batch, lam=0.05)": "exmate (batch, .05)",
}
ORDER = tuple(dict.fromkeys(NAMES.values()))
PATH = "exmate (mean)"  # whose lambdas are joined
SHOWN = {
    "penalty": (
        "unlikelihood (token)", "exmate (token)", "exmate (batch, .05)", "mate", "dpo",
        "dpo + exmate",
    ),
    "lengths": (
        "exmate (sum)", "exmate (mean)", "exmate (token)", "unlikelihood (sequence)",
        "unlikelihood (token)", "dpo",
    ),
    "prefix": (
        "mle", "unlikelihood (token)", "exmate (token)", "mate", "dpo", "dpo + exmate",
    ),
    "logits": (
        "mle", "unlikelihood (token)", "exmate (token)", "exmate (batch, .05)", "mate",
        "dpo", "dpo + mle", "dpo + exmate",
    ),
    "trajectories": (
        "mle", "unlikelihood (token)", "exmate (token)", "mate", "dpo", "dpo + mle",
    ),
}  # fmt: skip
MASSES = {"p_good": "good token", "p_bad": "bad token", "p_third": "third token"}


def draw(table: pd.DataFrame) -> dict[str, Figure]:
    """All figures that the table has the metrics for, by the suffix of their file.

    Raises:
      GradlabError: not a study table.
    """
    check_study_table(table, "the table of gradient_framework")
    figures: Mapping[str, tuple[set[str], Callable[[pd.DataFrame], Figure]]] = {
        "penalty": ({"penalty_weight"}, penalty),
        "lengths": ({"weight_by_length"}, lengths),
        "prefix": ({"prefix_net_weight"}, prefix),
        "logits": ({"logit_gradient"}, logits),
        "trajectories": (set(MASSES), trajectories),
        "tradeoff": ({"ce_pos", "agility"}, tradeoff),
        "off_support": ({"off_support"}, off_support),
        "condition": ({"threshold", "ratio"}, condition),
    }
    metrics = set(table["metric"])
    if np.all(table["size"].isna()):  # only that of other runs
        metrics -= {"off_support"}
    named = table.assign(name=table["loss"].map(lambda loss: NAMES.get(loss, loss)))
    with paper_style():
        return {
            name: make(named)
            for name, (needed, make) in figures.items()
            if needed <= metrics
        }


def _styles(table: pd.DataFrame) -> dict[str, LineStyle]:
    """One colour per name, whatever the table holds; unknown losses come last."""
    return loss_styles([*ORDER, *(str(name) for name in table["name"].unique())])


def _drawn(plot: Callable[..., Axes], table: pd.DataFrame, metric: str, shown: str):
    """The named curves, in the order of `SHOWN`."""
    rows = select(table, metric=metric, kind="curve", name=SHOWN[shown])
    rows = rows.drop(columns="loss").rename(columns={"name": "loss", "value": "weight"})
    losses = [name for name in SHOWN[shown] if name in set(rows["loss"])]
    return plot(rows, losses=losses, styles=_styles(table))


def _figure(ax: Axes) -> Figure:
    assert isinstance(ax.figure, Figure)
    return ax.figure


def penalty(table: pd.DataFrame) -> Figure:
    """Weight of a bad token against its probability."""
    ax = _drawn(plot_penalty_curves, table, "penalty_weight", "penalty")
    ax.set_xlabel("probability of the bad token (log-odds scale)")
    return _figure(ax)


def lengths(table: pd.DataFrame) -> Figure:
    """Weight on the bad example against its length."""
    ax = _drawn(plot_length_curves, table, "weight_by_length", "lengths")
    ax.set_xlabel("tokens in the bad example (each at log p = −0.5)")
    return _figure(ax)


def prefix(table: pd.DataFrame) -> Figure:
    """Net weight of a token that good and bad example share; sign flips ringed."""
    return _figure(_drawn(plot_net_weight, table, "prefix_net_weight", "prefix"))


def logits(table: pd.DataFrame) -> Figure:
    """Gradient on the logits at the first difference, by role of the token."""
    rows = select(table, metric="logit_gradient", kind="curve")
    rows = rows.drop(columns="loss").rename(columns={"name": "loss", "region": "role"})
    losses = [name for name in SHOWN["logits"] if name in set(rows["loss"])]
    return _figure(plot_logit_bars(rows, losses=losses))


def trajectories(table: pd.DataFrame) -> Figure:
    """Tabular policy: masses at the first difference along gradient descent."""
    rows = select(table, kind="tabular", name=SHOWN["trajectories"])
    styles = _styles(table)
    names = [name for name in SHOWN["trajectories"] if name in set(rows["name"])]
    steps = sorted(rows["step"].unique())
    place = {step: number for number, step in enumerate(steps)}
    fig = new_figure(DOUBLE_COLUMN, 2.4)
    axes = fig.subplots(1, len(MASSES), sharey=True)
    for (metric, text), ax in zip(MASSES.items(), axes, strict=True):
        means = seed_intervals(select(rows, metric=metric), ["name", "step"])
        means["place"] = [place[step] for step in means["step"]]
        means = means.drop(columns=["low", "high"])  # the spread is that of the starts
        plot_trends(means, x="place", group="name", groups=names, styles=styles, ax=ax)
        ax.set_title(text)
        ax.set_xticks(range(0, len(steps), 3), [f"{step:g}" for step in steps[::3]])
        ax.set_xlabel("step")
    axes[0].set_ylabel("probability at the first difference")
    handles, labels = group_handles(names, styles)
    fig.legend(handles, labels, loc="outside lower center", ncols=len(names))
    return fig


def tradeoff(table: pd.DataFrame) -> Figure:
    """Agility against the cross-entropy of good examples: points are seeds."""
    rows = select(table, kind="g2", matching="rate", metric=["ce_pos", "agility"])
    rows = select(rows, baseline="")
    counts = rows.groupby(["rho", "false_neg"])["loss"].nunique().reset_index()
    most = counts.loc[counts["loss"].argmax()]  # the setting of all losses
    main = select(rows, rho=most["rho"], false_neg=most["false_neg"])
    keys = ["model", "loss", "name", "seed"]
    wide = main.pivot_table(index=keys, columns="metric", values="value").reset_index()
    decoder = select(wide, model="decoder")
    plain = decoder[~decoder["name"].str.contains("dpo")]
    panels = {
        "decoder": decoder,
        "decoder, without DPO": plain[plain["name"] != "mate"],
        "log-linear": select(wide, model="log-linear"),
    }
    panels = {name: points for name, points in panels.items() if len(points)}
    styles, fig = _styles(table), new_figure(DOUBLE_COLUMN, 3.1)
    axes = np.atleast_1d(fig.subplots(1, len(panels)))
    for (title, points), ax in zip(panels.items(), axes, strict=True):
        _points(ax, points, styles)
        ax.set_title(title)
        ax.set_xlabel("CE(good), nats/token")
    axes[0].set_ylabel("agility, CE(bad) − CE(good)")
    names = [name for name in ORDER if name in set(wide["name"])]
    handles, labels = group_handles(names, styles)
    for handle in handles:
        handle.set_linestyle("none")
    fig.legend(handles, labels, loc="outside lower center", ncols=4)
    return fig


def _points(ax: Axes, points: pd.DataFrame, styles: Mapping[str, LineStyle]) -> None:
    """A faint dot per loss and seed, a marker at the mean; lambdas are joined."""
    means = points.groupby(["loss", "name"], sort=False, as_index=False).agg(
        ce_pos=("ce_pos", "mean"), agility=("agility", "mean")
    )
    for name, style in styles.items():
        own, centre = select(points, name=name), select(means, name=name)
        given: dict[str, Any] = {"color": style.color, "marker": style.marker}
        given["linestyle"] = "none"
        ax.plot(own["ce_pos"], own["agility"], ms=2, alpha=0.4, mew=0, **given)
        ax.plot(centre["ce_pos"], centre["agility"], ms=5, **given)
    path = _path(means)
    ax.plot(path["ce_pos"], path["agility"], color=styles[PATH].color, linewidth=0.8)
    if len(path) > 1:
        last = path.iloc[-1]
        text = f"λ = {last['loss'].partition('lam=')[2].rstrip(')')}"
        ax.annotate(
            text, (last["ce_pos"], last["agility"]), (0, 5), ha="center",
            textcoords="offset points", fontsize=SMALL, color=MUTED,
        )  # fmt: skip


def _path(means: pd.DataFrame) -> pd.DataFrame:
    """MLE and ExMATE (mean) in the order of lambda."""
    start = select(means, loss="mle(reduction=mean)")
    rest = select(means, name=PATH)
    lam = rest["loss"].str.extract(r"lam=([\d.]+)\)", expand=False).astype(float)
    return pd.concat([start, rest.iloc[np.argsort(lam.to_numpy())]])


def off_support(table: pd.DataFrame) -> Figure:
    """Probability of tokens that never occur, against the number of examples."""
    rows = select(table, metric="off_support").dropna(subset=["size"])
    means = seed_intervals(rows, ["name", "size"])
    means["place"] = np.log2(means["size"].astype(float))
    names = [name for name in ORDER if name in set(means["name"])]
    styles, fig = _styles(table), new_figure(DOUBLE_COLUMN / 2, 2.3)
    ax = fig.add_subplot()
    plot_trends(
        means, x="place", group="name", groups=names, styles=styles, shift=0.06, ax=ax
    )
    sizes = sorted({int(size) for size in rows["size"]})
    ax.set_xticks(np.log2(sizes), [f"{size:d}" for size in sizes])
    ax.set_yscale("log")
    ax.yaxis.set_minor_locator(NullLocator())
    ticks = [tick for tick in (0.05, 0.1, 0.2, 0.4, 0.8) if tick > ax.get_ylim()[0]]
    ax.set_yticks(ticks, [tick_text(tick) for tick in ticks])
    ax.set_xlabel("training examples")
    ax.set_ylabel("mass on tokens that never occur")
    ax.legend(*group_handles(names, styles))
    return fig


def condition(table: pd.DataFrame) -> Figure:
    """Push over pull against what lowers a good example; of some pairs nothing does."""
    rows = select(table, part="condition")
    thresholds = np.sort(select(rows, metric="threshold")["value"].to_numpy(float))
    ratios = select(rows, metric="ratio").groupby("loss", sort=False)["value"]
    fig = new_figure(DOUBLE_COLUMN, 2.3)
    ax = fig.add_subplot(ylim=(0, 1))
    share = np.arange(1, len(thresholds) + 1) / ratios.size().max()  # of all pairs
    ax.step(thresholds, share, where="post", color="black")
    medians = {str(loss): float(np.median(values)) for loss, values in ratios}
    shown = {loss: value for loss, value in medians.items() if value > 0}
    styles = loss_styles(shown)
    for number, (loss, value) in enumerate(shown.items()):
        dashes = (0, (3, 2)) if number % 2 else "-"  # of equal ratios both are seen
        ax.axvline(value, label=loss, color=styles[loss].color, linestyle=dashes)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tick_text(value)))
    fig.legend(loc="outside right upper", title="median b/a of")
    ax.set_xlabel("push over pull, b/a")
    ax.set_ylabel("share of pairs with\nn_c/⟨s_c, s_r⟩ below")
    return fig
