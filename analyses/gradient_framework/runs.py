"""Runs of all seeds at once, of any loss: one compiled segment serves the whole study.

Leaves of parameters, optimiser states and batches have the seeds on their first axis.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
import optax

from analyses.common.arrays import PairArrays, pair_logps_fn
from gradlab.losses import resolve
from gradlab.models import LanguageModel
from gradlab.types import Array, PairLogps, Params


@dataclass(frozen=True)
class Runner:
    """What all runs of a model share.

    Attributes:
      model: the language model.
      width: R, padded response length.
      losses: every loss that is run; each becomes a branch of one program.
    """

    model: LanguageModel
    width: int
    losses: tuple[str, ...]

    @property
    def logps_fn(self) -> Callable:
        """(params, `PairArrays`) -> token log-probabilities of both sides."""
        return pair_logps_fn(self.model, self.width)

    def run(
        self,
        loss: str,
        params: Params,
        data: PairArrays,
        order: np.ndarray,
        rate: float,
        *,
        segment: int,
    ) -> Iterator[Params]:
        """The parameters after each segment of steps; the start is the reference.

        Args:
          loss: one of `losses`.
          params: [S, ...] start of each seed.
          data: [S, N, ...] numpy arrays.
          order: [S, steps, B] row numbers.
          rate: learning rate (Adam).
          segment: steps of each.
        """
        reads = resolve(loss).needs_reference
        reference = self.logps(params, data) if reads else None
        state = jax.vmap(optax.adam(rate).init)(params)
        for first in range(0, order.shape[1], segment):
            rows = order[:, first : first + segment]
            batches, ref = _taken((data, reference), rows)
            if ref is None:
                ref = (np.zeros((*rows.shape, self.width), np.float32),) * 2
            params, state = _segment(
                self.logps_fn, self.losses, params, state, batches, ref,
                self.losses.index(loss), rate,
            )  # fmt: skip
            yield params

    def logps(self, params: Params, data: PairArrays) -> tuple[np.ndarray, np.ndarray]:
        """[S, N, R] token log-probabilities of both sides."""
        found = _logps(self.logps_fn, params, data)
        return np.asarray(found[0]), np.asarray(found[1])


def _taken(tree: Any, rows: np.ndarray) -> Any:
    """Rows [S, ...] of leaves [S, N, ...], seed by seed."""
    seeds = np.arange(len(rows)).reshape(-1, *[1] * (rows.ndim - 1))
    return jax.tree.map(lambda leaf: leaf[seeds, rows], tree)


@partial(jax.jit, static_argnames="logps_fn")
def _logps(logps_fn: Callable, params: Params, data: PairArrays):
    return jax.lax.map(lambda given: logps_fn(*given), (params, data))


@partial(jax.jit, static_argnames=("logps_fn", "losses"))
def _segment(
    logps_fn: Callable,
    losses: Sequence[str],
    params: Params,
    state: optax.OptState,
    batches: PairArrays,
    reference: tuple[Array, Array],
    which: int,
    rate: float,
) -> tuple[Params, optax.OptState]:
    """One step per batch [S, steps, B, ...]; `which` and `rate` are traced."""
    branches, method = [partial(resolve(loss)) for loss in losses], optax.adam(rate)

    def value(theta: Params, data: PairArrays, ref: tuple[Array, Array]) -> Array:
        chosen, rejected = logps_fn(theta, data)
        masks = data.mask(chosen.shape[-1])
        pairs = PairLogps(chosen, rejected, masks[0], masks[1], *ref)
        return jax.lax.switch(which, branches, pairs).mean()

    def update(carry, given):
        theta, state = carry
        gradient = jax.grad(value)(theta, *given)
        change, state = method.update(gradient, state, theta)
        return (optax.apply_updates(theta, change), state), None

    def seed(given):
        carry, batches = given
        return jax.lax.scan(update, carry, batches)[0]

    return jax.lax.map(seed, ((params, state), (batches, reference)))
