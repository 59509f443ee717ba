"""Runs that differ in numbers alone, trained at the same time as one program.

Learning rate, seed, and the numbers of the loss become inputs of the step, and `vmap`
runs it over all of them. Each run keeps its own loop: its batches, metrics, probes and
checkpoints are those that it would have alone.
"""

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.errors import GradlabError
from gradlab.losses import BoundLoss, example_pair
from gradlab.losses.resolve import WeightedSum
from gradlab.training.loop import Coming, Taken
from gradlab.training.step import Step, TrainState

Course = Generator[Coming, Taken, TrainState]


def loss_numbers(loss: BoundLoss) -> dict[str, int | float]:
    """The hyperparameters that may differ between runs of one program.

    None of a sum, nor of a loss whose course depends on their values.

    Example:
      >>> from gradlab.losses import resolve
      >>> loss_numbers(resolve("dpop(lam=5)"))
      {'lam': 5}
    """
    found = {
        name: value
        for name, value in loss.hyper.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    if isinstance(loss, WeightedSum) or not found:
        return {}

    def value(numbers: dict[str, Any]) -> Any:
        return replace(loss, hyper=loss.hyper | numbers)(example_pair())

    try:
        jax.eval_shape(value, {name: jnp.float32(v) for name, v in found.items()})
    except (jax.errors.JAXTypeError, TypeError):  # it asks for the value
        return {}
    except GradlabError:  # the example lacks a field
        return {}
    return found


class Together:
    """The steps of some runs as one update; see `train_together`."""

    def __init__(self, steps: Sequence[Step]) -> None:
        """Steps that differ in scale, seed and `loss_numbers` alone."""
        self._step = steps[0]
        self._numbers = [_numbers(step) for step in steps]
        self._update = jax.jit(self._all, donate_argnums=1)

    def __call__(self, coming: dict[int, Coming]) -> dict[int, Taken]:
        """One step of some runs, by their place; equal shapes at the same time."""
        groups: dict[Any, list[int]] = {}
        for place, (_, batch) in coming.items():
            leaves, kind = jax.tree.flatten(batch)
            key = (kind, *((leaf.shape, str(leaf.dtype)) for leaf in leaves))
            groups.setdefault(key, []).append(place)
        taken = {}
        for places in groups.values():
            numbers = [self._numbers[place] for place in places]
            states, batches = zip(*(coming[place] for place in places), strict=True)
            taken |= zip(places, self._update(numbers, states, batches), strict=True)
        return taken

    def _all(self, numbers: Any, states: Any, batches: Any) -> list[Taken]:
        result = jax.vmap(self._one)(*map(_stacked, (numbers, states, batches)))
        return [
            jax.tree.map(lambda leaf, k=k: leaf[k], result) for k in range(len(states))
        ]

    def _one(self, numbers: Any, *ahead: Any) -> Taken:
        outer, hyper = numbers
        loss = replace(self._step.loss, hyper=self._step.loss.hyper | hyper)
        return replace(self._step, loss=loss, **outer).update(*ahead)


def _numbers(step: Step) -> tuple[dict[str, np.ndarray], dict[str, np.float32]]:
    hyper = loss_numbers(step.loss)
    return step.numbers(), {name: np.float32(value) for name, value in hyper.items()}


def _stacked(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def train_together(
    steps: Sequence[Step], courses: Sequence[Course]
) -> list[TrainState | GradlabError]:
    """Drives the courses of some loops, one update for all of them at a time.

    Args:
      steps: of the loops; they differ in scale, seed and `loss_numbers` alone.
      courses: from `Loop.course`; they may be of unequal length.

    Returns:
      For each its last state, or the error that stopped it; others then go on.
    """
    update = Together(steps)
    ends: dict[int, TrainState | GradlabError] = {}
    taken: dict[int, Taken | None] = dict.fromkeys(range(len(courses)))
    while taken:
        coming: dict[int, Coming] = {}
        for place, result in taken.items():
            try:
                coming[place] = courses[place].send(result)  # pyright: ignore
            except StopIteration as end:
                ends[place] = end.value
            except GradlabError as error:
                ends[place] = error
        taken = dict(update(coming))
    return [ends[place] for place in range(len(courses))]
