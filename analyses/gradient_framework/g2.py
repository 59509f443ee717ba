"""Training on forked dialogues: losses, stages, data sizes, further settings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.rows import Row, row
from analyses.gradient_framework.config import DPO_EXMATE, DPO_MLE, Config, Setting
from analyses.gradient_framework.evaluation import (
    Measures,
    all_measures,
    likelihoods,
    off_support,
    scalar,
    wins,
)
from analyses.gradient_framework.runs import Runner
from analyses.gradient_framework.scene import decoders, make_scene
from gradlab.types import Params

START = "mle(reduction=batch)"  # the loss that leads to the common start
MARGIN_PAIRS = 128  # training pairs whose margin matches checkpoints
# (loss, what it is compared with, both matched in train margin as well)
COMPARED = (
    ("exmate(lam=1)", "mle(reduction=mean)", True),
    ("exmate(reduction=batch, lam=0.05)", "mle(reduction=batch)", False),
    (DPO_EXMATE.format(gamma=0.1), DPO_MLE.format(gamma=0.1), False),
    (DPO_EXMATE.format(gamma=1), DPO_MLE.format(gamma=1), True),
    ("exmate(lam=1), then dpo", "mle(reduction=mean), then dpo", True),
)


@dataclass
class Ended:
    """A run of all seeds.

    Attributes:
      checkpoints: parameters [S, ...] after each segment.
      margins: [segments, S] train margin gained since the start, nats.
      measures: of the last checkpoint.
    """

    checkpoints: list[Params] = field(default_factory=list)
    margins: list[np.ndarray] = field(default_factory=list)
    measures: Measures = field(default_factory=dict)


class Course:
    """One setting: its scene, the common start, and the runs from there."""

    def __init__(self, config: Config, setting: Setting, seeds: Sequence[int]):
        """Draws the scene and trains the reference of every seed on other pairs."""
        self.config, self.scene = config, make_scene(
            config, setting, seeds, 2 * config.pairs
        )  # fmt: skip
        self.keys = {
            "kind": "g2", "model": "decoder", "rho": setting.rho,
            "false_neg": setting.false_neg,
        }  # fmt: skip
        model, fresh = decoders(config, self.scene)
        losses = tuple(dict.fromkeys([START, *config.losses, *config.size_losses]))
        self.runner = Runner(model, self.scene.width, losses)
        # The second half of the pairs is the reference's alone.
        order = config.pairs + self.scene.order(
            config.reference_steps, config.batch, among=config.pairs, part=0
        )
        *_, self.start = self.runner.run(
            START, fresh, self.scene.train, order, config.reference_rate,
            segment=config.segment,
        )  # fmt: skip
        self.ended: dict[str, Ended] = {}

    def rows(self, measures: Measures, **keys) -> Iterator[Row]:
        """A row per measure and seed."""
        for name, values in scalar(measures):
            for seed, value in zip(self.scene.seeds, values, strict=True):
                yield row(name, value, seed=seed, **{**self.keys, **keys})

    def start_rows(self) -> Iterator[Row]:
        """All measures of the common start."""
        found = all_measures(self.config, self.runner, self.start, self.scene)
        yield from self.rows(found, loss="start", step=0)

    def run_rows(self, loss: str) -> Iterator[Row]:
        """One loss from start to end."""
        yield from self._follow(loss, [(loss, self.config.steps)], "joint")

    def stage_rows(self, first: str, second: str) -> Iterator[Row]:
        """Two losses, half the steps each."""
        half = self.config.steps // 2
        parts = [(first, half), (second, self.config.steps - half)]
        yield from self._follow(f"{first}, then {second}", parts, "stage")

    def _follow(self, label: str, parts, schedule: str) -> Iterator[Row]:
        config, scene, params, ended = self.config, self.scene, self.start, Ended()
        some = jax.tree.map(lambda leaf: leaf[:, :MARGIN_PAIRS], scene.train)
        before = likelihoods(self.runner, params, some)["margin"]
        keys, step = {"loss": label, "schedule": schedule}, 0
        for number, (loss, steps) in enumerate(parts):
            order = scene.order(
                steps, config.batch, among=config.pairs, part=1 + number
            )
            run = self.runner.run(
                loss, params, scene.train, order, config.rate_of(loss),
                segment=config.segment,
            )  # fmt: skip
            for params in run:
                step += config.segment
                ended.checkpoints.append(params)
                margin = likelihoods(self.runner, params, some)["margin"]
                ended.margins.append(margin - before)
                found = likelihoods(self.runner, params, scene.held)
                shown = {name: found[name] for name in ("ce_pos", "agility")}
                yield from self.rows(
                    {f"path_{k}": v for k, v in shown.items()}, step=step, **keys
                )
        ended.measures = all_measures(config, self.runner, params, scene)
        given = {**ended.measures, "train_margin": ended.margins[-1]}
        yield from self.rows(given, step=step, matching="rate", **keys)
        self.ended[label] = ended

    def compared_rows(self) -> Iterator[Row]:
        """Wins over the baseline; and both losses again at an equal train margin."""
        for loss, baseline, matched in COMPARED:
            pair = [self.ended.get(label) for label in (loss, baseline)]
            if pair[0] is None or pair[1] is None:
                continue
            one, other = pair[0], pair[1]
            keys = {"loss": loss, "baseline": baseline}
            gained = {"oracle_win": wins(one.measures, other.measures)}
            yield from self.rows(gained, matching="rate", **keys)
            if not matched:
                continue
            level = np.minimum(one.margins[-1], other.margins[-1])
            found = [self._at_margin(ended, level) for ended in (one, other)]
            for label, measures in zip((loss, baseline), found, strict=True):
                yield from self.rows(
                    measures, loss=label, baseline=baseline, matching="margin"
                )
            gained = {"oracle_win": wins(*found)}
            yield from self.rows(gained, matching="margin", **keys)

    def _at_margin(self, ended: Ended, level: np.ndarray) -> Measures:
        """Of every seed's checkpoint whose train margin is nearest to its level."""
        nearest = np.abs(np.stack(ended.margins) - level).argmin(0)
        params = jax.tree.map(
            lambda *leaves: jnp.stack([leaves[k][s] for s, k in enumerate(nearest)]),
            *ended.checkpoints,
        )
        margins = np.stack(ended.margins)[nearest, np.arange(len(nearest))]
        found = all_measures(self.config, self.runner, params, self.scene)
        return {**found, "train_margin": margins}


def size_rows(config: Config) -> Iterator[Row]:
    """Off-support mass after equal numbers of steps on more or fewer pairs."""
    scene = make_scene(config, config.main, config.seeds, max(config.sizes))
    model, fresh = decoders(config, scene)
    losses = tuple(dict.fromkeys([START, *config.losses, *config.size_losses]))
    runner = Runner(model, scene.width, losses)
    for loss in config.size_losses:
        for size in config.sizes:
            order = scene.order(config.steps, config.batch, among=size, part=1)
            *_, params = runner.run(
                loss, fresh, scene.train, order, config.reference_rate,
                segment=config.segment,
            )  # fmt: skip
            found = {
                "off_support": off_support(model, params, scene),
                "ce_pos": likelihoods(runner, params, scene.held)["ce_pos"],
            }
            for name, values in found.items():
                for seed, value in zip(scene.seeds, values, strict=True):
                    yield row(
                        name, value, seed=seed, loss=loss, size=size, kind="g2",
                        model="decoder, fresh", rho=config.main.rho,
                        false_neg=config.main.false_neg,
                    )  # fmt: skip
