"""Figure of the study `training_speed`, from its long-format table.

Columns of analyses/tables/training_speed.csv that are read: `size, method, round,
metric, value`. A panel for each size of model, then one for memory:

    pairs_per_second   a bar for each side: median over rounds, and a line from the
                       slowest to the fastest round
    ratio, cost        the numbers behind the bars: "×" over TRL, or what a part that is
                       switched off costs
    peak_mib           memory above that of the imported libraries, and its share of
                       TRL's: of checkpointing TRL's where gradlab saves memory too

A size or a side that the table lacks is left out.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gradlab.plotting import DOUBLE_COLUMN, paper_style
from gradlab.plotting.style import INK, MUTED, PALETTE, SMALL, new_figure
from gradlab.plotting.text import number
from gradlab.tables import check_study_table, require_columns, select

OURS, TRL = "gradlab", "trl"
SAVING, CHECKPOINTING = "saving", "trl_checkpointing"
KEYS = ["size", "method", "round"]
SIDES = {
    OURS: "gradlab",
    "without_packing": "without packing",
    "without_response_head": "head on all positions",
    "without_bucketing": "without bucketing",
    "plain": "none of the three",
    SAVING: "saving memory",
    TRL: "TRL",
    CHECKPOINTING: "TRL, checkpointing",
}
COLORS = {
    OURS: PALETTE[0],
    SAVING: PALETTE[0],
    TRL: PALETTE[2],
    CHECKPOINTING: PALETTE[2],
}
BASES = {OURS: TRL, SAVING: CHECKPOINTING}  # memory beside that of the like setting
MIB = "peak_mib"


def draw(table: pd.DataFrame) -> dict[str, Figure]:
    """Pairs per second and memory, in one figure.

    Raises:
      GradlabError: not a table of this study.
    """
    check_study_table(table, "the table of training_speed")
    require_columns(table, KEYS, "the table of training_speed")
    rates = select(table, metric="pairs_per_second")
    if rates.empty:
        return {}
    sizes = list(dict.fromkeys(rates["size"]))
    remembered = not select(table, metric=MIB).empty
    with paper_style():
        figure = new_figure(DOUBLE_COLUMN, 3.0)
        axes = np.ravel(figure.subplots(1, len(sizes) + remembered))
        for letter, ax, size in zip("abcdef", axes, sizes, strict=False):
            _speed(ax, select(table, size=size), letter, size)
        if remembered:
            _memory(axes[-1], table, sizes, "abcdef"[len(sizes)])
        # Bars of one thickness, whatever their number.
        lowest = max(ax.get_ylim()[0] for ax in axes)
        for ax in axes:
            ax.set_ylim(bottom=lowest)
    return {"overview": figure}


def _speed(ax: Axes, rows: pd.DataFrame, letter: str, size: str) -> None:
    sides = _sides(rows, "pairs_per_second")
    for y, side in enumerate(sides):
        own = select(rows, method=side)
        rates = _values(own, metric="pairs_per_second")
        _bar(ax, y, rates, side, f"{SIDES[side]}: {_speed_text(own, side)}")
    _finish(ax, len(sides), "pairs per second")
    _head(ax, f"{letter}  {_shape(size)}", _note(rows))


def _speed_text(rows: pd.DataFrame, side: str) -> str:
    """A rate, and what it is of TRL's or of all of gradlab's."""
    rate = number(float(np.median(_values(rows, metric="pairs_per_second"))))
    if side == TRL:
        return rate
    if side in BASES:
        return f"{rate}{_spread(rows, 'ratio', '×', ' TRL')}"
    return f"{rate}{_spread(rows, 'cost', '÷', '')}"


def _spread(rows: pd.DataFrame, metric: str, sign: str, unit: str) -> str:
    """The median and the range over rounds of a ratio, where there is one."""
    found = [_values(rows, metric=f"{metric}{end}") for end in ("", "_low", "_high")]
    if not found[0].size:
        return ""
    middle, low, high = (number(float(np.median(values))) for values in found)
    return f", {sign}{middle}{unit} ({low} to {high})"


def _note(rows: pd.DataFrame) -> str:
    """How much less work, where both sides tell."""
    texts = []
    for metric, name in (("columns", "layers"), ("positions", "head")):
        ours, theirs = (_values(rows, metric=metric, method=m) for m in (OURS, TRL))
        if ours.size and theirs.size:
            share = float(np.median(ours) / np.median(theirs))
            texts.append(f"{name} {100 * share:.0f} %")
    return f"tokens run, of TRL's: {', '.join(texts)}" if texts else ""


def _memory(ax: Axes, table: pd.DataFrame, sizes: list[str], letter: str) -> None:
    y = 0
    for size in sizes:
        rows = select(table, size=size, metric=MIB)
        for side in _sides(rows, MIB):
            gib = _values(rows, method=side) / 1024
            text = f"{SIDES[side]}, {_shape(size)}: {number(float(np.median(gib)))}"
            base = _values(rows, method=BASES.get(side, ""))
            if base.size:
                share = float(np.median(gib) * 1024 / np.median(base))
                text += f", {100 * share:.0f} % of TRL"
            _bar(ax, y, gib, side, text)
            y += 1
    _finish(ax, y, "peak memory, GiB")
    beside = set(select(table, metric=MIB)["method"]) >= {SAVING, CHECKPOINTING}
    note = "% of TRL: of checkpointing where saving" if beside else ""
    _head(ax, f"{letter}  Memory", note)


def _bar(ax: Axes, y: int, values: np.ndarray, side: str, text: str) -> None:
    """A bar at the median with a line over the range, and its text above it."""
    color = COLORS.get(side, MUTED)
    ax.barh(y, float(np.median(values)), height=0.32, color=color, zorder=2)
    if values.size > 1:
        ax.plot([values.min(), values.max()], [y, y], color=INK, lw=0.8, zorder=3)
    said = ax.annotate(
        text, (0, y - 0.18), (0, 1), va="bottom", color=INK, fontsize=SMALL,
        textcoords="offset points",
    )  # fmt: skip
    said.set_in_layout(False)  # may be longer than the axes are wide


def _finish(ax: Axes, count: int, label: str) -> None:
    ax.set_ylim(count - 0.6, -0.8)
    ax.set_yticks([])
    ax.set_xlim(left=0)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel(label)


def _head(ax: Axes, title: str, note: str) -> None:
    """A title, and a line in small type between it and the axes."""
    ax.set_title(title, pad=14)
    text = ax.annotate(
        note, (0, 1), (0, 4), xycoords="axes fraction", textcoords="offset points",
        fontsize=SMALL, color=MUTED,
    )  # fmt: skip
    text.set_in_layout(False)


def _shape(size: str) -> str:
    return size.replace("x", " × ")


def _sides(rows: pd.DataFrame, metric: str) -> list[str]:
    """The sides that were measured, in the order of `SIDES`."""
    measured = set(select(rows, metric=metric)["method"])
    return [side for side in SIDES if side in measured]


def _values(rows: pd.DataFrame, **keys: Any) -> np.ndarray:
    """The values of the rows with these keys."""
    return np.asarray(select(rows, **keys)["value"], float)
