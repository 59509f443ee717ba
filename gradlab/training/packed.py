"""Batches whose pairs share one row for prompt and common response beginning."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from gradlab.data import TokenizedPair
from gradlab.data.packing import pack
from gradlab.data.packing_shapes import PackedShape, plan_shapes, sizes_of
from gradlab.errors import DataError
from gradlab.training.batching import SIDES, Batcher
from gradlab.training.order import Order

SAMPLE = 256  # batches that the shapes are planned for


@dataclass(frozen=True)
class PackedBatcher(Batcher):
    """A `Batcher` of packed rows; see `gradlab.data.packing`.

    Attributes:
      packed: shapes of a part, or of a device's rows of it; one of them holds any.
    """

    packed: tuple[PackedShape, ...] = ()

    @classmethod
    def planned(
        cls,
        pairs: Sequence[TokenizedPair],
        order: Order,
        *,
        max_shapes: int,
        parts: int = 1,
        devices: int = 1,
    ) -> "PackedBatcher":
        """With at most `max_shapes` shapes that suit the first batches of an order."""
        rows = order.batch_size // (parts * devices)
        groups = [
            group
            for step in range(min(order.steps, SAMPLE))
            for group in order.batch(step).reshape(-1, rows)
        ]
        shapes = plan_shapes(
            pairs, groups, batch_size=rows, max_shapes=max_shapes, spare=True
        )
        return cls(pairs, SIDES[:2], (), parts, devices, tuple(shapes))

    def lengths(self) -> np.ndarray:
        """[N] columns that each row of data takes."""
        return sizes_of(self.pairs).columns

    def _rows(self, places: np.ndarray) -> tuple[Any, int]:
        groups = places.reshape(self.parts * self.devices, -1)
        for shape in self.packed:  # the cheapest first
            try:
                packs = [pack(self.pairs, group, [shape]) for group in groups]
            except DataError:
                continue
            stacked = jax.tree.map(lambda *parts: np.stack(parts), *packs)
            return self._by_device(stacked), shape.width
        raise DataError(f"places: rows {places} fit none of {self.packed}")
