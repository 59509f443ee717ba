"""Summaries with one line per loss: total weight on each side, and where it lies."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from gradlab.errors import GradlabError
from gradlab.plotting.pairs import loss_names, unique
from gradlab.plotting.scales import finite, power_of_ten, tick_text
from gradlab.plotting.style import (
    INK,
    LOWERED,
    MUTED,
    RAISED,
    SINGLE_COLUMN,
    SMALL,
    axes_or_new,
    paper_style,
)
from gradlab.plotting.text import label, number
from gradlab.tables import require_columns

ROW = 0.2  # inches per loss
SHARES = ("share_before", "share_at", "share_after")
_SHARE_LOOK = (("#bdbdbd", "before"), ("#E69F00", "at"), ("#56B4E9", "after"))


def plot_mass(
    summary: pd.DataFrame,
    *,
    losses: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Total |dL/dlogp| on the chosen and on the rejected side, one line per loss.

    A dot per side on a log axis, joined by a line; the ratio bad/good stands at the
    right. An exact 0 has a place of its own left of the axis break.

    Args:
      summary: one row per loss, with the columns `loss, mass_chosen, mass_rejected`
        (mean over pairs of the sum of |w|, loss per nat); `mass_chosen_low` and
        `..._high` (and likewise for rejected) draw an interval.
      losses: lines from top to bottom; all losses by default.
      ax: where to draw; a new figure of column width by default.
    Returns:
      The axes.
    Raises:
      GradlabError: a column is missing, a loss is unknown, or a mass is negative.
    Example:
      >>> masses = {"mass_chosen": [1.0, 0.5], "mass_rejected": [0.0, 0.5]}
      >>> ax = plot_mass(pd.DataFrame({"loss": ["mle", "dpo"], **masses}))
    """
    rows = _loss_rows(summary, ("mass_chosen", "mass_rejected"), losses)
    masses = rows[["mass_chosen", "mass_rejected"]].to_numpy(float)
    if (masses < 0).any():
        raise GradlabError("a mass is a sum of |w|; found a negative one")
    with paper_style():
        ax = axes_or_new(ax, SINGLE_COLUMN, ROW * len(rows) + 0.75)
        zero = _mass_axis(ax, masses)
        place = np.where(masses == 0, zero, masses)
        for y, (good, bad) in enumerate(place):
            ax.plot([good, bad], [y, y], color="#c4c4c4", linewidth=1.6, zorder=1)
        looks = (("chosen", RAISED, "o", 30), ("rejected", LOWERED, "D", 9))
        for column, (side, color, marker, size) in enumerate(looks):
            x, y = place[:, column], np.arange(len(rows))
            ax.scatter(
                x, y, size, color, marker=marker, label=side, zorder=3, linewidths=0
            )
            _intervals(ax, rows, f"mass_{side}", color)
        _loss_axis(ax, list(rows["loss"]))
        ax.grid(axis="y", linewidth=0.4)
        for y, (good, bad) in enumerate(masses):
            _note(ax, y, number(bad / good) if good > 0 else "–")
        ax.annotate(
            "bad/good", (1, 1), (30, 5), xycoords="axes fraction", fontsize=SMALL,
            textcoords="offset points", ha="right", color=INK,
        )  # fmt: skip
        ax.set_xlabel("mean Σ|∂L/∂log p| per response")
        ax.legend(
            loc="lower left", bbox_to_anchor=(-0.02, 1), ncols=2, handlelength=1,
            columnspacing=1, borderaxespad=0.1,
        )  # fmt: skip
    return ax


def _mass_axis(ax: Axes, masses: np.ndarray) -> float:
    """Sets the x axis; returns where on it an exact 0 is drawn."""
    positive = finite(masses)
    positive = positive[positive > 0]
    if positive.size == 0 or positive.max() / positive.min() < 10:
        largest = float(positive.max()) if positive.size else 1.0
        ax.set_xlim(-0.04 * largest, 1.08 * largest)
        return 0.0
    low = int(np.floor(np.log10(positive.min())))
    high = int(np.ceil(np.log10(positive.max())))
    zero = 10.0 ** (low - 0.12 * max(high - low, 3))
    some_zero = bool((masses == 0).any())
    ax.set_xscale("log")
    ax.set_xlim((zero if some_zero else 10.0**low) / 1.6, 1.6 * 10.0**high)
    powers = range(low, high + 1, max(1, -(-(high - low) // 5)))
    ticks = [10.0**p for p in powers]
    labels = [
        tick_text(t) if abs(p) < 3 else power_of_ten(p)
        for t, p in zip(ticks, powers, strict=True)
    ]
    if some_zero:
        ticks, labels = [zero, *ticks], ["0", *labels]
        ax.axvline(np.sqrt(zero * 10.0**low), color=MUTED, linewidth=0.6, linestyle=":")
    ax.set_xticks(ticks, labels)
    ax.minorticks_off()
    return zero


def _loss_rows(
    summary: pd.DataFrame, columns: Sequence[str], losses: Sequence[str] | None
) -> pd.DataFrame:
    """One row per loss in the wanted order."""
    require_columns(summary, ["loss", *columns], "the summary table")
    if len(unique(summary, "loss")) < len(summary):
        raise GradlabError("the summary table has more than one row for a loss")
    return summary.set_index("loss", drop=False).reindex(loss_names(summary, losses))


def _loss_axis(ax: Axes, names: Sequence[str]) -> None:
    ax.set_yticks(range(len(names)), [label(n, 22) for n in names], parse_math=False)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set_ylim(len(names) - 0.4, -0.6)


def _note(ax: Axes, y: float, text: str) -> None:
    ax.annotate(
        text, (1, y), (30, 0), xycoords=("axes fraction", "data"), fontsize=SMALL,
        textcoords="offset points", va="center", ha="right", color=INK,
        annotation_clip=False,
    )  # fmt: skip


def _intervals(ax: Axes, rows: pd.DataFrame, column: str, color: str) -> None:
    if {f"{column}_low", f"{column}_high"} <= set(rows.columns):
        # A t interval may reach below 0, where no mass is; a log axis has no place.
        floor = ax.get_xlim()[0]
        low = np.maximum(rows[f"{column}_low"].to_numpy(float), floor)
        high = rows[f"{column}_high"].to_numpy(float)
        ax.hlines(
            np.arange(len(rows)), low, high, color=color, linewidth=2.4, alpha=0.4
        )


def plot_region_shares(
    summary: pd.DataFrame,
    *,
    losses: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Where the weight lies: before, at and after the first differing token.

    Args:
      summary: one row per loss, with the columns `loss, share_before, share_at,
        share_after`, shares of the sum of |w| over both sides.
      losses: lines from top to bottom; all losses by default.
      ax: where to draw; a new figure of column width by default.
    Returns:
      The axes.
    Raises:
      GradlabError: a column is missing, a loss is unknown, or shares don't sum to 1.
    Example:
      >>> shares = dict(share_before=[0.5], share_at=0.1, share_after=0.4)
      >>> ax = plot_region_shares(pd.DataFrame({"loss": ["dpo"], **shares}))
    """
    rows = _loss_rows(summary, SHARES, losses)
    shares = rows[list(SHARES)].to_numpy(float)
    known = np.isfinite(shares).all(axis=1)
    wrong = known & (np.abs(shares.sum(axis=1) - 1) > 1e-3)
    if wrong.any():
        loss, total = list(rows["loss"])[wrong.argmax()], shares[wrong.argmax()].sum()
        raise GradlabError(f"the shares of {loss!r} sum to {total:g}, not to 1")
    with paper_style():
        ax = axes_or_new(ax, SINGLE_COLUMN, ROW * len(rows) + 0.75)
        left = np.zeros(len(rows))
        for column, (color, name) in enumerate(_SHARE_LOOK):
            width = np.where(known, shares[:, column], 0.0)
            ax.barh(np.arange(len(rows)), width, 0.72, left, color=color, label=name)
            for y in np.flatnonzero(width >= 0.07).tolist():
                percent = f"{100 * width[y]:.0f}"
                x = left[y] + width[y] / 2
                ax.text(x, y, percent, ha="center", va="center", fontsize=SMALL)
            left += width
        for y in np.flatnonzero(~known).tolist():
            ax.text(0.01, y, "no weight", va="center", fontsize=SMALL, color=MUTED)
        _loss_axis(ax, list(rows["loss"]))
        ax.set_xlim(0, 1)
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])
        ax.set_xlabel("share of Σ|∂L/∂log p| (%)")
        ax.legend(
            loc="lower left", bbox_to_anchor=(-0.02, 1), ncols=3, handlelength=1,
            columnspacing=1, borderaxespad=0.1, title="first differing token:",
            title_fontsize=7, alignment="left",
        )  # fmt: skip
    return ax
