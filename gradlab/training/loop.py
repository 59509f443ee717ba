"""The loop of every stage: a batch, a step, what it showed, and a checkpoint."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.models.sharding import gathered
from gradlab.training.batching import TrainBatch
from gradlab.training.checkpoint import Checkpoints
from gradlab.training.failure import stop_with_inputs
from gradlab.training.metriclog import MetricLog
from gradlab.training.metrics import Seen, reward_scale, row_metrics
from gradlab.training.optimisers import Schedule
from gradlab.training.processes import anywhere
from gradlab.training.rounds import Round, Rounds
from gradlab.training.run_folder import FAILURE
from gradlab.training.signals import StopRequest
from gradlab.training.step import Step, StepReport, TrainState
from gradlab.types import Params

Coming = tuple[TrainState, TrainBatch]
Taken = tuple[TrainState, StepReport]


class Probe(Protocol):
    """What is measured on the way."""

    def measure(self, step: int, state: TrainState, batch: TrainBatch | None) -> None:
        """Measures at the step if it is due; `batch` is the coming one."""

    def finish(self) -> None:
        """Writes the tables of a run that is done."""


@dataclass(frozen=True)
class MovingReference:
    """A reference that follows the policy, scored batch by batch.

    Attributes:
      every: steps between two updates; 0: only rounds move it.
      mix: new = mix * policy + (1 - mix) * reference.
      each_round: it becomes the policy where a round begins.
    """

    every: int = 0
    mix: float = 1.0
    each_round: bool = False

    def due(self, done: int) -> bool:
        """Whether it is updated behind this many steps."""
        return self.every > 0 and done % self.every == 0

    def moved(self, reference: Params | None, params: Params) -> Params:
        """The reference behind an update; shares no memory with `params`."""
        return jax.tree.map(
            lambda r, p: (1 - self.mix) * r + self.mix * p, reference, params
        )


@dataclass
class Loop:
    """One run.

    Attributes:
      step: the training step.
      rounds: gives the round of a step.
      total: steps of the whole run.
      rate: learning rate by finished steps, for the metrics.
      log: metrics.jsonl.
      checkpoints: where the state is saved.
      checkpoint_every: steps; 0: at the end only.
      moving: how the reference follows, or None where it is frozen or absent.
      probes: measured before a step.
      watch: called with the numbers of each step.
      stop: a request to stop.
      tokens: response and prompt tokens seen so far.
    """

    step: Step
    rounds: Rounds
    total: int
    rate: Schedule
    log: MetricLog
    checkpoints: Checkpoints
    checkpoint_every: int = 0
    moving: MovingReference | None = None
    probes: Sequence[Probe] = ()
    watch: Callable[[int, dict[str, float]], None] = lambda step, numbers: None
    stop: StopRequest = field(default_factory=StopRequest)
    tokens: int = 0

    def run(self, state: TrainState, reference: Params | None = None) -> TrainState:
        """Trains to the end, or to a request to stop; goes on from a checkpoint.

        Args:
          state: at the start; a checkpoint, where there is one, replaces it.
          reference: parameters of a moving reference at the start.

        Returns:
          The last state; `state.step` tells whether the run is finished.

        Raises:
          GradlabError: a number that is not finite; its inputs are then saved.
        """
        course = self.course(state, reference)
        try:
            coming = next(course)
            update = self.step.compiled(coming[0])
            while True:
                coming = course.send(update(*coming))
        except StopIteration as end:
            return end.value

    def course(
        self, state: TrainState, reference: Params | None = None
    ) -> Generator[Coming, Taken, TrainState]:
        """The run without the updates: who drives it takes them; see `run`.

        Yields:
          State and batch of the coming step; takes its result.
        """
        state, reference = self._restored(state, reference)
        score = jax.jit(self.step.score, static_argnums=2)
        done, current = int(state.step), None
        while done < self.total and not anywhere(bool(self.stop)):
            if current is None or done == current.stop:
                current = self.rounds(done, state.params, reference)
                if self.moving and self.moving.each_round and done == current.first:
                    reference = jax.tree.map(jnp.copy, state.params)
            batch = current.batch(done)
            if self.moving is not None:
                batch = replace(batch, ref=_scored(score, reference, batch))
            for probe in self.probes:
                probe.measure(done, state, batch)
            state, report = yield state, batch
            done += 1
            self._note(done, state, report, batch, current)
            if self.moving is not None and self.moving.due(done):
                reference = self.moving.moved(reference, state.params)
            if self.checkpoint_every and done % self.checkpoint_every == 0:
                self._save(done, state, reference)
        for probe in self.probes if done == self.total else ():
            probe.measure(done, state, None)
        self._save(done, state, reference)
        return state

    def _note(
        self,
        done: int,
        state: TrainState,
        report: StepReport,
        batch: TrainBatch,
        current: Round,
    ) -> None:
        """Writes down what a step saw; stops the run where it failed."""
        report = gathered(report)
        places = current.places(done - 1)
        if report.failed:
            rows = [current.batcher.pairs[place].row for place in places]
            folder = self.log.path.parent / FAILURE
            stop_with_inputs(folder, done, self.step, state, batch, report, rows)
        self.tokens += current.batcher.tokens(places)
        numbers = row_metrics(
            _seen(report, batch, current.from_start), reward_scale(self.step.loss)
        )
        numbers |= {
            "grad_norm": float(report.grad_norm),
            "learning_rate": float(self.rate(done - 1)),
            "epoch": current.epoch(done),
            "num_tokens": self.tokens,
        }
        self.log.add(done, numbers, last=done == self.total)
        self.watch(done, numbers)

    def _save(self, done: int, state: TrainState, reference: Params | None) -> None:
        notes = {"log": self.log.state(), "tokens": self.tokens}
        self.checkpoints.save(done, _arrays(state, reference), notes)

    def _restored(
        self, state: TrainState, reference: Params | None
    ) -> tuple[TrainState, Params | None]:
        newest = self.checkpoints.newest()
        if newest is None:  # lines of a run that was killed before its first checkpoint
            self.log.restore({"bytes": 0, "pending": []})
            return state, reference
        found, notes = self.checkpoints.load(newest, _arrays(state, reference))
        self.log.restore(notes["log"])
        self.tokens = notes["tokens"]
        kept = {f.name: found[f.name] for f in fields(TrainState)}
        return TrainState(**kept), found["reference"] or None


def _arrays(state: TrainState, reference: Params | None) -> dict[str, Any]:
    return {
        **{f.name: getattr(state, f.name) for f in fields(state)},
        "reference": reference or {},
    }


def _scored(score: Any, reference: Params, batch: TrainBatch) -> np.ndarray:
    """[A, B, S, R] log-probabilities of a batch under the moving reference."""
    parts = len(batch.mask)
    rows = [jax.tree.map(lambda leaf, a=a: leaf[a], batch.rows) for a in range(parts)]
    width = batch.mask.shape[-1]
    return np.stack([score(reference, part, width)["logps"] for part in rows])


def _seen(report: StepReport, batch: TrainBatch, from_start: bool) -> Seen:
    whole = batch.joined()
    ref = None if whole.ref is None else np.where(whole.mask, whole.ref, 0).sum(-1)
    return Seen(
        values=np.asarray(report.values),
        sums=np.asarray(report.sums),
        weights=np.asarray(report.weights),
        lengths=whole.mask.sum(-1),
        ref=ref,
        start=ref if from_start else None,
    )
