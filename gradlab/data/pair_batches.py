"""Batches that hold both sides of the same pairs, in few shapes.

Per-pair quantities (inner products of the two sides' gradients, a pair's effect on
itself) need both responses at once. Each pair goes where the longer of its two
responses goes in `gradlab.data.batches`; the shorter one is padded to it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gradlab.data.batches import MAX_SHAPES, SideBatch, TokenizedPair, batches


@dataclass(frozen=True)
class PairBatch:
    """Both sides of a few pairs: equal shapes, the same pair in the same row.

    Attributes:
      chosen: the preferred responses.
      rejected: the dispreferred ones.
    """

    chosen: SideBatch
    rejected: SideBatch

    @property
    def index(self) -> np.ndarray:
        """[B] place of each pair; -1 in dummy rows."""
        return self.chosen.index

    @property
    def width(self) -> int:
        """R, the padded response length of both sides."""
        return self.chosen.width


def pair_batches(
    pairs: Sequence[TokenizedPair],
    *,
    batch_size: int,
    max_shapes: int = MAX_SHAPES,
    pad_id: int = 0,
) -> Iterator[PairBatch]:
    """Batches of pairs, the longest first.

    Args:
      pairs: tokenised pairs.
      batch_size: B, pairs in every batch; the last of a shape is filled with dummies.
      max_shapes: most distinct shapes (T, R).
      pad_id: the id in padded places; any valid id will do.

    Yields:
      `PairBatch`, in a fixed order.

    Raises:
      DataError: no pair, or an argument out of range.

    Guarantees:
      Each pair is in exactly one batch.
    """
    longer = [replace(p, chosen=max(p.chosen, p.rejected, key=len)) for p in pairs]
    alike = [replace(p, rejected=p.chosen) for p in longer]
    options = {"batch_size": batch_size, "max_shapes": max_shapes, "pad_id": pad_id}
    for shape in batches(alike, "chosen", **options):
        yield PairBatch(
            _filled(shape, [p.chosen for p in pairs], pad_id),
            _filled(shape, [p.rejected for p in pairs], pad_id),
        )


def _filled(shape: SideBatch, responses: Sequence[list[int]], pad_id: int) -> SideBatch:
    """The same prompts, with these responses in place of the longer ones."""
    tokens, length = shape.tokens.copy(), shape.response_length.copy()
    for row, place in enumerate(shape.index):
        if place >= 0:
            start, response = shape.response_start[row], responses[place]
            length[row] = len(response)
            tokens[row, start:] = pad_id
            tokens[row, start : start + len(response)] = response
    return replace(shape, tokens=tokens, response_length=length)
