"""From settings and inputs to a loop that is ready to run."""

import math
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from gradlab.data import TokenizedPair
from gradlab.errors import GradlabError
from gradlab.inputs.progress import counting, say
from gradlab.losses import BoundLoss, resolve
from gradlab.models.functional import LanguageModel
from gradlab.models.sharding import mesh_of
from gradlab.training.batching import SIDES, Batcher
from gradlab.training.config import TrainConfig
from gradlab.training.config_checks import refuse
from gradlab.training.forward import fields_read, make_score, sides_needed
from gradlab.training.inputs import Inputs
from gradlab.training.loop import MovingReference
from gradlab.training.optimisers import hyper_schedules, make_optimiser
from gradlab.training.order import Order
from gradlab.training.packed import PackedBatcher
from gradlab.training.reference import ingredients, reference_table
from gradlab.training.rounds import Round, Rounds, Table, response_table
from gradlab.training.selfplay import Selfplay
from gradlab.training.step import Step
from gradlab.types import Params

DEFAULT_LOSS = {
    "sft": "mle(reduction='batch')",
    "preference": "dpo",
    "selfplay": "spin",
}
REFERENCE = {"ref_chosen", "ref_rejected", "kl_logratios"}


@dataclass(frozen=True)
class Plan:
    """What a run does.

    Attributes:
      step: the training step.
      rounds: gives the round of a step.
      total: steps of the whole run.
      moving: how the reference follows the policy, or None.
      reference: parameters of a moving reference at the start, or None.
    """

    step: Step
    rounds: Rounds
    total: int
    moving: MovingReference | None = None
    reference: Params | None = None


def chosen_loss(config: TrainConfig) -> BoundLoss:
    """The loss that the settings name, or that of the stage.

    Raises:
      GradlabError: an unknown loss or hyperparameter, a schedule of a sum, or a loss
        with reference for demonstrations alone.
    """
    spec = config.loss or DEFAULT_LOSS[config.stage]
    schedules = hyper_schedules(config.loss_schedule, 1)
    first = {name: float(value(0)) for name, value in schedules.items()}
    try:
        loss = resolve(spec, **first)
    except GradlabError as error:
        raise GradlabError(f"loss is {spec!r}: {error}") from error
    if config.stage == "sft" and fields_read(loss) & REFERENCE:
        refuse("loss", spec, "one without reference for stage sft")
    return loss


def make_plan(
    config: TrainConfig,
    inputs: Inputs,
    folder: Path,
    console: Console,
) -> Plan:
    """Puts the parts together; scores the frozen reference.

    Args:
      config: all settings.
      inputs: what they name.
      folder: of the run, for the samples of self-play.
      console: told what takes time.
    """
    loss, count = chosen_loss(config), len(inputs.rows)
    sides = sides_needed(fields_read(loss), demonstrations=config.stage == "sft")
    updates = config.steps or math.ceil(config.epochs * count / config.data.batch_size)
    mesh = mesh_of(inputs.params)
    devices = 1 if mesh is None else mesh.size

    def batching(
        rows: list[TokenizedPair], seed: tuple[int, ...]
    ) -> tuple[Batcher, Order]:
        return make_batcher(
            config, inputs.model, rows, sides, updates, seed, devices=devices
        )

    if config.stage == "selfplay":
        total = updates * config.selfplay.rounds
        rounds = Selfplay(
            inputs.model,
            inputs.rows,
            config.selfplay,
            updates,
            batching,
            folder / "selfplay",
            config.seed,
            inputs.tokenizer.eos_id,
        )
        moving = MovingReference(
            config.reference.every, config.reference.mix, each_round=True
        )
        step = _make_step(config, inputs, loss, total)
        return Plan(step, rounds, total, moving, inputs.params)
    step = _make_step(config, inputs, loss, updates)
    only = Round(0, updates, *batching(inputs.rows, (config.seed,)))
    return _one_round(config, inputs, step, only, console)


def _make_step(
    config: TrainConfig, inputs: Inputs, loss: BoundLoss, total: int
) -> Step:
    score = make_score(
        inputs.model,
        squares="chosen_logsumsq" in fields_read(loss),
        compute=jnp.dtype(config.model.compute),
        mesh=mesh_of(inputs.params),
    )
    return Step(
        score,
        loss,
        make_optimiser(replace(config.optimiser, learning_rate=1.0), total),
        schedules=hyper_schedules(config.loss_schedule, total),
        seed=config.seed,
        scale=config.optimiser.learning_rate,
    )


def make_batcher(
    config: TrainConfig,
    model: LanguageModel,
    rows: list[TokenizedPair],
    sides: int,
    steps: int,
    seed: tuple[int, ...],
    *,
    devices: int = 1,
) -> tuple[Batcher, Order]:
    """Batches of these rows, packed where both can be, and their order."""
    data = config.data
    shapes = {"max_shapes": data.max_shapes, "parts": data.micro_batches}
    shapes["devices"] = devices
    packs = data.packing and sides == 2 and model.hidden_packed is not None
    plain = Batcher.of(rows, sides, **shapes)
    order = Order(
        PackedBatcher(rows, SIDES[:2], ()).lengths() if packs else plain.lengths(),
        data.batch_size,
        steps,
        seed,
        window=data.window,
        shuffle=data.shuffle,
    )
    return PackedBatcher.planned(rows, order, **shapes) if packs else plain, order


def _one_round(
    config: TrainConfig,
    inputs: Inputs,
    step: Step,
    only: Round,
    console: Console,
) -> Plan:
    """Sft and preference: one round, the reference frozen, moving or absent."""
    if not fields_read(step.loss) & REFERENCE:
        return Plan(step, lambda *state: only, only.stop)
    model, params = inputs.reference or (inputs.model, inputs.params)
    if config.reference.every:
        if model.config != inputs.model.config:
            refuse("reference.every", config.reference.every, "0 beside another model")
        moving = MovingReference(config.reference.every, config.reference.mix)
        start = jax.tree.map(jnp.copy, params)
        return Plan(step, lambda *state: only, only.stop, moving, start)
    table = _table(config, inputs, model, params, only.batcher, console)
    from_start = inputs.reference is None
    only = replace(only, table=table, from_start=from_start)
    return Plan(step, lambda *state: only, only.stop)


def _table(
    config: TrainConfig,
    inputs: Inputs,
    model: LanguageModel,
    params: Params,
    batcher: Batcher,
    console: Console,
) -> Table:
    """Log-probabilities of the frozen reference, from the cache where they are."""
    rows = config.data.batch_size // config.data.micro_batches
    compute = jnp.dtype(config.model.compute)

    def scored() -> Table:
        mesh, count = mesh_of(params), len(batcher.pairs)
        score = make_score(model, compute=compute, mesh=mesh)
        with counting(console, "scoring by the reference", count, unit="rows") as done:
            return response_table(
                score, params, batcher, batch_size=rows, progress=done
            )

    lengths = np.array(
        [
            [len(batcher.response(place, side)) for side in batcher.sides]
            for place in range(len(batcher.pairs))
        ]
    )
    if (folder := config.reference.cache) is None:
        return scored()
    known = ingredients(
        model,
        params,
        inputs.tokenizer,
        batcher.pairs,
        sides=batcher.sides,
        compute=compute,
        batch=rows,
        shapes=(batcher.shapes, getattr(batcher, "packed", ())),
        devices=batcher.devices,
    )
    return reference_table(scored, lengths, folder, known, partial(say, console))
