"""Which rows make which batch: a pure function of seed and step, hence resumable.

The rows are an endless stream of epochs, each a permutation of its own; batch k holds
the entries k B to (k + 1) B - 1, so every batch is full and every row is seen equally
often. Within windows of a few batches the rows are sorted by length before they are
cut into batches, and the batches then stand in a random order: little padding, and an
order that is random on the scale of a window.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Order:
    """The batches of one pass of `steps` steps over some rows.

    Attributes:
      lengths: [N] by which rows are sorted.
      batch_size: B.
      steps: how many batches there are.
      seed: any tuple of integers.
      window: batches that are sorted by length together; 1: none is.
      shuffle: permute every epoch; otherwise rows keep their order and there are no
        windows.
    """

    lengths: np.ndarray
    batch_size: int
    steps: int
    seed: tuple[int, ...]
    window: int = 1
    shuffle: bool = True

    def batch(self, step: int) -> np.ndarray:
        """[B] places of the rows of batch `step`, from 0.

        Guarantees:
          Depends on the attributes and the step alone. Over all steps every row comes
          equally often, up to one time.

        Example:
          >>> order = Order(np.array([3, 1, 2, 9]), 2, steps=4, seed=(0,), window=2)
          >>> sorted(np.concatenate([order.batch(step) for step in range(4)]).tolist())
          [0, 0, 1, 1, 2, 2, 3, 3]
        """
        if not self.shuffle:
            return self._stream(step * self.batch_size, (step + 1) * self.batch_size)
        number, place = divmod(step, self.window)
        first = number * self.window
        # The last window is cut off where the run ends: no row of it is lost.
        count = min(self.window, self.steps - first)
        rows = self._stream(first * self.batch_size, (first + count) * self.batch_size)
        rows = rows[np.argsort(self.lengths[rows], kind="stable")]
        turn = np.random.default_rng((*self.seed, 1, number)).permutation(count)
        return rows.reshape(count, self.batch_size)[turn[place]]

    def _stream(self, start: int, stop: int) -> np.ndarray:
        """Entries start to stop - 1 of the endless stream of epochs."""
        n = len(self.lengths)
        epochs = [self._epoch(e) for e in range(start // n, -(-stop // n))]
        offset = start // n * n
        return np.concatenate(epochs)[start - offset : stop - offset]

    def _epoch(self, number: int) -> np.ndarray:
        n = len(self.lengths)
        if not self.shuffle:
            return np.arange(n)
        return np.random.default_rng((*self.seed, 0, number)).permutation(n)
