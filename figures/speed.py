"""Figure of the study `speed`, from its long-format table.

Columns of analyses/tables/speed.csv that are read: `part, setting, size, method,
metric, value`; one row of metric `seconds` for each round. The panels, and what they
read:

    a  drift             seconds of each side for all tokens of a batch
    b  pair_gradients    memory against pairs, and seconds at the largest number
    c  token_weights     seconds of all losses' weights and of one forward pass
    d  logps             memory against positions, and seconds at the largest number

Memory is `peak_mib`, measured in a process of its own; where that is missing,
`xla_temp_mib`, the temporary memory that XLA planned. Times are medians over rounds,
with a bar from the fastest to the slowest; "×" is the median of the ratios (`speedup`).
A part that the table lacks has no panel.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from gradlab.plotting import DOUBLE_COLUMN, paper_style
from gradlab.plotting.scales import tick_text
from gradlab.plotting.style import INK, MUTED, PALETTE, SMALL, new_figure
from gradlab.plotting.text import number
from gradlab.tables import check_study_table, require_columns, select

OURS = "gradlab"
KEYS = ["part", "setting", "size", "method"]
COLORS = {OURS: PALETTE[0], "jax": PALETTE[1], "torch": PALETTE[2], "forward": MUTED}
SIDES = {
    "gradlab": "gradlab",
    "forward_pass": "one forward pass",
    "jax_backward": "JAX, own sequence",
    "torch_backward": "PyTorch, own sequence",
    "jax_batch_backward": "JAX, whole batch",
    "torch_batch_backward": "PyTorch, whole batch",
    "jax_vmap": "JAX, vmap(grad)",
    "torch_vmap": "PyTorch, vmap(grad)",
    "jax_full": "JAX, all logits",
    "torch_full": "PyTorch, all logits",
}
MEMORY = {"peak_mib": "peak memory, MiB", "xla_temp_mib": "temporary memory, MiB"}
RATIOS = "×: time over gradlab's"
GAP = 0.1  # between end labels, of the height of the axes


@dataclass(frozen=True)
class Lines:
    """What a memory panel says in words.

    Attributes:
      solid: the setting drawn with solid lines, which are labelled.
      dashed: the setting drawn with dashed lines.
      names: what the two are called.
      x: label of the x axis.
    """

    solid: str
    dashed: str
    names: tuple[str, str]
    x: str


GRADIENTS = Lines("gram", "norms", ("inner products", "norms"), "pairs")
LOGPS = Lines("backward", "forward", ("with backward", "forward"), "positions")


def draw(table: pd.DataFrame) -> dict[str, Figure]:
    """The figure of all parts that the table has.

    Raises:
      GradlabError: not a table of this study.
    """
    check_study_table(table, "the table of speed")
    require_columns(table, KEYS, "the table of speed")
    panels = {
        part: panel for part, panel in PANELS.items() if part in set(table["part"])
    }
    if not panels:
        return {}
    with paper_style():
        rows = -(-len(panels) // 2)
        figure = new_figure(DOUBLE_COLUMN, 0.2 + 2.2 * rows)
        axes = np.ravel(figure.subplots(rows, min(len(panels), 2)))
        for letter, ax, (part, panel) in zip(
            "abcdef", axes, panels.items(), strict=False
        ):
            panel(ax, select(table, part=part), letter)
        for ax in axes[len(panels) :]:
            ax.set_visible(False)
    return {"overview": figure}


def _drift(ax: Axes, rows: pd.DataFrame, letter: str) -> None:
    tokens = int(rows["size"].iloc[0])
    _time_rows(ax, rows, [(side, tokens, SIDES[side]) for side in _sides(rows)])
    _head(
        ax,
        f"{letter}  Drift of all {tokens:,} tokens of a batch",
        f"JAX, PyTorch: backward per token. {RATIOS}",
    )


def _token_weights(ax: Axes, rows: pd.DataFrame, letter: str) -> None:
    count = int(_values(rows, metric="losses")[0])
    names = {OURS: "weights of all losses", "forward_pass": SIDES["forward_pass"]}
    sizes = sorted(set(rows["size"]))
    lines = [
        (side, size, f"{names[side]}, {size:g} pairs")
        for size in sizes
        for side in _sides(rows)
    ]
    _time_rows(ax, rows, lines)
    _head(ax, f"{letter}  Token weights of {count} losses", RATIOS)


def _time_rows(
    ax: Axes, rows: pd.DataFrame, lines: list[tuple[str, float, str]]
) -> None:
    """A dot per (side, size, name) at its median time, and the ratio to ours."""
    for y, (side, size, name) in enumerate(lines):
        own = select(rows, method=side, size=size)
        seconds = _values(own, metric="seconds")
        middle, color = float(np.median(seconds)), _color(side)
        ax.axhline(y, color="#e2e2e2", linewidth=0.6, zorder=1)
        ax.plot([seconds.min(), seconds.max()], [y, y], color=color, zorder=2)
        ax.plot(middle, y, "o", color=color, markersize=5, zorder=3)
        text = ax.annotate(
            f"{name}: {_seconds(middle)}{_ratio(own)}", (0, y), (0, 5), va="bottom",
            xycoords=("axes fraction", "data"), textcoords="offset points",
            fontsize=SMALL, color=INK,
        )  # fmt: skip
        text.set_in_layout(False)
    ax.set_xscale("log")
    _decades(ax.xaxis, ax.set_xlim, _values(rows, metric="seconds"), 0.08)
    ax.set_ylim(len(lines) - 0.6, -0.8)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("seconds")


def _ratio(rows: pd.DataFrame) -> str:
    """The median ratio to ours and its range, or nothing for ours."""
    found = [_values(rows, metric=f"speedup{end}") for end in ("_low", "", "_high")]
    if not found[0].size:
        return ""
    low, middle, high = (float(np.median(values)) for values in found)
    return f", ×{_plain(middle)} ({_plain(low)} to {_plain(high)})"


def _memory(ax: Axes, rows: pd.DataFrame, letter: str, title: str, said: Lines) -> None:
    metric = next(name for name in MEMORY if len(select(rows, metric=name)))
    memory = select(rows, metric=metric)
    ends = []
    for side in _sides(memory):
        for setting, dashes in ((said.dashed, (0, (3, 1.5))), (said.solid, "-")):
            line = select(memory, method=side, setting=setting)
            sizes = sorted(set(line["size"]))
            middle = [float(np.median(_values(line, size=size))) for size in sizes]
            ax.plot(
                sizes, middle, "o", linestyle=dashes, color=_color(side), markersize=3
            )
            if setting == said.solid and middle:
                ends.append((middle[-1], SIDES[side], _color(side)))
    sizes = sorted(set(memory["size"]))
    ax.set_xscale("log", base=2)
    ax.set_xticks(sizes, [f"{size:g}" for size in sizes])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_yscale("log")
    _decades(ax.yaxis, ax.set_ylim, _values(memory), 0.12)
    _end_labels(ax, ends)
    ax.set_xlabel(f"{said.x}; solid: {said.names[0]}, dashed: {said.names[1]}")
    ax.set_ylabel(MEMORY[metric])
    _head(ax, f"{letter}  {title}", _cost(rows, said))


def _cost(rows: pd.DataFrame, said: Lines) -> str:
    """Our time over JAX's at the largest size, in words."""
    size, texts = max(rows["size"]), []
    for setting, name in zip((said.solid, said.dashed), said.names, strict=True):
        own = select(rows, size=size, setting=setting)
        jax = [side for side in SIDES if side.startswith("jax")]
        ratio = _values(own, metric="speedup", method=jax)
        if ratio.size:
            texts.append(f"×{_plain(1 / float(np.median(ratio)))} ({name})")
    return f"gradlab's time over JAX's at {size:,}: {', '.join(texts)}"


def _pair_gradients(ax: Axes, rows: pd.DataFrame, letter: str) -> None:
    _memory(ax, rows, letter, "Gradients of single pairs", GRADIENTS)


def _logps(ax: Axes, rows: pd.DataFrame, letter: str) -> None:
    vocab = int(_values(rows, metric="vocab_size")[0])
    _memory(ax, rows, letter, f"Log-probs among {vocab:,} tokens", LOGPS)


PANELS: dict[str, Callable[[Axes, pd.DataFrame, str], None]] = {
    "drift": _drift,
    "pair_gradients": _pair_gradients,
    "token_weights": _token_weights,
    "logps": _logps,
}


def _sides(rows: pd.DataFrame) -> list[str]:
    """The sides that were measured, in the order of `SIDES`."""
    measured = set(select(rows, metric=["seconds", *MEMORY])["method"])
    return [side for side in SIDES if side in measured]


def _values(rows: pd.DataFrame, **keys: Any) -> np.ndarray:
    """The values of the rows with these keys."""
    return np.asarray(select(rows, **keys)["value"], float)


def _color(side: str) -> str:
    return COLORS[side.partition("_")[0]]


def _seconds(value: float) -> str:
    return f"{number(value)} s" if value >= 0.1 else f"{number(1000 * value)} ms"


def _plain(value: float) -> str:
    """Two digits at least, without an exponent."""
    return f"{value:,.0f}" if value >= 10 else number(value)


def _decades(axis: Axis, set_limits: Any, values: np.ndarray, margin: float) -> None:
    """Limits with a margin, as a share of the range in decades; ticks 1, 10 or 1, 2, 5.

    Args:
      axis: logarithmic.
      set_limits: of that axis.
      values: all that is drawn along it.
      margin: at either end.
    """
    first, last = np.log10(values.min()), np.log10(values.max())
    space = margin * max(last - first, 1)
    low, high = 10 ** (first - space), 10 ** (last + space)
    set_limits(low, high)
    steps = (1, 2, 5) if high / low < 100 else (1,)
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)))
    ticks = [step * power for power in powers for step in steps]
    axis.set_major_locator(FixedLocator([t for t in ticks if low <= t <= high]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: tick_text(value)))
    axis.set_minor_locator(NullLocator())


def _head(ax: Axes, title: str, note: str) -> None:
    """A title, and a line in small type between it and the axes."""
    ax.set_title(title, pad=14)
    text = ax.annotate(
        note, (0, 1), (0, 4), xycoords="axes fraction", textcoords="offset points",
        fontsize=SMALL, color=MUTED,
    )  # fmt: skip
    text.set_in_layout(False)  # longer than the axes are wide


def _end_labels(ax: Axes, ends: list[tuple[float, str, str]]) -> None:
    """Names at the right ends of lines, moved apart where they would overlap."""
    low, high = np.log10(ax.get_ylim())
    place = -np.inf
    for value, text, color in sorted(ends):
        place = max((np.log10(value) - low) / (high - low), place + GAP)
        ax.annotate(
            text, (1, place), (3, 0), xycoords="axes fraction", color=color,
            textcoords="offset points", va="center", fontsize=SMALL,
        )  # fmt: skip
