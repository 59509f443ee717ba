"""Batches of one side of the pairs, in few shapes.

A compiled function is compiled once per shape, so lengths are gathered into at most
`max_shapes` boxes (padded length T, padded response length R). The boxes are found by
splitting, again and again, the set of responses at the total length or the response
length where the split saves the most padding, over both sides together: chosen and
rejected use the same shapes. Every batch has `batch_size` rows; the last one of a box
is filled up with dummy rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from gradlab.data.badrows import require_choice, require_count
from gradlab.data.tokenized import TokenizedPair as TokenizedPair
from gradlab.data.tokenized import TokenizedPairs as TokenizedPairs
from gradlab.data.tokenized import tokenize_pairs as tokenize_pairs
from gradlab.errors import DataError

Side = Literal["chosen", "rejected"]
MAX_SHAPES = 8
MULTIPLE = 8  # padded lengths are multiples of this, except the greatest


@dataclass(frozen=True)
class SideBatch:
    """One side of a few pairs, padded on the right.

    Attributes:
      tokens: [B, T] int32 prompt and response ids.
      response_start: [B] int32 position of the first response token, at least 1.
      response_length: [B] int32 number of response tokens; 0 in dummy rows.
      index: [B] int32 place of the pair in `TokenizedPairs.pairs`; -1 in dummy rows.
      width: R, the padded response length. A response may start so late that
        response_start + width exceeds T: positions from response_length on are padding
        and must be masked, not read.
    """

    tokens: np.ndarray
    response_start: np.ndarray
    response_length: np.ndarray
    index: np.ndarray
    width: int

    @property
    def mask(self) -> np.ndarray:
        """[B, R] True on response tokens, by position."""
        return np.arange(self.width) < self.response_length[:, None]

    @property
    def targets(self) -> np.ndarray:
        """[B, R] int32 the response's ids; 0 on padding."""
        last = self.tokens.shape[1] - 1
        places = self.response_start[:, None] + np.arange(self.width)
        ids = np.take_along_axis(self.tokens, np.minimum(places, last), axis=1)
        return np.where(self.mask, ids, 0).astype(np.int32)


@dataclass(frozen=True)
class Box:
    """A shape and the responses that get it.

    Attributes:
      length: T, padded length of prompt and response.
      width: R, padded response length.
      chosen: [n] places of the pairs whose chosen side is in this box, ascending.
      rejected: [m] likewise.
    """

    length: int
    width: int
    chosen: np.ndarray
    rejected: np.ndarray


def batches(
    pairs: TokenizedPairs | Sequence[TokenizedPair],
    side: Side,
    *,
    batch_size: int,
    max_shapes: int = MAX_SHAPES,
    pad_id: int = 0,
) -> Iterator[SideBatch]:
    """Batches of one side, the longest first (so memory runs out at once or never).

    Args:
      pairs: from `tokenize_pairs`.
      side: "chosen" or "rejected".
      batch_size: B, rows in every batch.
      max_shapes: most distinct shapes (T, R), both sides together.
      pad_id: the id in padded places; any valid id will do.

    Yields:
      Batches in a fixed order; the arrays of one batch are in memory at a time.

    Raises:
      DataError: no pair, or an argument out of range.

    Guarantees:
      Each pair is in exactly one batch. (T, R) takes at most `max_shapes` values over
      both sides. T and R are multiples of 8 or the greatest lengths that occur.
    """
    require_choice("side", side, get_args(Side))
    rows = list(pairs)
    for box in boxes(rows, batch_size=batch_size, max_shapes=max_shapes):
        members = box.chosen if side == "chosen" else box.rejected
        for start in range(0, len(members), batch_size):
            places = members[start : start + batch_size]
            yield _batch(rows, side, places, box, batch_size, pad_id)


def _batch(
    rows: Sequence[TokenizedPair],
    side: Side,
    places: np.ndarray,
    box: Box,
    batch_size: int,
    pad_id: int,
) -> SideBatch:
    tokens = np.full((batch_size, box.length), pad_id, np.int32)
    start = np.ones(batch_size, np.int32)
    length = np.zeros(batch_size, np.int32)
    index = np.full(batch_size, -1, np.int32)
    for row, place in enumerate(places):
        pair = rows[place]
        response = getattr(pair, side)
        start[row], length[row], index[row] = len(pair.prompt), len(response), place
        tokens[row, : start[row] + length[row]] = pair.prompt + response
    return SideBatch(tokens, start, length, index, box.width)


def boxes(
    pairs: TokenizedPairs | Sequence[TokenizedPair],
    *,
    batch_size: int,
    max_shapes: int = MAX_SHAPES,
) -> list[Box]:
    """Gathers both sides of the pairs into few shapes with little padding.

    The cost of a row is T + R: the model's body works on T positions, the vocabulary
    head on R. Splitting is greedy and stops where no split saves anything.

    Args:
      pairs: from `tokenize_pairs`.
      batch_size: rows of a batch, since dummy rows cost as much as others.
      max_shapes: most boxes.

    Returns:
      At most max_shapes boxes, the longest first.
    """
    require_count("batch_size", batch_size)
    require_count("max_shapes", max_shapes)
    rows = list(pairs)
    if not rows:
        raise DataError("pairs: found none, expected at least one pair.")
    prompt = np.array([len(pair.prompt) for pair in rows])
    widths = np.array([[len(p.chosen), len(p.rejected)] for p in rows])
    sizes = np.stack([prompt[:, None] + widths, widths], -1).reshape(-1, 2)
    # [2N, 2]: T and R of chosen, rejected, chosen, ... No padding beyond the longest:
    # a model with learned positions may have no place for it.
    sizes = np.minimum(-(-sizes // MULTIPLE) * MULTIPLE, sizes.max(0))
    parts = [np.arange(len(sizes))]
    splits = [_best_split(sizes, parts[0], batch_size)]
    while len(parts) < max_shapes:
        best = max(range(len(parts)), key=lambda place: splits[place][0])
        saved, left, right = splits[best]
        if saved <= 0:
            break
        parts[best : best + 1] = [left, right]
        splits[best : best + 1] = [
            _best_split(sizes, p, batch_size) for p in (left, right)
        ]
    found = [_box(sizes, part) for part in parts]
    return sorted(found, key=lambda box: (-box.length, -box.width))


def _box(sizes: np.ndarray, part: np.ndarray) -> Box:
    length, width = sizes[part].max(0)
    part = np.sort(part)
    chosen, rejected = part[part % 2 == 0] // 2, part[part % 2 == 1] // 2
    return Box(int(length), int(width), chosen, rejected)


def _best_split(
    sizes: np.ndarray, part: np.ndarray, batch_size: int
) -> tuple[float, np.ndarray, np.ndarray]:
    """The split of a set of responses that saves the most: (saved, left, right)."""
    whole = _costs(sizes, part, batch_size)[-1]
    best = (0.0, part, part[:0])
    for axis in (0, 1):
        order = part[np.argsort(sizes[part, axis], kind="stable")]
        left = _costs(sizes, order, batch_size)
        right = _costs(sizes, order[::-1], batch_size)[::-1]
        saved = whole - (left[:-1] + right[1:])
        # Equal sizes stay together: a cut is allowed only where the size changes.
        saved = np.where(np.diff(sizes[order, axis]) > 0, saved, 0)
        if len(saved) and (gain := float(saved.max())) > best[0]:
            cut = int(saved.argmax()) + 1
            best = (gain, order[:cut], order[cut:])
    return best


def _costs(sizes: np.ndarray, order: np.ndarray, batch_size: int) -> np.ndarray:
    """[n] cost of the first 1, 2, ..., n responses in one box, in token positions."""
    shape = np.maximum.accumulate(sizes[order], axis=0).sum(-1)
    rejected = np.cumsum(order % 2)
    chosen = np.arange(1, len(order) + 1) - rejected
    batch_count = -(-chosen // batch_size) - (-rejected // batch_size)
    return shape * batch_count * batch_size


def padding_share(
    pairs: TokenizedPairs | Sequence[TokenizedPair],
    *,
    batch_size: int,
    max_shapes: int = MAX_SHAPES,
) -> float:
    """The share of positions [B, T] of all batches of both sides that are padding."""
    rows = list(pairs)
    real = sum(2 * len(p.prompt) + len(p.chosen) + len(p.rejected) for p in rows)
    held = 0
    for box in boxes(rows, batch_size=batch_size, max_shapes=max_shapes):
        for members in (box.chosen, box.rejected):
            held += -(-len(members) // batch_size) * batch_size * box.length
    return 1 - real / held
