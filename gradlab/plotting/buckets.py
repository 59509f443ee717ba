"""Drift of a response against what might predict it: means over quantile buckets."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from gradlab.errors import GradlabError
from gradlab.plotting.curves import add_loss_legend
from gradlab.plotting.pairs import loss_names
from gradlab.plotting.scales import tick_text
from gradlab.plotting.style import (
    MUTED,
    SINGLE_COLUMN,
    SMALL,
    LineStyle,
    axes_or_new,
    loss_styles,
    paper_style,
)
from gradlab.plotting.text import number
from gradlab.tables import require_columns, seed_intervals, select

KEY_NAMES = {
    "ln_ches": "length-normalised CHES",
    "ches": "CHES",
    "edit_token": "normalised edit distance (tokens)",
    "edit_character": "normalised edit distance (characters)",
    "score_cosine": "cosine of the two score gradients",
    "last_hidden_cosine": "cosine of the last hidden states",
}
_VALUE_NAMES = {
    f"{kind}_{side}": f"{kind} drift of {side}"
    for kind in ("predicted", "realised", "own")
    for side in ("chosen", "rejected")
}


def value_name(value: str, *, relative: bool) -> str:
    """A drift column of the pairs table, in words."""
    unit = " / RMS" if relative else " (nats)"
    return _VALUE_NAMES.get(value, value) + (unit if value in _VALUE_NAMES else "")


def plot_buckets(
    pairs: pd.DataFrame,
    *,
    key: str = "ln_ches",
    value: str = "predicted_chosen",
    buckets: int = 5,
    relative: bool = False,
    losses: Sequence[str] | None = None,
    styles: Mapping[str, LineStyle] | None = None,
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Mean of `value` over the pairs in each quantile bucket of `key`, a line per loss.

    The buckets hold equally many pairs, as far as equal keys, which stay together,
    allow. Bars are 95 % t intervals over pairs, absent where a bucket has one pair.
    Under each bucket stand the median of its keys and how many pairs it holds.

    Args:
      pairs: one row per loss and pair with the columns `loss, pair`, `key` and `value`;
        rows in which one of the two is not finite are left out.
      key: what may predict the drift, such as "ches", "edit_token" or "score_cosine".
      value: the drift, nats.
      buckets: how many at most.
      relative: divide each loss's values by their root mean square over pairs, so that
        losses whose steps differ in size are seen on one scale.
      losses: which, in order; all by default.
      styles: from `loss_styles`, to share colours with other figures.
      legend: draw one at the right.
      ax: where to draw; a new figure of column width by default.
    Returns:
      The axes; bucket i stands at x = i.
    Raises:
      GradlabError: a column is missing, a loss is unknown, or `buckets` is below 1.
    Example:
      >>> rows = {"pair": range(4), "ches": [1, 2, 3, 4], "drift": [3, 2, 1, 0]}
      >>> table = pd.DataFrame({"loss": "dpo", **rows})
      >>> ax = plot_buckets(table, key="ches", value="drift", buckets=2)
    """
    require_columns(pairs, ("loss", "pair", key, value), "the pairs table")
    if buckets < 1:
        raise GradlabError(f"buckets is {buckets}; expected at least 1")
    names = loss_names(pairs, losses)
    styles = styles or loss_styles(names)
    rows = select(pairs, loss=names)
    rows = rows.loc[np.isfinite(rows[[key, value]].to_numpy(float)).all(axis=1)]
    rows = rows.assign(bucket=bucket_of(rows[key].to_numpy(float), buckets))
    if relative:
        rows = rows.assign(**{value: _per_spread(rows, value)})
    with paper_style():
        width = SINGLE_COLUMN + (1.4 if legend else 0)
        ax = axes_or_new(ax, width, 2.4)
        ax.axhline(0, color=MUTED, linewidth=0.6, zorder=0)
        if rows.empty:
            _say_empty(ax)
        else:
            _draw_lines(ax, _means(rows, value), names, styles)
            _label_buckets(ax, rows, key)
        ax.set_xlabel(KEY_NAMES.get(key, key), parse_math=False)
        ax.set_ylabel(value_name(value, relative=relative), parse_math=False)
        if legend:
            add_loss_legend(ax, names, styles)
    return ax


def bucket_of(keys: np.ndarray, buckets: int) -> np.ndarray:
    """The quantile bucket of each key, from 0; equal keys share one.

    Up to `buckets` different keys have a bucket each.

    Args:
      keys: [N] finite.
      buckets: how many at most; ties may leave fewer, none of them empty.

    Example:
      >>> bucket_of(np.array([0.1, 0.2, 0.3, 9.0]), 2).tolist()
      [0, 0, 1, 1]
    """
    distinct = np.unique(keys)
    if len(distinct) <= buckets:
        return np.searchsorted(distinct, keys)
    inner = np.quantile(keys, np.arange(1, buckets) / buckets)
    raw = np.searchsorted(np.unique(inner), keys, side="left")
    return np.unique(raw, return_inverse=True)[1]


def proportional(
    pairs: pd.DataFrame, losses: Sequence[str], value: str
) -> list[list[str]]:
    """The losses in groups whose drifts agree up to a positive factor, within 0.1 %.

    Args:
      pairs: columns `loss, pair` and `value`.
      losses: which, in order.
      value: the drift, nats.
    """
    wide = select(pairs, loss=list(losses)).pivot(
        index="pair", columns="loss", values=value
    )
    groups: list[tuple[np.ndarray, list[str]]] = []
    for loss in losses:
        drift = wide[loss].to_numpy(float)
        unit = drift / (np.linalg.norm(drift) or 1.0)
        near = [alike for other, alike in groups if np.linalg.norm(unit - other) < 1e-3]
        if near:
            near[0].append(loss)
        else:
            groups.append((unit, [loss]))
    return [alike for _, alike in groups]


def _per_spread(rows: pd.DataFrame, value: str) -> np.ndarray:
    """The values over the root mean square of those of their loss; 0 stays 0."""
    values = rows[value].to_numpy(float)
    loss = np.unique(np.asarray(rows["loss"], str), return_inverse=True)[1]
    spread = np.sqrt(np.bincount(loss, values**2) / np.maximum(np.bincount(loss), 1))
    return values / np.where(spread > 0, spread, 1)[loss]


def _means(rows: pd.DataFrame, value: str) -> pd.DataFrame:
    """Columns loss, bucket, value, low, high: the pairs are the unit of replication."""
    columns = ["loss", "bucket"]
    table = (
        rows[columns]
        .assign(seed=rows["pair"], value=rows[value])
        .astype({"loss": object})
    )
    return seed_intervals(table, columns)


def _draw_lines(
    ax: Axes,
    means: pd.DataFrame,
    names: Sequence[str],
    styles: Mapping[str, LineStyle],
) -> None:
    # Side by side within a bucket, so that the intervals don't hide each other.
    shifts = np.linspace(-0.5, 0.5, len(names)) * min(0.045 * (len(names) - 1), 0.5)
    for name, shift in zip(names, shifts, strict=True):
        line, style = select(means, loss=name).sort_values("bucket"), styles[name]
        x = line["bucket"] + shift
        ax.plot(
            x, line["value"], color=style.color, linestyle=style.dashes, linewidth=0.9,
            marker=style.marker, markersize=3, zorder=3,
        )  # fmt: skip
        ax.vlines(
            x,
            line["low"],
            line["high"],
            color=style.color,
            lw=0.7,
            alpha=0.45,
            zorder=2,
        )
    # Linear: means beside 0 would send a symlog axis down many decades of noise.
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: tick_text(round(y, 12))))


def _label_buckets(ax: Axes, rows: pd.DataFrame, key: str) -> None:
    one = rows.drop_duplicates("pair").groupby("bucket")[key].agg(["median", "size"])
    middles = [number(m) for m in one["median"]]
    texts = [f"{m}\n({n})" for m, n in zip(middles, one["size"], strict=True)]
    ax.set_xticks(list(one.index), texts)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(-0.5, len(one) - 0.5)


def _say_empty(ax: Axes) -> None:
    ax.text(
        0.5, 0.55, "no pair has a finite value", ha="center", fontsize=SMALL,
        color=MUTED, transform=ax.transAxes,
    )  # fmt: skip
    ax.set_xticks([])
    ax.set_yticks([])
