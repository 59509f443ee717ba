"""gradlab's training step, whole or with parts of what makes it fast switched off.

    gradlab                   all of it
    without_packing           a row of its own for each response
    without_response_head     the head runs on every position that the layers run on
    without_bucketing         batches in the order of the data, one padded shape
    plain                     none of the three
    saving                    all of it, and less memory for more time: a batch in parts
                              one after another, layers run again in the backward pass

All of them are the trainer's own step and batches; what they compute is the same.
"""

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from analyses.training_speed.scene import Scene
from gradlab.data.packing import PackedBatch
from gradlab.losses import resolve
from gradlab.models import LanguageModel, language_model, load_model
from gradlab.training.batching import SIDES, Batcher, Rows, TrainBatch
from gradlab.training.config import OptimiserSettings
from gradlab.training.forward import Score, Scores, make_score
from gradlab.training.optimisers import make_optimiser
from gradlab.training.order import Order
from gradlab.training.packed import PackedBatcher
from gradlab.training.rounds import Table, response_table
from gradlab.training.step import Step, StepReport, TrainState
from gradlab.types import Params

OURS, SAVING = "gradlab", "saving"


@dataclass(frozen=True)
class Way:
    """What is switched on."""

    packing: bool = True
    response_head: bool = True
    bucketing: bool = True
    parts: int = 1
    remat: bool = False


WAYS = {
    OURS: Way(),
    "without_packing": Way(packing=False),
    "without_response_head": Way(response_head=False),
    "without_bucketing": Way(bucketing=False),
    "plain": Way(False, False, False),
    SAVING: Way(parts=8, remat=True),
}


def every_position(model: LanguageModel) -> Score:
    """A score whose head reads all positions, wanted or not."""
    score = make_score(model)

    def scored(params: Params, rows: Rows | PackedBatch, width: int) -> Scores:
        if isinstance(rows, PackedBatch):
            return score(params, _all_columns(rows), width)
        every = replace(rows, start=jnp.ones_like(rows.start))
        logps = score(params, every, rows.tokens.shape[-1] - 1)["logps"]
        wanted = rows.start[..., None] - 1 + jnp.arange(width)
        wanted = jnp.minimum(wanted, logps.shape[-1] - 1)
        return {"logps": jnp.take_along_axis(logps, wanted, axis=-1)}

    return scored


def _all_columns(rows: PackedBatch) -> PackedBatch:
    """With a slot for each column that has none yet."""
    cells, slots = rows.tokens.size, rows.sources.shape[0]
    taken = jnp.zeros(cells, int).at[rows.sources].set(1)
    free = jnp.argsort(taken, stable=True)[: max(cells - slots, 0)]
    sources = jnp.concatenate([rows.sources, free.astype(jnp.int32)])
    targets = jnp.concatenate([rows.targets, jnp.zeros_like(free, jnp.int32)])
    return rows._replace(sources=sources, targets=targets)


class Ours:
    """One way to train, compiled for the batches of one round."""

    def __init__(self, scene: Scene, way: Way, model: LanguageModel) -> None:
        """Plans batches and the step; compiles nothing yet."""
        config, steps = scene.config, scene.size.batches
        shapes = config.max_shapes if way.bucketing else 1
        parts = math.gcd(way.parts, config.batch_size)
        separate = Batcher.of(scene.rows, 2, max_shapes=shapes, parts=parts)
        packed = PackedBatcher(scene.rows, SIDES[:2], ())
        self.way = way
        self.order = Order(
            packed.lengths() if way.packing else separate.lengths(),
            config.batch_size,
            steps,
            (scene.seed,),
            window=steps,
            shuffle=way.bucketing,
        )
        self.batcher = separate
        if way.packing:
            self.batcher = PackedBatcher.planned(
                scene.rows, self.order, max_shapes=shapes, parts=parts
            )
        if way.remat and model.config is not None:
            model = language_model(model.config, remat=True)
        score = make_score(model) if way.response_head else every_position(model)
        settings = OptimiserSettings(learning_rate=config.learning_rate)
        optimiser = make_optimiser(settings, 10**6)
        self.training = Step(score, resolve("dpo"), optimiser)
        self._update = self.training.compiled()
        self._shapes: set[Any] = set()
        self.compile_seconds = 0.0

    def start(self, params: Params) -> TrainState:
        """The state before the first step; it shares no memory with `params`."""
        copied = jax.tree.map(jnp.copy, params)
        return TrainState.start(copied, self.training.optimiser)

    def compile(self, state: TrainState, table: Table) -> None:
        """Compiles by a step of every shape of the round; leaves the state alone."""
        started = time.perf_counter()
        for batch in self.batches(table):
            if (shape := _shape(batch)) not in self._shapes:
                self._shapes.add(shape)
                self._train(jax.tree.map(jnp.copy, state), batch)
        self.compile_seconds = time.perf_counter() - started

    @property
    def shapes(self) -> int:
        """How many shapes were compiled."""
        return len(self._shapes)

    def batches(self, table: Table) -> Iterator[TrainBatch]:
        """Those of one round."""
        for number in range(self.order.steps):
            yield self.batcher.batch(self.order.batch(number), table)

    def step(
        self, number: int, state: TrainState, table: Table
    ) -> tuple[TrainState, StepReport]:
        """One step, from making the batch to its numbers on the host.

        Args:
          number: of the batch in the round.
          state: used up.
          table: of the reference.

        Returns:
          The next state, and what the step saw, as numpy arrays.
        """
        batch = self.batcher.batch(self.order.batch(number), table)
        return self._train(state, batch)

    def _train(
        self, state: TrainState, batch: TrainBatch
    ) -> tuple[TrainState, StepReport]:
        with jax.default_matmul_precision("highest"):
            state, report = self._update(state, batch)
        jax.block_until_ready(state)
        return state, jax.device_get(report)

    def work(self, batches: Iterable[TrainBatch]) -> tuple[int, int]:
        """(columns that the layers run on, positions that the head runs on)."""
        columns = positions = 0
        for batch in batches:
            cells = batch.rows.tokens.size
            columns += cells
            if not self.way.response_head:
                positions += cells
            elif isinstance(batch.rows, PackedBatch):
                positions += batch.rows.sources.size
            else:
                positions += batch.mask.size
        return columns, positions


def reference(ours: Ours, params: Params) -> Table:
    """Log-probabilities of the frozen reference, computed once."""
    with jax.default_matmul_precision("highest"):
        return response_table(
            ours.training.score,
            params,
            ours.batcher,
            batch_size=ours.order.batch_size // ours.batcher.parts,
        )


def load(scene: Scene) -> tuple[LanguageModel, Params]:
    """The scene's model."""
    return load_model(scene.folder)


def _shape(batch: TrainBatch) -> Any:
    return tuple(np.shape(leaf) for leaf in jax.tree.leaves(batch))
