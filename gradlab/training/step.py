"""One update of the parameters. The loss is an argument; nothing here knows a method.

The gradient of any loss of token log-probabilities is J^T w, with w the derivative of
the loss by the log-probabilities and J that of the log-probabilities by the parameters.
A step computes w on the whole batch and J^T w part by part; so a batch may be cut into
parts as the memory demands, and even a loss that couples the rows of a batch gives the
gradient of the uncut batch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gradlab.losses import BoundLoss
from gradlab.models.sharding import gathered, mesh_of
from gradlab.training.batching import TrainBatch, merge_parts
from gradlab.training.forward import Score, Scores, loss_inputs, with_draws
from gradlab.training.optimisers import Schedule
from gradlab.types import Array, Params


@cache
def least_memory() -> dict[str, Any]:
    """Compiler options that order operations for least memory; none off the CPU.

    By default XLA orders them there for most concurrency: layers that are to be
    computed again in the backward pass are then computed long before it.
    """
    options = {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"}
    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except jax.errors.JaxRuntimeError:  # another version of XLA
        return {}
    return options


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """All that changes from step to step.

    Attributes:
      params: parameters, float32.
      opt_state: of the optimiser.
      step: finished steps, int32.
      halted: a step met a number that is not finite. Its update was not applied, and
        later ones aren't either: `params` and `step` are those of the failure.
    """

    params: Params
    opt_state: Any
    step: Array
    halted: Array

    @classmethod
    def start(
        cls, params: Params, optimiser: optax.GradientTransformation
    ) -> "TrainState":
        """The state before the first step."""
        zero = jnp.zeros((), jnp.int32)
        return cls(params, optimiser.init(params), zero, jnp.zeros((), bool))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class StepReport:
    """What one step saw, row by row, before its update.

    Attributes:
      values: [B] loss of each row.
      sums: [B, S] summed log-probability of each side, in nats.
      weights: [B, S] sum over tokens of |dL/dlogp| for the loss of the row.
      grad_norm: Euclidean norm of the gradient before clipping.
      failed: the step was not applied because a number is not finite.
    """

    values: Array
    sums: Array
    weights: Array
    grad_norm: Array
    failed: Array


@dataclass(frozen=True)
class Step:
    """The step as a pure function of state and batch; see `update` and `direction`.

    Attributes:
      score: see `gradlab.training.forward`.
      loss: anything that `gradlab.losses.resolve` gives.
      optimiser: an optax transformation.
      schedules: hyperparameter of the loss -> (step -> value).
      seed: of draws inside losses.
      scale: the optimiser's change is multiplied by it.

    `scale` and `seed` are inputs of the compiled step: runs that differ in nothing else
    share one compiled program, in the persistent cache too.
    """

    score: Score
    loss: BoundLoss
    optimiser: optax.GradientTransformation
    schedules: Mapping[str, Schedule] | None = None
    seed: int | Array = 0
    scale: float | Array = 1.0

    def compiled(
        self, like: TrainState | None = None
    ) -> Callable[[TrainState, TrainBatch], Any]:
        """`update` under jit; the state that is given in must not be used again.

        Args:
          like: a state on several devices; new ones lie as it does.
        """
        lie = TrainState(None, None, None, None)  # type: ignore[arg-type]
        if like is not None and mesh_of(like) is not None:
            lie = jax.tree.map(lambda leaf: leaf.sharding, like)
        options = least_memory()
        gradient = jax.jit(
            lambda numbers, *ahead: replace(self, **numbers).gradient(*ahead),
            out_shardings=(lie.params, None),
            compiler_options=options,
        )
        # A program of its own, run only where the state does move: one that selects
        # between old and new state has to hold both.
        move = jax.jit(
            lambda numbers, *ahead: replace(self, **numbers)._moved(*ahead),
            donate_argnums=1,
            out_shardings=None if lie.params is None else lie,
            compiler_options=options,
        )
        numbers = self.numbers()

        def update(state: TrainState, batch: TrainBatch) -> Any:
            grads, report = gradient(numbers, state, batch)
            if gathered(state.halted) or gathered(report.failed):
                return replace(state, halted=jnp.ones_like(state.halted)), report
            return move(numbers, state, grads), report

        return update

    def numbers(self) -> dict[str, np.ndarray]:
        """`scale` and `seed` as arrays."""
        seed = np.uint32(int(self.seed) & 0xFFFFFFFF)  # what `jax.random.key` keeps
        return {"scale": np.asarray(self.scale, np.float32), "seed": np.asarray(seed)}

    def update(
        self, state: TrainState, batch: TrainBatch
    ) -> tuple[TrainState, StepReport]:
        """One step.

        Guarantees:
          The same state and batch give the same result. If the loss or the gradient is
          not finite, nothing but `halted` changes.
        """
        grads, report = self.gradient(state, batch)
        moved = self._moved(state, grads)
        stays = state.halted | report.failed
        kept = jax.tree.map(lambda old, new: jnp.where(stays, old, new), state, moved)
        return replace(kept, halted=stays), report

    def direction(
        self, state: TrainState, batch: TrainBatch
    ) -> tuple[Params, Any, StepReport]:
        """What the step would add to the parameters, without adding it.

        Returns:
          (change of the parameters, optimiser state behind it, report).
        """
        grads, report = self.gradient(state, batch)
        return *self._change(state, grads), report

    def gradient(
        self, state: TrainState, batch: TrainBatch
    ) -> tuple[Params, StepReport]:
        """Gradient of the batch mean of the loss, and what the step saw."""
        key = jax.random.fold_in(jax.random.key(self.seed), state.step)
        batch = with_draws(batch, self.loss, key)
        grads, report = self._gradient(state.params, batch, self._loss_at(state.step))
        norm = optax.tree.norm(grads)
        finite = jnp.isfinite(norm) & jnp.isfinite(report.values).all()
        return grads, replace(report, grad_norm=norm, failed=~finite)

    def _moved(self, state: TrainState, grads: Params) -> TrainState:
        change, opt_state = self._change(state, grads)
        params = optax.apply_updates(state.params, change)
        return TrainState(params, opt_state, state.step + 1, state.halted)

    def _change(self, state: TrainState, grads: Params) -> tuple[Params, Any]:
        """(change of the parameters, optimiser state behind it)."""
        change, opt_state = self.optimiser.update(grads, state.opt_state, state.params)
        return jax.tree.map(lambda leaf: self.scale * leaf, change), opt_state

    def _loss_at(self, step: Array) -> BoundLoss:
        values = {name: value(step) for name, value in (self.schedules or {}).items()}
        return replace(self.loss, hyper={**self.loss.hyper, **values})

    def _gradient(
        self, params: Params, batch: TrainBatch, loss: BoundLoss
    ) -> tuple[Params, StepReport]:
        """Gradient of the batch mean of the loss, summed over the parts."""
        parts, given = len(batch.mask), None
        if loss.couples_batch and parts > 1:
            given = self._coupled(params, batch, loss)

        def add_part(total: Params, inputs: Any) -> tuple[Params, Any]:
            part, given = inputs
            scores, pull = jax.vjp(lambda p: self._scores(p, part), params)
            values, weights = given or _weigh(loss, scores, part)
            mean = jax.tree.map(lambda w: w / len(batch), weights)
            total = jax.tree.map(jnp.add, total, pull(mean)[0])
            return total, (values, *_sums(scores, weights, part))

        none = jax.tree.map(jnp.zeros_like, params)
        grads, rows = jax.lax.scan(add_part, none, (batch, given), unroll=parts == 1)
        whole = map(merge_parts, rows)
        blank = jnp.zeros(())
        return grads, StepReport(*whole, grad_norm=blank, failed=blank > 0)

    def _coupled(
        self, params: Params, batch: TrainBatch, loss: BoundLoss
    ) -> tuple[Array, Scores]:
        """Values and token weights of the whole batch, cut like the parts.

        Such a loss needs all log-probabilities at once: one forward pass more.
        """
        scores = jax.lax.map(lambda part: self._scores(params, part), batch)
        values, weights = _weigh(
            loss, jax.tree.map(merge_parts, scores), batch.joined()
        )
        cut = jax.tree.map(lambda w, s: w.reshape(s.shape), weights, scores)
        return values.reshape(len(batch.mask), -1), cut

    def _scores(self, params: Params, batch: TrainBatch) -> Scores:
        return self.score(params, batch.rows, batch.mask.shape[-1])


def _weigh(loss: BoundLoss, scores: Scores, batch: TrainBatch) -> tuple[Array, Scores]:
    """The loss of each row, [B], and d(sum over rows)/d(scores)."""

    def total(scores: Scores) -> tuple[Array, Array]:
        values = loss(loss_inputs(scores, batch))
        return values.sum(), values

    weights, values = jax.grad(total, has_aux=True)(scores)
    return values, weights


def _sums(scores: Scores, weights: Scores, batch: TrainBatch) -> tuple[Array, Array]:
    """[B, S] summed log-probabilities, and summed |dL/dlogp|."""
    logps = jnp.where(batch.mask, scores["logps"], 0)
    return logps.sum(-1), jnp.abs(weights["logps"]).sum(-1)
