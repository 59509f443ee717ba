"""Passes of a model over all pairs, batch by batch, gathered into arrays over pairs.

Each pass is compiled once per padded shape and serves every loss: what differs between
losses (token weights, parameter changes) are its arguments.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.data.batches import SideBatch
from gradlab.data.pair_batches import PairBatch
from gradlab.drift.parallel import in_parallel, spread
from gradlab.gradients import SideGradients
from gradlab.inputs.scored import SIDES
from gradlab.measures import (
    ches,
    last_hidden_cosine,
    ln_ches,
    response_hidden,
)
from gradlab.models.functional import LanguageModel
from gradlab.models.logps import response_logps
from gradlab.types import Array, Params

Sides = dict[str, np.ndarray]  # "chosen", "rejected" -> [N, L]
Rows = tuple[Array, Array, Array]  # tokens, start and length of the responses
Progress = Callable[[int], Any]


@dataclass(frozen=True)
class Corpus:
    """All pairs as one model reads them.

    Attributes:
      model: pure functions of its parameters.
      sides: side -> batches that hold each of its responses once, in few shapes.
      pairs: batches that hold each pair once, where both sides are needed together.
      mask: side -> [N, L] True on response tokens.
      progress: called with 1 after each batch of `logps`, `gradients` and `drifts`.
    """

    model: LanguageModel
    sides: Mapping[str, Sequence[SideBatch]]
    pairs: Sequence[PairBatch]
    mask: Sides
    progress: Progress = lambda done: None

    @property
    def count(self) -> int:
        """N, the number of pairs."""
        return len(self.mask["chosen"])

    def logps(self, params: Params) -> Sides:
        """Log-probability of each response token, [N, L] a side, in nats."""

        def run(side: str, batch: SideBatch) -> dict[str, Array]:
            return {side: _logps(params, batch_arrays(batch), self.model, batch.width)}

        return self._over_sides(run)

    def gradients(self, params: Params, weights: Mapping[str, np.ndarray]):
        """The chosen- and rejected-caused gradient for these token weights.

        Args:
          params: of the model.
          weights: side -> [N, L] dL/dlogp, any reduction over pairs included.

        Returns:
          `SideGradients`, whose `values` are empty.
        """
        parts = []
        for side in SIDES:
            total = jax.tree.map(jnp.zeros_like, params)

            def run(batch: SideBatch, side: str = side) -> Params:
                given, rows = _rows(weights[side], batch), batch_arrays(batch)
                return _pull(params, rows, given, self.model, batch.width)

            needed = self._batches(side) if weights[side].any() else []
            for part in in_parallel(run, needed):
                total = jax.tree.map(jnp.add, total, part)
                self.progress(1)
            parts.append(total)
        return SideGradients(jnp.zeros(0), *parts)

    def drifts(self, params: Params, parts: Mapping[str, Params]) -> dict[str, Sides]:
        """First-order drift of every token by each part of a step, in nats."""
        names = list(parts)

        def run(side: str, batch: SideBatch) -> dict[str, Array]:
            steps, arrays = list(parts.values()), batch_arrays(batch)
            moved = _push(params, arrays, steps, self.model, batch.width)
            return {f"{n} {side}": x for n, x in zip(names, moved, strict=True)}

        return _split(names, self._over_sides(run))

    def own_drifts(
        self,
        params: Params,
        cause: str,
        weights: np.ndarray,
        precondition: Params,
        *,
        microbatch: int,
    ) -> Sides:
        """What the gradient of each pair's one side does to both its answers.

        Args:
          params: of the model.
          cause: "chosen" or "rejected", whose gradient it is.
          weights: [N, L] dL/dlogp of that side.
          precondition: P, like params: a gradient g moves the parameters by P * g.
          microbatch: pairs whose gradients exist at once.

        Returns:
          side -> [N, L], in nats.
        """

        def run(batch: PairBatch) -> Sequence[Array]:
            source = getattr(batch, cause)
            return _own(
                params,
                batch_arrays(source),
                [batch_arrays(getattr(batch, side)) for side in SIDES],
                _rows(weights, source),
                precondition,
                self.model,
                batch.width,
                microbatch,
            )

        found: Sides = {}
        pairs = spread(
            self.pairs, lambda batch: (batch.chosen.tokens.shape, batch.width)
        )
        for batch, moved in zip(pairs, in_parallel(run, pairs), strict=True):
            for side, value in zip(SIDES, moved, strict=True):
                self._put(found, side, batch, value)
        return found

    def hidden_likeness(self, params: Params) -> dict[str, np.ndarray]:
        """CHES, its normalised form and the cosine of the last hidden states, [N].

        NaN where the model shows no hidden states.
        """
        names = ("ches", "ln_ches", "last_hidden_cosine")
        found = {name: np.full(self.count, np.nan) for name in names}
        for batch in self.pairs if self.model.hidden else ():
            arrays = {side: batch_arrays(getattr(batch, side)) for side in SIDES}
            values = _likeness(params, arrays, self.model)
            for name, value in zip(names, values, strict=True):
                used = batch.index >= 0
                found[name][batch.index[used]] = np.asarray(value)[used]
        return found

    def _over_sides(
        self, run: Callable[[str, SideBatch], Mapping[str, Array]]
    ) -> Sides:
        """Runs every batch of both sides; keys end in the side's name."""
        found: Sides = {}
        for side in SIDES:
            needed = self._batches(side)
            results = in_parallel(partial(run, side), needed)
            for batch, values in zip(needed, results, strict=True):
                for key, value in values.items():
                    self._put(found, key, batch, value)
                self.progress(1)
        return found

    def _batches(self, side: str) -> list[SideBatch]:
        return spread(self.sides[side], lambda batch: (batch.tokens.shape, batch.width))

    def _put(
        self, found: Sides, key: str, batch: SideBatch | PairBatch, value: Array
    ) -> None:
        """Puts a batch's rows [B, width] into the array [N, L] of that key."""
        mask = self.mask[key.rpartition(" ")[2]]
        array = found.setdefault(key, np.zeros(mask.shape))
        columns, used = min(batch.width, mask.shape[1]), batch.index >= 0
        array[batch.index[used], :columns] = np.asarray(value)[used, :columns]


def _rows(weights: np.ndarray, batch: SideBatch) -> Array:
    """The weights of a batch's rows, padded to its width; 0 in dummy rows."""
    used = batch.index >= 0
    array = np.zeros((len(used), batch.width))
    columns = min(batch.width, weights.shape[1])
    array[used, :columns] = weights[batch.index[used], :columns]
    return jnp.asarray(array, float)


def batch_arrays(batch: SideBatch) -> Rows:
    """Tokens [B, T], start [B] and length [B] of the responses of a batch."""
    numbers = (batch.tokens, batch.response_start, batch.response_length)
    return tuple(map(jnp.asarray, numbers))  # type: ignore[return-value]


def _split(names: Sequence[str], flat: Sides) -> dict[str, Sides]:
    return {name: {side: flat[f"{name} {side}"] for side in SIDES} for name in names}


@partial(jax.jit, static_argnames=("model", "width"))
def _logps(params, rows, model, width):
    return response_logps(model, params, *rows, width=width)


@partial(jax.jit, static_argnames=("model", "width"))
def _pull(params, rows, weights, model, width):
    logps, pull = jax.vjp(lambda p: _logps(p, rows, model, width), params)
    return pull(weights.astype(logps.dtype))[0]


@partial(jax.jit, static_argnames=("model", "width"))
def _push(params, rows, parts, model, width):
    # One forward-mode pass for all parts: they share what the model itself computes.
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *parts)
    return jax.vmap(
        lambda part: jax.jvp(
            lambda p: _logps(p, rows, model, width), (params,), (part,)
        )
    )(stacked)[1]


@partial(jax.jit, static_argnames=("model", "width", "microbatch"))
def _own(params, source, targets, weights, precondition, model, width, microbatch):
    def of_pair(item):
        source, targets, weights = jax.tree.map(lambda leaf: leaf[None], item)
        logps, pull = jax.vjp(lambda p: _logps(p, source, model, width), params)
        gradient = pull(weights.astype(logps.dtype))[0]
        step = jax.tree.map(jnp.multiply, precondition, gradient)
        moved = [
            jax.jvp(lambda p, t=t: _logps(p, t, model, width), (params,), (step,))[1]
            for t in targets
        ]
        return [side[0] for side in moved]

    return jax.lax.map(of_pair, (source, targets, weights), batch_size=microbatch)


@partial(jax.jit, static_argnames=("model",))
def _likeness(params, arrays, model):
    sums = []
    for side in SIDES:
        tokens, start, length = arrays[side]
        hidden = model.hidden(params, tokens)
        # A dummy row has no response; one token of padding keeps its range valid.
        sums.append(response_hidden(hidden, start, jnp.maximum(length, 1)))
    return ches(*sums), ln_ches(*sums), last_hidden_cosine(*sums)
