"""Which tokens of a pair move together: cosines of their gradients as a heat map."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.ticker import FuncFormatter

from gradlab.errors import GradlabError
from gradlab.plotting.scales import tick_text
from gradlab.plotting.style import INK, MUTED, SMALL, axes_or_new, paper_style
from gradlab.plotting.text import cut, number, visible

COSINE_COLORS: Colormap = LinearSegmentedColormap.from_list(
    "gradlab_cosines", ["#7A3300", "#D55E00", "#ffffff", "#0072B2", "#00324F"]
).with_extremes(bad="#d9d9d9")
_LINE = 1.15  # height of a line of token text, in ems


def plot_token_gram(
    cosines: np.ndarray,
    labels: Sequence[str],
    chosen_count: int,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Cosine between the log-probability gradients of every two tokens of one pair.

    Blue: raising one token raises the other; vermillion: it lowers the other; white:
    they don't touch; grey: not finite. Lines part the chosen tokens, which come first,
    from the rejected ones; the mean of each block, without the diagonal, stands above.
    The scale is symmetric and ends at the largest cosine off the diagonal, so that a
    diagonal of ones may lie beyond it. Where tokens are many, their names stand in two
    rows by turns; where even that is too narrow, only every other (third, ...) has one.

    Args:
      cosines: [M, M], chosen tokens before rejected ones.
      labels: M token texts.
      chosen_count: how many of them are chosen.
      ax: where to draw; a new square figure by default.
    Returns:
      The axes.
    Raises:
      GradlabError: the matrix isn't square or has no tokens, or the labels or the count
        don't fit it.
    Example:
      >>> ax = plot_token_gram(np.eye(3), [" yes", " no", "."], 1)
    """
    cosines = np.asarray(cosines, float)
    _check(cosines, labels, chosen_count)
    count = len(cosines)
    with paper_style():
        side = min(6.0, max(2.6, 0.105 * count + 1.2))
        ax = axes_or_new(ax, side + 0.6, side)
        limit = _limit(cosines)
        image = ax.imshow(
            np.ma.masked_invalid(cosines), COSINE_COLORS, vmin=-limit, vmax=limit,
            interpolation="nearest",
        )  # fmt: skip
        _draw_blocks(ax, count, chosen_count)
        _name_tokens(ax, labels)
        heading = _heading(cosines, chosen_count)
        ax.set_title(heading, fontsize=SMALL, linespacing=1.35, pad=13)
        _add_bar(ax, image, limit)
    return ax


def _check(cosines: np.ndarray, labels: Sequence[str], chosen_count: int) -> None:
    if cosines.ndim != 2 or cosines.shape[0] != cosines.shape[1] or not len(cosines):
        raise GradlabError(
            f"cosines has the shape {cosines.shape}; expected [M, M] with M >= 1"
        )
    if len(labels) != len(cosines):
        raise GradlabError(f"found {len(labels)} labels of {len(cosines)} tokens")
    if not 0 <= chosen_count <= len(cosines):
        raise GradlabError(
            f"chosen_count is {chosen_count}; expected 0 to {len(cosines)}, the tokens"
        )


def _limit(cosines: np.ndarray) -> float:
    """The largest magnitude off the diagonal, rounded up to a tenth; at most 1."""
    off = np.abs(cosines[~np.eye(len(cosines), dtype=bool)])
    off = off[np.isfinite(off)]
    largest = float(off.max()) if off.size else 1.0
    return min(max(math.ceil(10 * largest - 1e-9), 1) / 10, 1.0)


def _draw_blocks(ax: Axes, count: int, chosen: int) -> None:
    ax.spines[:].set(visible=True, linewidth=0.5)
    if not 0 < chosen < count:
        return
    for line in (ax.axhline, ax.axvline):
        line(chosen - 0.5, color="white", linewidth=2.2)
        line(chosen - 0.5, color=INK, linewidth=0.9)
    for x, name, align in ((0, "chosen", "left"), (1, "rejected", "right")):
        ax.annotate(
            name, (x, 1), (0, 3), xycoords="axes fraction", ha=align, color=MUTED,
            textcoords="offset points", fontsize=SMALL,
        )  # fmt: skip


def _name_tokens(ax: Axes, labels: Sequence[str]) -> None:
    box = ax.get_window_extent()
    room = 72 / ax.figure.dpi * min(box.width, box.height)
    crowd = len(labels) * _LINE * SMALL / room  # names in the room of one
    if crowd <= 1:
        _set_names(ax, labels, range(len(labels)), 12, 0)
        return
    step = math.ceil(crowd / 2)
    _set_names(ax, labels, range(0, len(labels), 2 * step), 8, 1.5)
    near = [t.get_text() for t in ax.get_yticklabels()]
    beyond = 0.6 * SMALL * max(map(len, near)) + 4
    _set_names(ax, labels, range(step, len(labels), 2 * step), 8, beyond, minor=True)


def _set_names(
    ax: Axes,
    labels: Sequence[str],
    places: Sequence[int],
    most: int,
    tick: float,
    *,
    minor: bool = False,
) -> None:
    """Names these tokens on both axes, at the ends of ticks of that length."""
    texts = [cut(visible(labels[i]), most) for i in places]
    look: dict = {"minor": minor, "fontsize": SMALL, "parse_math": False}
    ax.set_xticks(places, texts, rotation=90, **look)
    ax.set_yticks(places, texts, **look)
    kind = "minor" if minor else "major"
    ax.tick_params(which=kind, length=tick, width=0.3, color=MUTED, pad=1.5)


def _heading(cosines: np.ndarray, chosen: int) -> str:
    off = np.where(np.eye(len(cosines), dtype=bool), np.nan, cosines)
    blocks = (
        f"mean cosine: chosen {_mean(off[:chosen, :chosen])}",
        f"rejected {_mean(off[chosen:, chosen:])}",
        f"\nbetween the two {_mean(off[:chosen, chosen:])}",
    )
    return ", ".join(blocks)


def _mean(block: np.ndarray) -> str:
    known = block[np.isfinite(block)]
    return number(known.mean() if known.size else math.nan)


def _add_bar(ax: Axes, image, limit: float) -> None:
    figure = ax.get_figure()
    if figure is None:
        return
    bar = figure.colorbar(
        image, ax=ax, shrink=0.7, aspect=26, pad=0.02,
        extend="neither" if limit == 1 else "max",
    )  # fmt: skip
    bar.set_ticks([-limit, -limit / 2, 0, limit / 2, limit])
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: tick_text(v)))
    bar.ax.tick_params(labelsize=SMALL, length=1.5, width=0.4)
    bar.set_label("cosine of token gradients", fontsize=SMALL)
    bar.outline.set_linewidth(0.4)  # pyright: ignore
