"""Batches in which the beginning that two responses share is run once.

Separate rows run prompt and common response beginning twice, for chosen and rejected.
Here a pair takes one stretch of columns

    prompt, common beginning | rest of chosen | rest of rejected

and a row holds several such stretches, so that little of it is padding. `positions`
and `branches` tell the model what each token sees (`gradlab.models.layout.packed`). The
last token of a response predicts nothing and is not run.

The head reads `slots`: one for each response token to be predicted, of all pairs in one
list. Both responses read the slots of their common beginning, so that its gradient is
the sum of both sides' and its log-probabilities are computed once.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from gradlab.data.badrows import require_count
from gradlab.data.batches import MAX_SHAPES
from gradlab.data.packing_shapes import (
    PackedShape,
    Sizes,
    fill_rows,
    lengths_to_try,
    plan_shapes,
    sizes_of,
)
from gradlab.data.tokenized import TokenizedPair, TokenizedPairs
from gradlab.errors import DataError


class PackedBatch(NamedTuple):
    """Pairs in rows of shared beginnings, as arrays: a pytree that jit takes as it is.

    Attributes:
      tokens: [rows, L] int32 ids.
      positions: [rows, L] int32 place of each token in prompt and response.
      branches: [rows, L] int32 3 k, 3 k + 1, 3 k + 2 for the beginning, the rest of
        chosen and the rest of rejected of the batch's k-th pair; -1 for padding.
      sources: [S] int32 column, in the flattened [rows * L], whose hidden state
        predicts the slot's token.
      targets: [S] int32 that token.
      chosen_slots: [B, R] int32 slot of each token of the chosen response.
      rejected_slots: [B, R] likewise.
      chosen_length: [B] int32 tokens of the chosen response; 0 in dummy pairs.
      rejected_length: [B] likewise.
      index: [B] int32 place of the pair in `TokenizedPairs.pairs`; -1 in dummy pairs.
    """

    tokens: np.ndarray
    positions: np.ndarray
    branches: np.ndarray
    sources: np.ndarray
    targets: np.ndarray
    chosen_slots: np.ndarray
    rejected_slots: np.ndarray
    chosen_length: np.ndarray
    rejected_length: np.ndarray
    index: np.ndarray

    @property
    def chosen_mask(self) -> np.ndarray:
        """[B, R] True on tokens of the chosen response, by position."""
        return np.arange(self.chosen_slots.shape[1]) < self.chosen_length[:, None]

    @property
    def rejected_mask(self) -> np.ndarray:
        """[B, R] True on tokens of the rejected response, by position."""
        return np.arange(self.rejected_slots.shape[1]) < self.rejected_length[:, None]


def pack(
    pairs: TokenizedPairs | Sequence[TokenizedPair],
    places: Sequence[int] | np.ndarray,
    shapes: Sequence[PackedShape],
    *,
    pad_id: int = 0,
) -> PackedBatch:
    """One batch of the pairs at `places`, in the cheapest of `shapes` that holds them.

    Args:
      pairs: from `tokenize_pairs`.
      places: which of them, in the order in which the batch shall have them.
      shapes: from `plan_shapes`.
      pad_id: the id in padded places; any valid id will do.

    Raises:
      DataError: no place, or none of the shapes holds these pairs.

    Guarantees:
      Batches of one shape can be stacked, for accumulation or for several devices.
      Row b of every [B, ...] array belongs to places[b]. What a model computes for a
      pair does not depend on the others, nor on the shape (up to rounding).
    """
    rows = pairs.pairs if isinstance(pairs, TokenizedPairs) else pairs
    if not len(places):
        raise DataError("places: found none, expected at least one pair.")
    sizes = sizes_of([rows[place] for place in places])
    for shape in sorted(shapes, key=lambda shape: shape.cost):
        if starts := _fit(sizes, shape):
            return _write(rows, places, shape, starts, pad_id)
    longest = int(sizes.columns.max())
    raise DataError(
        f"places: {len(sizes.columns)} pairs with {int(sizes.slots.sum())} response "
        f"tokens, the longest of {longest} columns, fit none of the shapes "
        f"{list(shapes)}"
    )


def packed_batches(
    pairs: TokenizedPairs | Sequence[TokenizedPair],
    *,
    batch_size: int,
    max_shapes: int = MAX_SHAPES,
    pad_id: int = 0,
) -> Iterator[PackedBatch]:
    """All pairs once, those of like length together, the longest first.

    Args:
      pairs: from `tokenize_pairs`.
      batch_size: B, pairs of a batch.
      max_shapes: most distinct shapes.
      pad_id: as in `pack`.

    Raises:
      DataError: no pair, or an argument out of range.
    """
    rows = list(pairs)
    groups = by_length(rows, batch_size)
    shapes = plan_shapes(rows, groups, batch_size=batch_size, max_shapes=max_shapes)
    for places in groups:
        yield pack(rows, places, shapes, pad_id=pad_id)


def by_length(pairs: Sequence[TokenizedPair], batch_size: int) -> list[np.ndarray]:
    """Places of all pairs in groups of at most `batch_size`, the longest first."""
    require_count("batch_size", batch_size)
    order = np.argsort(-sizes_of(pairs).columns, kind="stable")
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]


def _fit(sizes: Sizes, shape: PackedShape) -> list[int]:
    """First column of each pair in the flattened rows; empty if they don't fit."""
    widest = int(sizes.responses.max())
    if len(sizes.columns) > shape.pairs or widest > shape.width:
        return []
    if sizes.slots.sum() > shape.slots or sizes.columns.max() > shape.length:
        return []
    # First fit may need more of the longer rows, so shorter ones are tried as well.
    shorter = [n for n in lengths_to_try(sizes.columns) if n < shape.length]
    for length in (shape.length, *shorter):
        starts, used = fill_rows(sizes.columns, length, shape.length)
        if used <= shape.rows:
            return starts.tolist()
    return []


def _write(
    pairs: Sequence[TokenizedPair],
    places: Sequence[int] | np.ndarray,
    shape: PackedShape,
    starts: list[int],
    pad_id: int,
) -> PackedBatch:
    cells, sides = shape.rows * shape.length, (shape.pairs, shape.width)
    batch = PackedBatch(
        tokens=np.full(cells, pad_id, np.int32),
        positions=np.zeros(cells, np.int32),
        branches=np.full(cells, -1, np.int32),
        sources=np.zeros(shape.slots, np.int32),
        targets=np.zeros(shape.slots, np.int32),
        chosen_slots=np.zeros(sides, np.int32),
        rejected_slots=np.zeros(sides, np.int32),
        chosen_length=np.zeros(shape.pairs, np.int32),
        rejected_length=np.zeros(shape.pairs, np.int32),
        index=np.full(shape.pairs, -1, np.int32),
    )
    slot = 0
    for row, (place, start) in enumerate(zip(places, starts, strict=True)):
        batch.index[row] = place
        slot = _write_pair(batch, row, pairs[place], start, slot)
    grid = (shape.rows, shape.length)
    return batch._replace(
        tokens=batch.tokens.reshape(grid),
        positions=batch.positions.reshape(grid),
        branches=batch.branches.reshape(grid),
    )


def _write_pair(
    batch: PackedBatch, row: int, pair: TokenizedPair, start: int, slot: int
) -> int:
    """Fills in one pair from column `start` and slot `slot` on; gives the next slot."""
    prompt, common = len(pair.prompt), pair.shared_tokens
    branch = prompt + common  # columns of the shared beginning
    chosen, rejected = pair.chosen[common:-1], pair.rejected[common:-1]
    ids = [*pair.prompt, *pair.chosen[:common], *chosen, *rejected]
    columns = slice(start, start + len(ids))
    batch.tokens[columns] = ids
    sizes = (branch, len(chosen), len(rejected))
    batch.branches[columns] = np.repeat(3 * row + np.arange(3), sizes)
    batch.positions[columns] = np.concatenate(
        [np.arange(branch + len(chosen)), branch + np.arange(len(rejected))]
    )
    # The token at position p of a text is predicted by the column of position p - 1.
    whole = np.arange(len(pair.chosen))
    rest = np.arange(len(pair.rejected) - common)
    fork = start + branch - 1
    sources = [
        fork - common + whole,
        np.where(rest > 0, fork + len(chosen) + rest, fork),
    ]
    end = slot + len(whole) + len(rest)
    batch.sources[slot:end] = np.concatenate(sources)
    batch.targets[slot:end] = [*pair.chosen, *pair.rejected[common:]]
    batch.chosen_slots[row, : len(whole)] = slot + whole
    batch.rejected_slots[row, :common] = slot + whole[:common]
    batch.rejected_slots[row, common : len(pair.rejected)] = slot + len(whole) + rest
    batch.chosen_length[row] = len(pair.chosen)
    batch.rejected_length[row] = len(pair.rejected)
    return end
