"""Runs of the decoder: self-play with every loss, ablations, and corrupted pairs."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import jax.numpy as jnp
import numpy as np

from analyses.common.arrays import PairArrays
from analyses.common.rows import Row, row
from analyses.common.training import epochs, train_watched
from analyses.self_imitation.chains import PROMPT, corrupt
from analyses.self_imitation.config import Config, Runs, Words
from analyses.self_imitation.drain import CLIP, EXPONENTS
from analyses.self_imitation.members import (
    COUPLED,
    GSIL,
    LEARNERS,
    ON_PAIRS,
    Loss,
    hyper_of,
)
from analyses.self_imitation.policy import Scene, with_reference
from gradlab.types import Array, Params

PLAIN = ("bernoulli", "kliep", "spin")  # also with greedy negatives
DRAINED = "bernoulli"  # of the grid of scales and shifts
OWN_RATE = "lm own rate"
SOURCE_DRAW = 50  # of the start's samples that serve as demonstrations


class Trainable(Protocol):
    """What an iteration needs of a scene, whatever its texts are."""

    @property
    def settings(self) -> Runs | Words:
        """Steps, batch, and how many pairs are watched."""
        ...

    @property
    def seed(self) -> int:
        """Of the study."""
        ...

    @property
    def logps_fn(self) -> Callable:
        """(params, `PairArrays`) -> token log-probabilities of both sides."""
        ...

    def pairs(self, chosen: Any, rejected: Any) -> PairArrays:
        """Both sides as arrays."""
        ...


@dataclass(frozen=True)
class Play:
    """How one run of self-play is made.

    Attributes:
      part: of the table.
      loss: key of `LEARNERS`.
      rate: learning rate.
      scale: of the log-ratios; for SPIN beta.
      shift: added to them.
      decoding: of the negatives: "sampled" or "greedy".
      iterations: of self-play.
    """

    part: str
    loss: str
    rate: float
    scale: float
    shift: float = 0.0
    decoding: str = "sampled"
    iterations: int = 1

    @property
    def followed(self) -> bool:
        """Whether it goes on over the iterations."""
        return self.part in ("lm", OWN_RATE)

    @property
    def keys(self) -> dict:
        """Of its rows."""
        return {
            "part": self.part, "loss": self.loss, "scale": self.scale,
            "shift": self.shift, "decoding": self.decoding, "negatives": "self",
            "target_nat": -self.shift / self.scale,
        }  # fmt: skip


def plays(config: Config) -> Iterator[Play]:
    """All runs of self-play of a seed, the main comparison first."""
    runs, learners = config.runs, config.learners
    for loss in learners:
        yield Play("lm", loss, runs.rate, runs.scale, iterations=runs.iterations)
    for loss in learners:
        own = runs.own_rates[loss]
        yield Play(OWN_RATE, loss, own, runs.scale, iterations=runs.iterations)
    for loss in (loss for loss in PLAIN if loss in learners):
        yield Play("lm", loss, runs.rate, runs.scale, 0.0, "greedy", runs.iterations)
    for loss in (loss for loss in GSIL if loss in learners and loss != DRAINED):
        yield Play("lm scale", loss, runs.rate, 1.0)
    for scale in config.scales:
        for shift in config.shifts:
            yield Play("lm scale", DRAINED, runs.rate, scale, shift)
    for loss in (loss for loss in (*COUPLED, *GSIL) if loss in learners):
        yield Play("lm source", loss, runs.rate, runs.scale)


def play_rows(scene: Scene, play: Play) -> Iterator[Row]:
    """Trains, and tells after each iteration where the policy is.

    Yields:
      Where self-play goes on, the measures of `Scene.quality`; else kl_data_policy
      alone; in "lm source", whose demonstrations are samples of the start, from the
      start. In the first iteration d_chosen_sum and d_rejected_sum, mean log pi / pi_t
      of the watched pairs in nats, at every stage (key step), and clipped_exp.
    """
    params, samples, demos = scene.params, scene.first_samples, scene.demonstrations
    if play.part == "lm source":
        demos = scene.sampled(params, SOURCE_DRAW)[0]
    keys = {**play.keys, "seed": scene.seed}
    if play.followed and play.decoding == "sampled":
        yield from each(scene.start_quality, iteration=0, **keys)
    for iteration in range(1, play.iterations + 1):
        rejected = samples[0]
        if play.decoding == "greedy":
            rejected, _ = scene.continued(params, demos[:, :PROMPT], None)
        hyper = hyper_of(play.loss, play.scale, play.shift)
        params, drifts = train_iteration(
            scene, params, (demos, rejected), LEARNERS[play.loss], hyper, play.rate,
            iteration,
        )  # fmt: skip
        if iteration == 1:
            yield from drift_rows(scene, drifts, 1, keys)
            yield from _clip_rows(play, drifts, keys)
        if play.followed:
            samples = scene.sampled(params, iteration)
            found = scene.quality(params, samples)
        elif play.part == "lm scale":
            found = {"kl_data_policy": scene.distance(params)}
        else:
            found = {"kl_data_policy": scene.divergence(params, SOURCE_DRAW + 1)}
        yield from each(found, iteration=iteration, **keys)


def pair_rows(scene: Scene, loss: str) -> Iterator[Row]:
    """One run on demonstrations and their corrupted copies."""
    rng = np.random.default_rng([scene.seed, 31])
    demos = scene.demonstrations
    wrong = corrupt(demos, scene.settings.modulus, rng)
    rate = scene.settings.rate
    _, drifts = train_iteration(
        scene, scene.params, (demos, wrong), ON_PAIRS[loss], {}, rate, 1
    )
    keys = {"part": "lm pairs", "loss": loss, "negatives": "corrupt"}
    yield from drift_rows(scene, drifts, 1, {**keys, "seed": scene.seed})


def train_iteration(
    scene: Trainable,
    params: Params,
    sides: tuple[Any, Any],
    loss: Loss,
    hyper: Mapping[str, float],
    rate: float,
    iteration: int,
) -> tuple[Params, Array]:
    """One iteration; drifts [stages, 2, watched] since its beginning, in nats."""
    runs = scene.settings
    data = scene.pairs(*sides)
    pairs = with_reference(scene.logps_fn, params, data)
    rng = np.random.default_rng([scene.seed, 32, iteration])
    order = epochs(len(data), runs.stages * runs.stage_steps, runs.batch, rng)
    order = jnp.asarray(order.reshape(runs.stages, runs.stage_steps, runs.batch))
    params, sums = train_watched(
        scene.logps_fn, params, data, pairs, order, rate,
        {name: jnp.asarray(value, jnp.float32) for name, value in hyper.items()},
        loss=loss, watched=runs.watched,
    )  # fmt: skip
    start = jnp.stack([pairs.chosen.sum(-1), pairs.rejected.sum(-1)])
    return params, sums - start[:, : runs.watched]


def each(found: Mapping[str, float], **keys: object) -> Iterator[Row]:
    """One row per measure."""
    return (row(metric, value, **keys) for metric, value in found.items())


def drift_rows(
    scene: Trainable, drifts: Array, iteration: int, keys: dict
) -> Iterator[Row]:
    """Mean drift of both sides at every stage of an iteration."""
    for stage, both in enumerate(np.asarray(drifts).mean(-1), start=1):
        step = stage * scene.settings.stage_steps
        for side, value in zip(("chosen", "rejected"), both, strict=True):
            given = {**keys, "step": step, "iteration": iteration}
            yield row(f"d_{side}_sum", value, **given)


def _clip_rows(play: Play, drifts: Array, keys: dict) -> Iterator[Row]:
    factors = EXPONENTS.get(play.loss)
    if factors is not None:
        z = play.scale * np.asarray(drifts)[-1] + play.shift
        share = (z * np.array(factors)[:, None] >= CLIP).mean()
        yield row("clipped_exp", share, iteration=1, **keys)
