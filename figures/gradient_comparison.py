"""Figures of the study `gradient_comparison`, from its long-format table.

Columns of analyses/tables/gradient_comparison.csv; a key that a row doesn't have is
empty: `study, loss, seed, step, pair, side, position, token, region, p, length, metric,
value`. The metrics, and the keys that their rows have besides study, loss and seed:

    weight, logp               pair, side, position, token, region: every token of a few
                               example pairs; weight is dL/dlogp, logp in nats
    logit_grad_norm            the same keys; not drawn
    mass_chosen, mass_rejected, share_before, share_at, share_after
                               no further key: one row per loss and seed; the other
                               columns of a summary table may be there and aren't drawn
    penalty_weight             p: dL/dlogp of a rejected token of probability p
    weight_by_length           length: sum over a rejected response of so many tokens of
                               dL/dlogp, at a fixed log-prob per token
    prefix_net_weight          p: w_chosen + w_rejected of a shared token of that
                               probability
    logit_gradient             region = good, bad, third or rest: dL/dlogit at the first
                               difference of the chosen token, the rejected token, the
                               most likely third one, and the sum over all others

A figure whose metrics the table lacks is left out. Values are averaged over seeds; with
more than one seed a 95 % t interval is shown. Tokens are those of the first seed.
"""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gradlab.plotting import (
    comparison_figures,
    loss_styles,
    plot_length_curves,
    plot_logit_bars,
    plot_net_weight,
    plot_penalty_curves,
)
from gradlab.tables import check_study_table, require_columns, seed_intervals, select

SUMMARY = ("mass_chosen", "mass_rejected", "share_before", "share_at", "share_after")
FROM_PAIRS = ("mass", "token_weights", "token_heat")
TOKEN_KEYS = ["pair", "side", "position", "token", "region", "loss"]


def draw(table: pd.DataFrame) -> dict[str, Figure]:
    """All figures that the table has the metrics for, by the suffix of their file.

    Raises:
      GradlabError: not a study table, or it has the metrics of no figure.
    """
    check_study_table(table, "the table of gradient_comparison")
    styles = loss_styles(_ordered_losses(table))
    figures: dict[str, Figure] = {}
    if {"weight", "logp", *SUMMARY} <= set(table["metric"]):
        tokens, summary = tokens_table(table), summary_table(table)
        losses = [loss for loss in summary["loss"] if loss in set(tokens["loss"])]
        figures |= comparison_figures(
            tokens, summary, losses=losses, styles=styles, include=FROM_PAIRS
        )
    plots: Mapping[str, tuple[str, str, Callable[..., Axes]]] = {
        "penalty_curves": ("penalty_weight", "p", plot_penalty_curves),
        "length_curves": ("weight_by_length", "length", plot_length_curves),
        "prefix": ("prefix_net_weight", "p", plot_net_weight),
    }
    for name, (metric, key, plot) in plots.items():
        rows = _mean(table, metric, key)
        if rows is not None:
            curves = rows.rename(columns={"value": "weight"})
            figures[name] = _figure(plot(curves, styles=styles))
    rows = _mean(table, "logit_gradient", "region")
    if rows is not None:
        bars = rows.rename(columns={"region": "role"})
        figures["logits"] = _figure(plot_logit_bars(bars))
    return figures


def _figure(ax: Axes) -> Figure:
    assert isinstance(ax.figure, Figure)  # the plot made it, no one's subfigure
    return ax.figure


def _ordered_losses(table: pd.DataFrame) -> list[Any]:
    """Those of the summary first, so that all figures give a loss the same colour."""
    summary = select(table, metric=SUMMARY)
    return list(dict.fromkeys([*summary["loss"], *table["loss"]]))


def _mean(table: pd.DataFrame, metric: str, key: str) -> pd.DataFrame | None:
    rows = select(table, metric=metric)
    if rows.empty:
        return None
    require_columns(rows, [key], f"the rows of metric {metric}")
    return seed_intervals(rows, ["loss", key])


def tokens_table(table: pd.DataFrame) -> pd.DataFrame:
    """The token rows of the first seed: one row per token and loss."""
    rows = select(table, metric=["weight", "logp"])
    require_columns(rows, TOKEN_KEYS, "the token part of the table")
    rows = select(rows, seed=rows["seed"].min())
    rows = select(rows, step=[rows["step"].min(), float("nan")])
    wide = rows.set_index([*TOKEN_KEYS, "metric"])["value"].unstack("metric")
    wide = wide.reset_index()
    order = {loss: number for number, loss in enumerate(_ordered_losses(table))}
    wide = wide.sort_values(["pair", "side", "position"], kind="stable")
    wide = wide.sort_values("loss", key=lambda c: c.map(order), kind="stable")
    return wide.astype({"pair": int, "position": int}).reset_index(drop=True)


def summary_table(table: pd.DataFrame) -> pd.DataFrame:
    """One row per loss: means over seeds, and the intervals of the masses."""
    means = seed_intervals(select(table, metric=SUMMARY), ["loss", "metric"])
    losses = list(dict.fromkeys(means["loss"]))
    wide = means.pivot(index="loss", columns="metric", values=["value", "low", "high"])
    columns = {metric: wide["value"][metric] for metric in SUMMARY}
    for metric in ("mass_chosen", "mass_rejected"):
        columns[f"{metric}_low"] = wide["low"][metric]
        columns[f"{metric}_high"] = wide["high"][metric]
    return pd.DataFrame(columns).loc[losses].reset_index()
