"""The set of figures that an analysis of drift shows, from its two tables."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gradlab.plotting.agreement import (
    AGREEMENT_NOTE,
    ASINH_NOTE,
    drift_scale,
    known_drifts,
    plot_agreement,
)
from gradlab.plotting.buckets import plot_buckets, proportional, value_name
from gradlab.plotting.cases import ROW, plot_cases
from gradlab.plotting.falls import DRIFT_COLUMNS, fall_window, token_drifts
from gradlab.plotting.gram import plot_token_gram
from gradlab.plotting.pairs import (
    READABLE,
    SIDES,
    TOKEN_COLUMNS,
    example_pair,
    loss_names,
    side_tokens,
    unique,
)
from gradlab.plotting.style import (
    DOUBLE_COLUMN,
    SMALL,
    LineStyle,
    loss_styles,
    new_figure,
    paper_style,
)
from gradlab.plotting.text import label
from gradlab.plotting.waterfall import HEIGHT, plot_waterfall
from gradlab.tables import require_columns, select

KEYS = ("ln_ches", "ches", "edit_token", "score_cosine")
GRAM_COLUMNS = (
    "pair", "side", "position", "token", "region", "other_side", "other_position",
    "cosine",
)  # fmt: skip
CHOSEN_DRIFTS = ("predicted_chosen", "realised_chosen")
PANELS = 12
_LEGEND = 36  # characters that three legend entries beside each other leave to one
BUCKET_NOTE = (
    "Pairs in up to five buckets of about equal size, named by their median and (number"
    " of pairs).\nBars: 95 % intervals. Each loss's drifts are divided by their root"
    " mean square over all pairs;\nlosses that then agree on every pair share a line."
)


def drift_figures(
    tokens: pd.DataFrame,
    pairs: pd.DataFrame,
    *,
    pair: int | None = None,
    gram: pd.DataFrame | None = None,
    losses: Sequence[str] | None = None,
    styles: Mapping[str, LineStyle] | None = None,
) -> dict[str, Figure]:
    """All figures of one analysis of drift, by name.

    Args:
      tokens: one row per loss, pair, side and position.
      pairs: one row per loss and pair.
      pair: the pair of the waterfall; by default a short, typical one whose chosen
        response is predicted to fall (see `falling_pair`).
      gram: one row for every two tokens of that pair, with `GRAM_COLUMNS`.
      losses: which, in order; those of the pairs table by default.
      styles: from `loss_styles`, to share colours with further figures.
    Returns:
      agreement: predicted against realised drift of tokens, one panel per loss;
      waterfall: the drift along the text of one pair by cause, for one loss;
      cases: shares of pairs in each entanglement case;
      buckets: drift of the chosen response against four things that may predict it;
      gram, if it is given: cosines between the gradients of one pair's tokens.
    Raises:
      GradlabError: a table lacks a column, a loss or the pair.
    """
    needed = (*TOKEN_COLUMNS, *DRIFT_COLUMNS, "realised")
    require_columns(tokens, needed, "the tokens table")
    needed = ("loss", "pair", "case", *CHOSEN_DRIFTS, *KEYS)
    require_columns(pairs, needed, "the pairs table")
    names = loss_names(pairs, losses)
    loss_names(tokens, names)
    styles = styles or loss_styles(names)
    number, loss = falling_pair(tokens, pairs, names, pair)
    with paper_style():
        return {
            "agreement": agreement_figure(tokens, names, styles),
            "waterfall": waterfall_figure(tokens, number, loss),
            "cases": cases_figure(pairs, names),
            "buckets": buckets_figure(pairs, names, styles),
            **({} if gram is None else {"gram": gram_figure(gram)}),
        }


def falling_pair(
    tokens: pd.DataFrame,
    pairs: pd.DataFrame,
    losses: Sequence[str],
    pair: int | None = None,
) -> tuple[int, str]:
    """A pair and a loss under which its chosen response is predicted to fall.

    Falls that the step bears out (realised within half of what was predicted) go before
    those that are predicted only. The loss is that with the most such pairs, the first
    one on a tie; losses whose drift is not split by cause come last. The pair is the
    most typical (`example_pair`) of those that fall by no less than the median.

    Args:
      tokens: a tokens table.
      pairs: columns `loss, pair, predicted_chosen, realised_chosen`.
      losses: those to choose from.
      pair: to keep to this one.

    Raises:
      GradlabError: the tokens table lacks the pair.
    """
    known = unique(tokens, "pair")
    if pair is not None:
        require_columns(
            select(tokens, pair=pair), (), f"pair {pair} of the tokens table"
        )
        known = [pair]
    parts = tokens[["by_chosen", "by_rejected"]].to_numpy(float)
    divided = set(np.asarray(tokens["loss"], str)[np.isfinite(parts).all(axis=1)])
    falls = _falls(select(pairs, pair=known))
    loss = max(
        losses, key=lambda name: (name in divided, len(select(falls, loss=name)))
    )
    own = select(falls, loss=loss)
    drift = own["predicted_chosen"].to_numpy(float)
    clear = own["pair"].to_numpy()[drift <= np.median(drift)] if len(own) else known
    return example_pair(select(tokens, loss=loss, pair=list(clear))), loss


def _falls(pairs: pd.DataFrame) -> pd.DataFrame:
    """Rows whose chosen response falls; those that the step bears out, if any."""
    predicted, realised = (pairs[name].to_numpy(float) for name in CHOSEN_DRIFTS)
    falls = predicted < 0
    borne_out = falls & (np.abs(realised - predicted) <= np.abs(predicted) / 2)
    return pairs.loc[borne_out if borne_out.any() else falls]


def waterfall_tokens(
    tokens: pd.DataFrame,
    pairs: pd.DataFrame,
    *,
    pair: int | None = None,
    losses: Sequence[str] | None = None,
) -> pd.DataFrame:
    """The rows of those tokens that the waterfall of `drift_figures` shows.

    Args:
      tokens: as in `drift_figures`; likewise `pairs`, `pair` and `losses`.

    Returns:
      Rows of one pair and loss, chosen ones first, in order.
    """
    number, loss = falling_pair(tokens, pairs, loss_names(pairs, losses), pair)
    rows, shown = select(tokens, pair=number, loss=loss), []
    for side in SIDES:
        own = select(rows, side=side).sort_values("position", kind="stable")
        first = side_tokens(rows, side, [loss]).first
        shown.append(own.iloc[fall_window(token_drifts(own).net, first, READABLE)])
    return pd.concat(shown, ignore_index=True)


def agreement_figure(
    tokens: pd.DataFrame,
    losses: Sequence[str],
    styles: Mapping[str, LineStyle],
    *,
    most: int = PANELS,
) -> Figure:
    """A panel per loss, for the first `most` losses: predicted against realised."""
    shown = losses[:most]
    columns = min(len(shown), 3 if len(shown) in (3, 5, 6, 9) else 4)
    rows = -(-len(shown) // columns)
    side = min((DOUBLE_COLUMN - 0.3) / columns, 2.6)
    fig = new_figure(DOUBLE_COLUMN, 0.92 * side * rows + 0.7)
    panels = list(fig.subplots(rows, columns, squeeze=False).ravel())
    for number, (loss, ax) in enumerate(zip(shown, panels, strict=False)):
        plot_agreement(tokens, loss=loss, styles=styles, bins=26, ax=ax)
        ax.set_xlabel("")
        if number % columns:
            ax.set_ylabel("")
        ax.tick_params(labelsize=SMALL)
    for ax in panels[len(shown) :]:
        ax.remove()
    hidden = len(losses) - len(shown)
    more = f" {hidden} more loss(es) not shown." if hidden else ""
    drifts = [known_drifts(tokens, loss) for loss in shown]
    counts = [len(points) for points in drifts]
    many = " to ".join(f"{count:,}" for count in sorted({min(counts), max(counts)}))
    notes = [f"predicted drift (nats), {many} tokens a panel.{more}", AGREEMENT_NOTE]
    if any(drift_scale(points.ravel()).width is not None for points in drifts):
        notes.append(ASINH_NOTE)
    fig.supxlabel("\n".join(notes), fontsize=SMALL)
    return fig


def waterfall_figure(tokens: pd.DataFrame, pair: int, loss: str) -> Figure:
    """Both responses of one pair under one loss, each by cause and in total."""
    fig = new_figure(DOUBLE_COLUMN, 2 * HEIGHT + 0.3)
    for side, ax in zip(SIDES, fig.subplots(2, 1), strict=True):
        plot_waterfall(tokens, pair=pair, loss=loss, side=side, ax=ax)
    title = f"One step of {label(loss)}, predicted for pair {pair}"
    fig.suptitle(title, fontsize=8, x=0.01, ha="left", parse_math=False)
    return fig


def gram_figure(gram: pd.DataFrame) -> Figure:
    """Cosines between the gradients of one pair's tokens.

    Where both responses begin alike their gradients are the same: the rejected one is
    shown from the first difference on.
    """
    require_columns(gram, GRAM_COLUMNS, "the table of token gradients")
    one, other = ["side", "position"], ["other_side", "other_position"]
    cosines = gram.pivot(index=one, columns=other, values="cosine")
    cosines = cosines.sort_index().sort_index(axis=1)
    tokens = gram.drop_duplicates(one).set_index(one).loc[cosines.index]
    side = tokens.index.get_level_values("side").to_numpy(str)
    place = tokens.index.get_level_values("position").to_numpy()
    again = (tokens["region"] == "prefix").to_numpy() & (side == "rejected")
    kept = ~(again & np.isin(place, place[side == "chosen"]))
    figure = plot_token_gram(
        cosines.to_numpy(float)[np.ix_(kept, kept)],
        list(tokens["token"][kept]),
        int((side[kept] == "chosen").sum()),
    ).get_figure(root=True)
    if figure is None:
        raise ValueError("the axes of the Gram stand in no figure")
    title = f"Which tokens of pair {gram['pair'].iloc[0]} move together"
    if not kept.all():
        title += "; what both responses begin with is shown once"
    figure.suptitle(title, fontsize=8, x=0.01, ha="left", parse_math=False)
    return figure


def cases_figure(pairs: pd.DataFrame, losses: Sequence[str]) -> Figure:
    """One stacked bar per loss."""
    fig = new_figure(DOUBLE_COLUMN, ROW * len(losses) + 0.75)
    ax = plot_cases(pairs, losses=losses, ax=fig.add_subplot())
    ax.set_xlabel("share of pairs (%); lines: 95 % intervals of “both fall”")
    return fig


def buckets_figure(
    pairs: pd.DataFrame,
    losses: Sequence[str],
    styles: Mapping[str, LineStyle],
    *,
    value: str = "predicted_chosen",
) -> Figure:
    """Four panels, one per predictor; losses with proportional drifts share a line."""
    named = {alike[0]: _joined(alike) for alike in proportional(pairs, losses, value)}
    losses = list(named)
    columns = 4 if max(map(len, named.values())) <= 16 else 3
    fig = new_figure(DOUBLE_COLUMN, 4.6 + 0.15 * -(-len(losses) // columns))
    for key, ax in zip(KEYS, fig.subplots(2, 2, sharey=True).ravel(), strict=True):
        plot_buckets(
            pairs, key=key, value=value, relative=True, losses=losses, styles=styles,
            legend=False, ax=ax,
        )  # fmt: skip
        ax.set_ylabel("")
    fig.supylabel(f"mean {value_name(value, relative=True)}", fontsize=8)
    handles = [
        Line2D([], [], color=s.color, linestyle=s.dashes, marker=s.marker)
        for s in (styles[loss] for loss in losses)
    ]
    legend = fig.legend(
        handles, list(named.values()), loc="outside lower center", ncols=columns,
        title=BUCKET_NOTE, title_fontsize=SMALL,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)
    return fig


def _joined(losses: Sequence[str]) -> str:
    """The names of these losses for one legend entry; the first where they are long."""
    names = ", ".join(label(name) for name in losses)
    if len(losses) == 1 or len(names) <= _LEGEND:
        return names
    return f"{label(losses[0])} + {len(losses) - 1} more"
