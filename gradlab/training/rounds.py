"""What a run learns from, and which part of it: rounds of steps over fixed rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from gradlab.training.batching import Batcher, TrainBatch
from gradlab.training.forward import Score
from gradlab.training.order import Order
from gradlab.types import Params

Table = Sequence[Sequence[np.ndarray]]  # by row and side, each as long as the response


@dataclass(frozen=True)
class Round:
    """Steps `first` to `stop` - 1, over the same rows.

    Attributes:
      first: its first step.
      stop: the step behind its last one.
      batcher: makes batches of the rows.
      order: which rows make which batch; counts steps from `first`.
      table: log-probabilities of the frozen reference, or None.
      from_start: the reference is the policy as it was before the first step, so that
        the log-ratio to it is the drift.
    """

    first: int
    stop: int
    batcher: Batcher
    order: Order
    table: Table | None = None
    from_start: bool = False

    def places(self, step: int) -> np.ndarray:
        """Where the rows of a step's batch stand."""
        return self.order.batch(step - self.first)

    def batch(self, step: int) -> TrainBatch:
        """The batch of a step."""
        return self.batcher.batch(self.places(step), self.table)

    def epoch(self, step: int) -> float:
        """Passes over the rows when `step` steps of the run are finished."""
        seen = (step - self.first) * self.order.batch_size
        return seen / len(self.batcher.pairs)


# (step, parameters at that step, parameters of the reference) -> the step's round
Rounds = Callable[[int, Params, Params | None], Round]


def response_table(
    score: Score,
    params: Params,
    batcher: Batcher,
    *,
    batch_size: int = 16,
    progress: Callable[[int], Any] = lambda rows: None,
) -> Table:
    """Log-probabilities of every response of every row, as training computes them.

    Args:
      score: the scoring function of the training, so that policy and reference go
        through the same arithmetic.
      params: of the reference.
      batcher: gives rows and sides.
      batch_size: rows scored at once.
      progress: called with the number of rows just scored.

    Returns:
      By row and side, float32 arrays in nats, each as long as the response.
    """
    compiled = jax.jit(score, static_argnums=2)
    table: list[list[np.ndarray]] = [[] for _ in batcher.pairs]
    order = np.argsort(-batcher.lengths(), kind="stable")
    whole = replace(batcher, parts=1)
    for first in range(0, len(order), batch_size):
        places = order[first : first + batch_size]
        # A short batch is filled up with copies: it needs no shape of its own.
        batch = whole.batch(np.resize(places, batch_size))
        rows = jax.tree.map(lambda leaf: leaf[0], batch.rows)
        logps = np.asarray(compiled(params, rows, batch.mask.shape[-1])["logps"])
        for found, mask, place in zip(logps, batch.mask[0], places, strict=False):
            table[place] = [f[m] for f, m in zip(found, mask, strict=True)]
        progress(len(places))
    return table
