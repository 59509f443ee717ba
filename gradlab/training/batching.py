"""Rows of token ids as padded arrays, in few shapes.

A batch holds, for each of B rows of data, up to three responses to the same prompt,
called sides: chosen, rejected, and mismatched (the chosen response of another row, for
losses that estimate a KL). All sides of a batch are padded to the same shape (T, R):
the length of a sequence, and that of a response. S is the number of sides.

A batch is cut into A parts (micro-batches) of B rows, which a step computes one after
another; all parts have the same shape.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from gradlab.data.batches import MAX_SHAPES, MULTIPLE, TokenizedPair

SIDES = ("chosen", "rejected", "mismatched")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Rows:
    """What the model reads where each response is a sequence of its own.

    Attributes:
      tokens: [A, B, S, T] int32 prompt and response, padded on the right.
      start: [A, B, S] int32 position of the first response token.

    For D devices, B is cut into [D, B / D].
    """

    tokens: Any
    start: Any


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainBatch:
    """A parts of B rows of data; every leaf has the parts on its first axis.

    Attributes:
      rows: what the model reads.
      mask: [A, B, S, R] True on response tokens.
      ref: [A, B, S, R] reference log-probabilities in nats, or None.
      keep: [A, B, 2, R] True on the tokens that SamPO's draw keeps, or None.
    """

    rows: Any
    mask: Any
    ref: Any = None
    keep: Any = None

    def joined(self) -> "TrainBatch":
        """[A, B, ...] as [A B, ...], without what the model reads."""
        return jax.tree.map(merge_parts, replace(self, rows=None))

    def __len__(self) -> int:
        """Rows of all parts together."""
        return self.mask.shape[0] * self.mask.shape[1]


def merge_parts(leaf: Any) -> Any:
    """[A, B, ...] -> [A B, ...]."""
    return leaf.reshape(-1, *leaf.shape[2:])


@dataclass(frozen=True)
class Batcher:
    """Makes batches out of rows of data.

    Attributes:
      pairs: the data; a demonstration has an empty rejected response.
      sides: which sides a batch holds: the first one, two or three of `SIDES`.
      shapes: the (T, R) that batches may have, the largest last.
      parts: A, how many parts a batch is cut into.
      devices: D, how many devices share the rows of a part. What the model reads then
        has them on an axis of their own, [A, D, B / D, ...].
    """

    pairs: Sequence[TokenizedPair]
    sides: tuple[str, ...]
    shapes: tuple[tuple[int, int], ...]
    parts: int = 1
    devices: int = 1

    @classmethod
    def of(
        cls,
        pairs: Sequence[TokenizedPair],
        sides: int,
        *,
        max_shapes: int = MAX_SHAPES,
        parts: int = 1,
        devices: int = 1,
    ) -> "Batcher":
        """With at most `max_shapes` shapes that suit these rows."""
        batcher = cls(pairs, SIDES[:sides], (), parts, devices)
        sizes = np.array([batcher._size([place]) for place in range(len(pairs))])
        return replace(batcher, shapes=_shapes(sizes, max_shapes))

    def lengths(self) -> np.ndarray:
        """[N] tokens of the longest side of each row."""
        return np.array([self._size([place])[0] for place in range(len(self.pairs))])

    def batch(
        self, places: np.ndarray, ref: Sequence[Sequence[np.ndarray]] | None = None
    ) -> TrainBatch:
        """The rows at these places.

        Args:
          places: [A B] where the rows stand in `pairs`.
          ref: reference log-probabilities, by row and side, each as long as the
            response.
        """
        rows, width = self._rows(places)
        shape = (len(places), len(self.sides), width)
        mask, known = np.zeros(shape, bool), np.zeros(shape, np.float32)
        for row, place in enumerate(places):
            for side, name in enumerate(self.sides):
                length = len(self.response(int(place), name))
                mask[row, side, :length] = True
                if ref is not None:
                    known[row, side, :length] = ref[place][side]
        return TrainBatch(
            rows, self._cut(mask), None if ref is None else self._cut(known)
        )

    def _rows(self, places: np.ndarray) -> tuple[Any, int]:
        """What the model reads, and R."""
        length, width = self._shape(places)
        shape = (len(places), len(self.sides))
        tokens = np.zeros((*shape, length), np.int32)
        start = np.zeros(shape, np.int32)
        for row, place in enumerate(places):
            prompt = self.pairs[place].prompt
            start[row] = len(prompt)
            for side, name in enumerate(self.sides):
                ids = [*prompt, *self.response(int(place), name)]
                tokens[row, side, : len(ids)] = ids
        groups = self.parts * self.devices
        rows = Rows(*(x.reshape(groups, -1, *x.shape[1:]) for x in (tokens, start)))
        return self._by_device(rows), width

    def _by_device(self, rows: Any) -> Any:
        """[A D, ...] -> [A, D, ...], without an axis for one device alone."""
        if self.devices == 1:
            return rows
        return jax.tree.map(
            lambda x: x.reshape(self.parts, self.devices, *x.shape[1:]), rows
        )

    def _cut(self, array: np.ndarray) -> np.ndarray:
        """[A B, ...] -> [A, B, ...]."""
        return array.reshape(self.parts, -1, *array.shape[1:])

    def tokens(self, places: np.ndarray) -> int:
        """Prompt and response tokens of all sides of these rows."""
        return sum(
            len(self.pairs[p].prompt) + len(self.response(int(p), side))
            for p in places
            for side in self.sides
        )

    def response(self, place: int, side: str) -> list[int]:
        """The ids of one side; a mismatched one is cut where it wouldn't fit."""
        pair = self.pairs[place]
        if side != "mismatched":
            return getattr(pair, side)
        other = self.pairs[(place + 1) % len(self.pairs)].chosen
        return other[: max(len(pair.chosen), len(pair.rejected), 1)]

    def _size(self, places: Sequence[int] | np.ndarray) -> tuple[int, int]:
        """T and R that these rows need."""
        widths = [
            max(len(self.response(int(p), side)) for side in self.sides) for p in places
        ]
        prompts = [len(self.pairs[p].prompt) for p in places]
        length = max(p + w for p, w in zip(prompts, widths, strict=True))
        return length, max(widths)

    def _shape(self, places: np.ndarray) -> tuple[int, int]:
        """The smallest shape that holds these rows."""
        length, width = self._size(places)
        return next(s for s in self.shapes if s[0] >= length and s[1] >= width)


def _shapes(sizes: np.ndarray, most: int) -> tuple[tuple[int, int], ...]:
    """At most `most` nested shapes: quantiles of both lengths.

    Rows of a batch have similar lengths and the batch takes its longest one's, so
    every shape must hold all smaller ones: T and R rise together.
    """
    levels = np.linspace(0, 1, most + 1)[1:]
    marks = np.quantile(sizes, levels, axis=0, method="higher")
    marks = np.minimum(-(-marks // MULTIPLE) * MULTIPLE, sizes.max(0))
    return tuple((int(t), int(r)) for t, r in np.unique(marks, axis=0))
