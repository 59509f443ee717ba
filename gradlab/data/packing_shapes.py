"""Which shapes packed batches take: few, and with little padding.

A compiled function is compiled once for each shape. Each group of pairs needs some rows
of some length and some slots of the head; needs are merged, two at a time, where that
adds the least cost over all groups, until few enough are left.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from gradlab.data.badrows import require_count
from gradlab.data.tokenized import TokenizedPair
from gradlab.errors import DataError

MULTIPLE = 8  # lengths are multiples of this
SLOT_MULTIPLE = 64  # numbers of slots
DOUBLE = 2048  # columns of a row from which attention doubles a token's cost
STRETCHES = (1.0, 1.15, 1.3, 1.5, 1.75, 2.0)  # row lengths tried, times the longest
MOST_NEEDS = 256  # distinct needs that are merged; more are rounded up first


@dataclass(frozen=True)
class PackedShape:
    """The shape of a `PackedBatch`.

    Attributes:
      rows: rows of tokens.
      length: L, columns of a row.
      slots: S, response tokens that the head predicts.
      pairs: B, pairs, dummies included.
      width: R, columns of each side's log-probabilities.
    """

    rows: int
    length: int
    slots: int
    pairs: int
    width: int

    @property
    def cost(self) -> float:
        """Work of a batch, in tokens: the body on all columns, the head on slots."""
        return float(_cost(self.rows, self.length, self.slots))


class Sizes(NamedTuple):
    """What each of n pairs takes, as arrays [n]."""

    columns: np.ndarray  # tokens that the body runs
    slots: np.ndarray  # response tokens that the head predicts
    responses: np.ndarray  # tokens of the longer response
    separate: np.ndarray  # tokens in two rows, one for each side


def sizes_of(pairs: Sequence[TokenizedPair]) -> Sizes:
    """What each pair takes when it is packed, and when it is not."""
    found = np.array(
        [
            (len(pair.prompt), pair.shared_tokens, len(pair.chosen), len(pair.rejected))
            for pair in pairs
        ]
    ).reshape(-1, 4)
    prompt, common, chosen, rejected = found.T
    rest = np.maximum(found[:, 2:] - common[:, None] - 1, 0).sum(1)
    return Sizes(
        columns=prompt + common + rest,
        slots=chosen + rejected - common,
        responses=np.maximum(chosen, rejected),
        separate=2 * prompt + chosen + rejected,
    )


def fill_rows(
    columns: np.ndarray, length: int, stride: int | None = None
) -> tuple[np.ndarray, int]:
    """Puts stretches of columns into rows, the longest first, each where it first fits.

    Args:
      columns: [n] lengths, none above `length`.
      length: how much of a row is used.
      stride: columns of a row; None: all are used.

    Returns:
      The first column of each stretch in the flattened rows, and how many rows it took.

    Example:
      >>> starts, rows = fill_rows(np.array([3, 8, 4]), 8)
      >>> starts.tolist(), rows
      ([12, 0, 8], 2)
    """
    starts, used = np.zeros(len(columns), int), []
    for place in np.argsort(-columns, kind="stable"):
        size = int(columns[place])
        row = next((r for r, taken in enumerate(used) if taken + size <= length), None)
        if row is None:
            row = len(used)
            used.append(0)
        starts[place] = row * (stride or length) + used[row]
        used[row] += size
    return starts, len(used)


def plan_shapes(
    pairs: Sequence[TokenizedPair],
    groups: Sequence[Sequence[int] | np.ndarray],
    *,
    batch_size: int,
    max_shapes: int,
    spare: bool = False,
) -> list[PackedShape]:
    """Few shapes that hold each of these groups of pairs.

    Args:
      pairs: all pairs.
      groups: places of the pairs of each batch, at most `batch_size`.
      batch_size: B.
      max_shapes: most shapes.
      spare: add one shape, one of the `max_shapes`, that holds any `batch_size` pairs:
        for training, where `groups` are examples of batches to come.

    Returns:
      Shapes, the cheapest first.

    Raises:
      DataError: no pair or no group, or an argument out of range.
    """
    require_count("batch_size", batch_size)
    require_count("max_shapes", max_shapes)
    if not len(pairs) or not len(groups):
        raise DataError("pairs: found none, expected at least one pair and one group.")
    sizes = sizes_of(pairs)
    width = _up(int(sizes.responses.max()), MULTIPLE)
    needs = Counter(
        _need(sizes.columns[places], sizes.slots[places])
        for places in map(np.asarray, groups)
    )
    found = []
    if spare:
        length = _up(int(sizes.columns.max()), MULTIPLE)
        slots = int(np.sort(sizes.slots)[-batch_size:].sum())
        found = [(batch_size, length, _up(slots, SLOT_MULTIPLE))]
    if max_shapes > len(found):
        found = _merge(needs, max_shapes - len(found)) + found
    shapes = {PackedShape(*need, batch_size, width) for need in found}
    return sorted(shapes, key=lambda shape: shape.cost)


def lengths_to_try(columns: np.ndarray) -> list[int]:
    """Row lengths for these stretches, from the longest one's on."""
    return sorted({_up(int(columns.max() * s), MULTIPLE) for s in STRETCHES})


def _cost(rows, length, slots):
    return rows * length * (1 + length / DOUBLE) + slots


def _up(value: Any, multiple: Any) -> Any:
    return -(-value // multiple) * multiple


def _need(columns: np.ndarray, slots: np.ndarray) -> tuple[int, int, int]:
    """The cheapest (rows, length, slots) for one group."""
    total = _up(int(slots.sum()), SLOT_MULTIPLE)
    tried = [
        (fill_rows(columns, length)[1], length, total)
        for length in lengths_to_try(columns)
    ]
    return min(tried, key=lambda need: (_cost(*need), need))


def _merge(needs: Counter, count: int) -> list[tuple[int, int, int]]:
    """At most `count` needs that cover all given ones."""
    values = np.array(list(needs))
    weights = np.array(list(needs.values()), float)
    values, weights = _rounded(values, weights)
    while len(values) > count:
        joined = np.maximum(values[:, None], values[None])
        own = weights * _cost(*values.T)
        added = weights[:, None] + weights
        added = added * _cost(*np.moveaxis(joined, -1, 0)) - own[:, None] - own
        np.fill_diagonal(added, np.inf)
        one, other = np.unravel_index(added.argmin(), added.shape)
        values[one] = joined[one, other]
        weights[one] += weights[other]
        values, weights = (np.delete(a, other, axis=0) for a in (values, weights))
    return [(int(rows), int(length), int(slots)) for rows, length, slots in values]


def _rounded(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Needs rounded to a grid that is coarse enough for `MOST_NEEDS` of them."""
    grid = np.array([1, MULTIPLE, SLOT_MULTIPLE])
    while len(values) > MOST_NEEDS:
        grid = 2 * grid
        cells, place = np.unique(_up(values, grid), axis=0, return_inverse=True)
        merged = np.zeros_like(cells)
        np.maximum.at(merged, place.ravel(), values)
        values, weights = merged, np.bincount(place.ravel(), weights)
    return values, weights
