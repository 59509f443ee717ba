"""What packing saves: tokens, padding and head positions, packed against separate."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gradlab.data.batches import MAX_SHAPES, boxes
from gradlab.data.packing import packed_batches
from gradlab.data.packing_shapes import sizes_of
from gradlab.data.tokenized import TokenizedPair, TokenizedPairs


@dataclass(frozen=True)
class PackingReport:
    """Tokens of one pass over the pairs, both sides, packed and in separate rows.

    Attributes:
      pairs: how many pairs.
      separate_tokens: of two rows for each pair, without padding.
      packed_tokens: that the body runs when beginnings are shared, without padding.
      separate_cells: tokens and padding of separate rows in length-bucketed batches.
      packed_cells: tokens and padding of packed rows.
      separate_head: response tokens of both sides.
      packed_head: distinct ones: those of a common beginning count once.
      shapes: distinct shapes of the packed batches.
    """

    pairs: int
    separate_tokens: int
    packed_tokens: int
    separate_cells: int
    packed_cells: int
    separate_head: int
    packed_head: int
    shapes: int

    @property
    def tokens_saved(self) -> float:
        """Share of the separate rows' tokens that packing doesn't run."""
        return 1 - self.packed_tokens / self.separate_tokens

    @property
    def cells_saved(self) -> float:
        """The same with padding on both sides of the comparison."""
        return 1 - self.packed_cells / self.separate_cells

    def __str__(self) -> str:
        """One line for people."""
        padding = 1 - self.packed_tokens / self.packed_cells
        return (
            f"packing runs {self.packed_tokens} tokens instead of "
            f"{self.separate_tokens} ({self.tokens_saved:.0%} saved; with padding "
            f"{self.cells_saved:.0%}), {padding:.0%} padding, shapes: {self.shapes}"
        )


def packing_report(
    pairs: TokenizedPairs | Sequence[TokenizedPair],
    *,
    batch_size: int,
    max_shapes: int = MAX_SHAPES,
) -> PackingReport:
    """What packing saves on these pairs, in batches of pairs of like length.

    Args:
      pairs: from `tokenize_pairs`.
      batch_size: pairs of a batch.
      max_shapes: most shapes, for packed and for separate rows.

    Example:
      >>> pair = TokenizedPair(1, prompt=[1] * 6, chosen=[2, 3, 4], rejected=[2, 5])
      >>> print(packing_report([pair], batch_size=1))
      packing runs 8 tokens instead of 17 (53% saved; with padding 53%), ...
    """
    rows = list(pairs)
    sizes = sizes_of(rows)
    held = sum(
        -(-len(members) // batch_size) * batch_size * box.length
        for box in boxes(rows, batch_size=batch_size, max_shapes=max_shapes)
        for members in (box.chosen, box.rejected)
    )
    packed = packed_batches(rows, batch_size=batch_size, max_shapes=max_shapes)
    cells = [(batch.tokens.shape, batch.targets.shape) for batch in packed]
    return PackingReport(
        pairs=len(rows),
        separate_tokens=int(sizes.separate.sum()),
        packed_tokens=int(sizes.columns.sum()),
        separate_cells=int(held),
        packed_cells=int(sum(np.prod(tokens) for tokens, _ in cells)),
        separate_head=sum(len(pair.chosen) + len(pair.rejected) for pair in rows),
        packed_head=int(sizes.slots.sum()),
        shapes=len(set(cells)),
    )
