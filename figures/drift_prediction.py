"""Figures of the study `drift_prediction`, from its long-format table.

Columns of analyses/tables/drift_prediction.csv; a key that a row doesn't have is empty:
`study, kind, loss, seed, step, side, optimiser, part, probe, eta, percentile, pair,
position, metric, value`. The metrics that are drawn, and the keys of their rows besides
study, kind and seed:

    token_pred, token_real     loss, side, pair, position: drift of a token, nats
    pearson, pred_falls        loss, eta; pred_falls with side
    kinked                     loss: whether its token weights jump
    rel_err, trap_err          loss, optimiser, part = order; eta: of the largest step
    score_chosen, score_rejected, score_inner
                               pair: squared norms and inner product of the scores
    case                       loss, pair, part = own step
    ches, ln_ches, edit_norm, last_cosine, suffix_len, own_real (side)
                               pair

and those in `figures/_drift_over_steps.py`. A figure whose metrics the table lacks is
left out. Intervals are 95 % Student-t intervals over seeds.
"""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from figures._drift_over_steps import LOGS, curves, fan, ledger, squeezing
from gradlab.plotting import loss_styles, paper_style, plot_cases
from gradlab.plotting.buckets import bucket_of
from gradlab.plotting.casemap import plot_case_map
from gradlab.plotting.cases import ROW as CASE_ROW
from gradlab.plotting.drift import agreement_figure
from gradlab.plotting.lossgrid import ROW, plot_loss_grid
from gradlab.plotting.order import plot_order
from gradlab.plotting.pairs import unique
from gradlab.plotting.style import DOUBLE_COLUMN, SMALL, new_figure
from gradlab.plotting.text import number
from gradlab.plotting.trends import group_handles, plot_trends
from gradlab.tables import check_study_table, seed_intervals, select

KINDS = ("edits", "suffix", "answers", "arithmetic", "hh", "blimp", "persona")
CASES = ("no push", "ideal", "both fall", "both rise", "reversed")  # by their codes
PREDICTORS = {
    "ches": "CHES",
    "ln_ches": "length-normalised CHES",
    "edit_norm": "edit distance",
    "last_cosine": "cosine of last hidden states",
}
OPTIMISERS = {"sgd": "SGD", "rmsprop": "RMSprop", "adamw": "AdamW"}
RATIOS = (0.25, 1.0, 4.0)  # of the slopes d_r / d_c in the case maps
QUINTILES = 5


def draw(table: pd.DataFrame) -> dict[str, Figure]:
    """All figures that the table has the metrics for, by the suffix of their file.

    Raises:
      GradlabError: not a study table.
    """
    check_study_table(table, "the table of drift_prediction")
    figures: Mapping[str, tuple[set[str], Callable[[pd.DataFrame], Figure]]] = {
        "agreement": ({"token_pred", "token_real"}, agreement),
        "pearson": ({"pearson"}, pearson),
        "falls": ({"pred_falls"}, falls),
        "order": ({"rel_err", "trap_err"}, order),
        "case_map": ({"score_chosen", "score_rejected", "score_inner"}, case_map),
        "cases": ({"case"}, cases),
        "predictors": ({*PREDICTORS, "own_real"}, predictors),
        "suffix": ({"suffix_len", "score_inner", "own_real"}, suffix),
        "curves": ({"probe_drift"}, curves),
        "fan": ({"probe_drift"}, fan),
        "ledger": ({"ledger"}, ledger),
        "squeezing": ({"top_before", "absorbed", *LOGS}, squeezing),
    }
    metrics = set(table["metric"])
    with paper_style():
        return {
            name: make(table)
            for name, (needed, make) in figures.items()
            if needed <= metrics
            and (name != "suffix" or "suffix" in set(table["kind"]))
        }


def _kinds(rows: pd.DataFrame) -> list[str]:
    return [kind for kind in KINDS if kind in set(rows["kind"])]


def _wide(table: pd.DataFrame, metrics: tuple[str, ...], **keys) -> pd.DataFrame:
    """One row per kind, seed and pair, with a column for each metric."""
    rows = select(table, metric=list(metrics), **keys)
    return rows.pivot_table(
        index=["kind", "seed", "pair"], columns="metric", values="value"
    ).reset_index()


def agreement(table: pd.DataFrame) -> Figure:
    """Predicted against realised drift of tokens of all kinds, a panel per loss."""
    rows = select(table, metric=["token_pred", "token_real"])
    keys = ["loss", "kind", "side", "pair", "position"]
    wide = rows.set_index([*keys, "metric"])["value"].unstack("metric").reset_index()
    tokens = wide.rename(columns={"token_pred": "predicted", "token_real": "realised"})
    losses = [str(loss) for loss in unique(rows, "loss")]
    return agreement_figure(tokens, losses, loss_styles(losses))


def pearson(table: pd.DataFrame) -> Figure:
    """1 - Pearson at the smallest step, by loss and kind; mean over seeds."""
    rows = select(table, metric="pearson", part="")
    rows = select(rows, eta=rows["eta"].min())
    cells = seed_intervals(rows, ["loss", "kind"]).rename(columns={"kind": "column"})
    cells["value"] = np.maximum(1 - cells["value"], 1e-9)  # as far as it is stored
    kinked = select(table, metric="kinked", value=1.0)
    note = (
        "1 \N{MINUS SIGN} Pearson of predicted and realised token drift, mean over "
        f"seeds, one SGD step of ‖u‖ = {number(rows['eta'].iloc[0])} ‖θ‖\n"
        "*: token weights jump somewhere (hinges, thresholds, ranks)"
    )
    return _grid(cells, rows, note, marked=set(kinked["loss"]))


def falls(table: pd.DataFrame) -> Figure:
    """Share of pairs whose chosen response is predicted to fall in a batch step."""
    rows = select(table, metric="pred_falls", side="chosen")
    cells = seed_intervals(rows, ["loss", "kind"]).rename(columns={"kind": "column"})
    note = (
        "Share of pairs whose chosen response is predicted to fall in the batch's step"
    )
    return _grid(
        cells, rows, note, shade=lambda x: x, text=lambda x: f"{100 * x:.0f} %"
    )


def _grid(cells: pd.DataFrame, rows: pd.DataFrame, note: str, **options) -> Figure:
    losses = [str(loss) for loss in unique(rows, "loss")]
    fig = new_figure(DOUBLE_COLUMN, ROW * len(losses) + 0.65)
    plot_loss_grid(
        cells, rows=losses, columns=_kinds(rows), ax=fig.add_subplot(), **options
    )
    fig.supxlabel(note, fontsize=SMALL)
    return fig


def order(table: pd.DataFrame) -> Figure:
    """Relative error against step size, a panel per optimiser, a row per kind."""
    rows = select(table, metric=["rel_err", "trap_err"], part="order")
    kinds, names = _kinds(rows), [o for o in OPTIMISERS if o in set(rows["optimiser"])]
    fig = new_figure(DOUBLE_COLUMN, 1.95 * len(kinds) + 0.35)
    shape = (len(kinds), len(names))
    grid = fig.subplots(*shape, sharex=True, sharey=True, squeeze=False)
    metrics = {"rel_err": "first order", "trap_err": "trapezoid rule"}
    for line, kind in zip(grid, kinds, strict=True):
        own = select(rows, kind=kind)
        for ax, name in zip(line, names, strict=True):
            shown = select(own, optimiser=name)
            plot_order(
                shown, slopes={"rel_err": 1, "trap_err": 2}, names=metrics, ax=ax
            )
            ax.set_title(f"{kind}, {OPTIMISERS[name]}", fontsize=7, pad=3)
            ax.set_xlabel("step / largest step")
            ax.label_outer()
    grid[0, 0].legend(loc="lower right", fontsize=SMALL)
    losses = {kind: select(rows, kind=kind)["loss"].nunique() for kind in kinds}
    counts = ", ".join(f"{kind}: {count}" for kind, count in losses.items())
    fig.supxlabel(
        "Largest step: where the first order errs by about 3 %. Line: median; band: "
        f"range over losses ({counts}) and seeds.\nDashed: the slope that theory "
        "expects, through the smallest step.", fontsize=SMALL,
    )  # fmt: skip
    return fig


def case_map(table: pd.DataFrame) -> Figure:
    """Norm ratio and cosine of every pair over the regions of the cases."""
    pairs = _wide(table, ("score_chosen", "score_rejected", "score_inner"))
    product = pairs["score_chosen"] * pairs["score_rejected"]
    pairs["cosine"] = pairs["score_inner"] / np.sqrt(product)
    pairs["norm_ratio"] = np.sqrt(pairs["score_chosen"] / pairs["score_rejected"])
    kinds = _kinds(pairs)
    fig = new_figure(DOUBLE_COLUMN, 2.75)
    axes = fig.subplots(1, len(RATIOS), sharey=True)
    for ratio, ax in zip(RATIOS, axes, strict=True):
        plot_case_map(pairs, ratio=ratio, kinds=kinds, widest=512, ax=ax)
        ax.label_outer()
        ax.set_xlabel("‖s_c‖ / ‖s_r‖")
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=len(kinds))
    return fig


def cases(table: pd.DataFrame) -> Figure:
    """What a step on a pair alone does to it, by loss; all kinds and seeds together."""
    rows = select(table, metric="case", part="own step")
    pairs = rows.assign(case=[CASES[int(code)] for code in rows["value"]])
    losses = [str(loss) for loss in unique(rows, "loss")]
    fig = new_figure(DOUBLE_COLUMN, CASE_ROW * len(losses) + 0.75)
    plot_cases(pairs, losses=losses, ax=fig.add_subplot())
    return fig


def predictors(table: pd.DataFrame) -> Figure:
    """Own drift of the chosen response by quintile of what might predict it."""
    wide = _wide(table, tuple(PREDICTORS))
    own = _wide(table, ("own_real",), side="chosen", part="")
    wide = wide.merge(own, on=["kind", "seed", "pair"])
    styles, drawn = loss_styles(KINDS), set()
    fig = new_figure(DOUBLE_COLUMN, 4.4)
    for ax, (key, name) in zip(
        fig.subplots(2, 2, sharey=True).ravel(), PREDICTORS.items(), strict=True
    ):
        rows = _by_quintile(wide, key)
        shown = _kinds(rows)
        drawn |= set(shown)
        plot_trends(
            rows, x="quintile", group="kind", groups=shown, styles=styles, shift=0.09,
            ax=ax,
        )  # fmt: skip
        ax.set_xticks(range(QUINTILES), ["lowest", "2", "3", "4", "highest"])
        ax.set_xlabel(f"quintile of {name}")
    fig.supylabel("own-step drift of the chosen response / RMS", fontsize=8)
    kinds = [kind for kind in KINDS if kind in drawn]
    handles, labels = group_handles(kinds, styles)
    fig.legend(handles, labels, loc="outside lower center", ncols=len(kinds))
    return fig


def _by_quintile(wide: pd.DataFrame, key: str) -> pd.DataFrame:
    """Mean drift by quintile of the key within kind and seed, in units of its RMS."""
    parts = []
    for _, rows in wide.groupby(["kind", "seed"]):
        keys = rows[key].to_numpy(float)
        if len(np.unique(keys)) < QUINTILES:
            continue
        drift = rows["own_real"] / np.sqrt(np.mean(rows["own_real"] ** 2))
        parts.append(rows.assign(quintile=bucket_of(keys, QUINTILES), value=drift))
    return seed_intervals(pd.concat(parts), ["kind", "quintile"])


def suffix(table: pd.DataFrame) -> Figure:
    """Cosine of the scores and own drift against the length of a shared suffix."""
    rows = select(table, kind="suffix")
    pairs = _wide(rows, ("suffix_len", "score_chosen", "score_rejected", "score_inner"))
    product = pairs["score_chosen"] * pairs["score_rejected"]
    pairs["cosine"] = pairs["score_inner"] / np.sqrt(product)
    keys = ["kind", "seed", "pair"]
    fig = new_figure(DOUBLE_COLUMN, 2.3)
    left, right = fig.subplots(1, 2)
    cosine = seed_intervals(pairs.assign(value=pairs["cosine"]), ["suffix_len"])
    _against_suffix(left, cosine.assign(side="cosine"), ["cosine"])
    left.set_ylabel("cosine of the score gradients")
    drifts = select(rows, metric="own_real", part="").merge(
        pairs[[*keys, "suffix_len"]]
    )
    drifts["value"] *= 1e3
    _against_suffix(
        right, seed_intervals(drifts, ["suffix_len", "side"]), ["chosen", "rejected"]
    )
    right.set_ylabel("own-step drift (10⁻³ nats)")
    handles, labels = group_handles(
        ["chosen", "rejected"], loss_styles(["chosen", "rejected"])
    )
    right.legend(handles, labels)
    return fig


def _against_suffix(ax, trends: pd.DataFrame, groups: list[str]) -> None:
    lengths = sorted(trends["suffix_len"].unique())
    place = {length: number for number, length in enumerate(lengths)}
    trends = trends.assign(place=[place[length] for length in trends["suffix_len"]])
    plot_trends(trends, x="place", group="side", groups=groups, ax=ax)
    ax.set_xticks(range(len(lengths)), [f"{length:g}" for length in lengths])
    ax.set_xlabel("tokens in the shared suffix")
