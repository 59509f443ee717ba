"""Axes for signed numbers over many orders of magnitude, shared by all figures."""

import math
from collections.abc import Callable, Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import Normalize, SymLogNorm
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from gradlab.plotting.text import number, power_of_ten

WIDE = 12.0  # largest over typical magnitude from which a scale becomes logarithmic
MAX_DECADES = 6  # of a colour or lane scale
AXIS_DECADES = 12  # of a symlog axis


def finite(values: Iterable[float]) -> np.ndarray:
    """The finite values as a flat float array."""
    flat = np.asarray(values, dtype=float).ravel()
    return flat[np.isfinite(flat)]


def weight_norm(values: Iterable[float]) -> Normalize:
    """A symmetric scale around 0: linear, or symlog when magnitudes differ widely.

    Args:
      values: the weights that will be drawn, of any shape.
    Returns:
      A norm from [-M, M] to [0, 1] with 0 at 0.5; M is the largest magnitude, and a
      symlog norm is linear below the decade of the small magnitudes, at most
      `MAX_DECADES` under M.
    """
    sizes = np.abs(finite(values))
    sizes = sizes[sizes > 0]
    if sizes.size == 0:
        return Normalize(-1.0, 1.0)
    largest, small = float(sizes.max()), float(np.quantile(sizes, 0.05))
    if largest / small < WIDE:
        return Normalize(-largest, largest)
    top = math.ceil(math.log10(largest))
    threshold = 10.0 ** max(math.floor(math.log10(small)), top - MAX_DECADES)
    return SymLogNorm(threshold, linscale=0.6, vmin=-largest, vmax=largest, base=10)


def norm_ticks(norm: Normalize, most: int = 3) -> list[float]:
    """Ticks for `weight_norm`: 0, and at most `most` on each side of it."""
    largest = float(norm.vmax or 1.0)
    if not isinstance(norm, SymLogNorm):
        return [-largest, 0.0, largest]
    low = round(math.log10(norm.linthresh))
    high = math.floor(math.log10(largest) + 1e-9)
    step = max(1, math.ceil((high - low + 1) / most))
    powers = [10.0**p for p in range(high, low - 1, -step)][:most]
    return [-p for p in powers] + [0.0] + powers[::-1]


def tick_text(value: float) -> str:
    """A tick's label: plain near 1, powers of ten elsewhere."""
    if value == 0:
        return "0"
    power = math.log10(abs(value))
    if abs(power - round(power)) < 1e-9 and not -2 <= round(power) <= 2:
        sign = "\N{MINUS SIGN}" if value < 0 else ""
        return sign + power_of_ten(round(power))
    return number(value)


def set_log_ticks(axis: Axis) -> None:
    """Labels the decades of a logarithmic axis, and nothing between them."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: tick_text(value)))
    axis.set_minor_locator(NullLocator())


def set_weight_axis(
    ax: Axes,
    values: Iterable[float],
    *,
    most: int = 4,
    threshold: float | None = None,
) -> None:
    """Puts the y axis on the scale that suits `values`: log, symlog or linear.

    Positive values that span more than `WIDE` get a log axis; with a zero or a
    negative among them a symlog one; the rest stays linear.

    Args:
      ax: the axes to change.
      values: everything that will be drawn along it.
      most: at most about so many ticks on each side of 0.
      threshold: where a symlog axis becomes linear; by default under the decade of the
        smallest magnitudes.
    """
    flat = finite(values)
    sizes = np.abs(flat[flat != 0])
    if sizes.size == 0:
        if ax.get_yscale() == "linear":  # a shared axis may have its scale already
            ax.set_ylim(-1, 1)
    elif sizes.max() / sizes.min() >= WIDE:
        _set_decades(ax, flat, sizes, most, threshold)
    # Last, since setting a scale puts matplotlib's own formatter back.
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: tick_text(value)))


def _set_decades(
    ax: Axes, flat: np.ndarray, sizes: np.ndarray, most: int, threshold: float | None
) -> None:
    high = math.floor(math.log10(sizes.max()))
    if flat.min() > 0:
        low = math.ceil(math.log10(sizes.min()))
        ax.set_yscale("log")
    else:
        low = math.floor(math.log10(threshold or np.quantile(sizes, 0.01)))
        low = min(max(low, high - AXIS_DECADES), high)
        linear = 1.0 if threshold else 0.5  # in decades
        ax.set_yscale("symlog", linthresh=10.0**low, linscale=linear)
    along = ax.yaxis.get_transform()
    start, stop = along.transform(np.array([flat.min(), flat.max()]))
    ends = np.array([start - 0.06 * (stop - start), stop + 0.06 * (stop - start)])
    ax.set_ylim(*along.inverted().transform(ends))
    powers = [10.0**p for p in range(high, low - 1, -max(1, -(-(high - low) // most)))]
    signed = [0.0, *powers, *(-power for power in powers)]
    ticks = spaced(signed, along.transform, ends, 0.4 / most)
    ax.yaxis.set_major_locator(FixedLocator(ticks))
    ax.yaxis.set_minor_locator(NullLocator())


def spaced(
    ticks: Iterable[float],
    place: Callable[[np.ndarray], np.ndarray],
    ends: np.ndarray,
    spacing: float,
) -> list[float]:
    """Those ticks inside `ends` that keep a distance from the ones before them."""
    kept: list[tuple[float, float]] = []
    for tick in ticks:
        x = float(place(np.array([tick]))[0])
        near = spacing * (ends[1] - ends[0])
        if ends[0] <= x <= ends[1] and all(abs(x - other) >= near for other, _ in kept):
            kept.append((x, tick))
    return sorted(tick for _, tick in kept)


def apart(places: Iterable[float], gap: float) -> np.ndarray:
    """The places, moved as little as can be until all are at least `gap` apart.

    Least squares over the moves (pool adjacent violators); the order stays.

    Example:
      >>> apart([0.0, 1.0, 1.2], 1.0)
      array([-0.26666667,  0.73333333,  1.73333333])
    """
    wanted = np.asarray(places, float).ravel()
    order = np.argsort(wanted, kind="stable")
    slots = gap * np.arange(len(wanted))
    blocks: list[
        tuple[float, int]
    ] = []  # mean and size; means rise from block to block
    for place in wanted[order] - slots:
        mean, size = float(place), 1
        while blocks and blocks[-1][0] >= mean:
            other, count = blocks.pop()
            mean, size = (mean * size + other * count) / (size + count), size + count
        blocks.append((mean, size))
    found = np.empty_like(wanted)
    if blocks:
        means, sizes = zip(*blocks, strict=True)
        found[order] = np.repeat(means, sizes) + slots
    return found


# The first ones have precedence where there is no room for all.
PROBABILITIES = (0.5, 1e-3, 0.999, 1e-6, 1 - 1e-6, 1e-9, 1e-12, 0.1, 0.9, 0.01, 0.99)


def log_odds(logp: Iterable[float]) -> np.ndarray:
    """log(p / (1 - p)) from log p <= 0; finite: p stays under 1 - 1e-7."""
    logp = np.minimum(np.asarray(logp, dtype=float), -1e-7)
    return logp - np.log(-np.expm1(logp))


def set_probability_axis(
    axis: Axis, odds: Iterable[float], *, spacing: float = 0.12
) -> None:
    """Labels an axis of log-odds with probabilities, `spacing` of its length apart."""
    flat = finite(odds)
    ends = np.array([flat.min() - 0.5, flat.max() + 0.5] if flat.size else [-7.0, 7.0])
    chosen = spaced(PROBABILITIES, lambda p: log_odds(np.log(p)), ends, spacing)
    places = log_odds(np.log(chosen))
    axis.set_ticks(list(places), [_probability(p) for p in chosen])
    axis.set_minor_locator(NullLocator())


def _probability(p: float) -> str:
    if p < 1e-2:
        return power_of_ten(round(math.log10(p)))
    if p > 0.9999:
        return "1\N{MINUS SIGN}" + power_of_ten(round(math.log10(1 - p)))
    return f"{p:g}"
