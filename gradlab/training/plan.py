"""From settings and inputs to a loop that is ready to run."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import jax.numpy as jnp

from gradlab.errors import GradlabError
from gradlab.losses import BoundLoss, resolve
from gradlab.training.batching import Batcher
from gradlab.training.config import TrainConfig
from gradlab.training.config_checks import refuse
from gradlab.training.forward import Score, fields_read, separate_rows, sides_needed
from gradlab.training.inputs import Inputs
from gradlab.training.loop import MovingReference
from gradlab.training.optimisers import hyper_schedules, make_optimiser
from gradlab.training.order import Order
from gradlab.training.rounds import Round, Rounds, response_table
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
    counting: Callable[[int], Callable[[int], None]],
) -> Plan:
    """Puts the parts together; scores the frozen reference.

    Args:
      config: all settings.
      inputs: what they name.
      folder: of the run, for the samples of self-play.
      counting: total -> the function that counts rows scored with the reference.
    """
    loss = chosen_loss(config)
    needed = fields_read(loss)
    score = separate_rows(
        inputs.model,
        squares="chosen_logsumsq" in needed,
        compute=jnp.dtype(config.model.compute),
    )
    data = config.data
    batcher = Batcher.of(
        inputs.rows,
        sides_needed(needed, demonstrations=config.stage != "preference"),
        max_shapes=data.max_shapes,
        parts=data.micro_batches,
    )
    asked = config.steps or math.ceil(
        config.epochs * len(inputs.rows) / data.batch_size
    )
    total = asked * (config.selfplay.rounds if config.stage == "selfplay" else 1)
    order = Order(
        batcher.lengths(),
        data.batch_size,
        asked,
        (config.seed,),
        window=data.window,
        shuffle=data.shuffle,
    )
    step = Step(
        score,
        loss,
        make_optimiser(config.optimiser, total),
        schedules=hyper_schedules(config.loss_schedule, total),
        seed=config.seed,
    )
    if config.stage == "selfplay":
        return _selfplay(config, inputs, folder, step, order, total)
    return _one_round(config, inputs, step, Round(0, total, batcher, order), counting)


def _selfplay(
    config: TrainConfig,
    inputs: Inputs,
    folder: Path,
    step: Step,
    order: Order,
    total: int,
) -> Plan:
    rounds = Selfplay(
        inputs.model,
        inputs.rows,
        config.selfplay,
        order.steps,
        config.data.max_shapes,
        config.data.micro_batches,
        order,
        folder / "selfplay",
        inputs.tokenizer.eos_id,
    )
    moving = MovingReference(
        config.reference.every, config.reference.mix, each_round=True
    )
    return Plan(step, rounds, total, moving, inputs.params)


def _one_round(
    config: TrainConfig,
    inputs: Inputs,
    step: Step,
    only: Round,
    counting: Callable[[int], Callable[[int], None]],
) -> Plan:
    if not fields_read(step.loss) & REFERENCE:
        return Plan(step, lambda *state: only, only.stop)
    model, params = inputs.reference or (inputs.model, inputs.params)
    if config.reference.every:
        if model != inputs.model:
            refuse("reference.every", config.reference.every, "0 beside another model")
        moving = MovingReference(config.reference.every, config.reference.mix)
        start = jax.tree.map(jnp.copy, params)
        return Plan(step, lambda *state: only, only.stop, moving, start)
    score: Score = separate_rows(model, compute=jnp.dtype(config.model.compute))
    table = response_table(
        score,
        params,
        only.batcher,
        batch_size=config.data.batch_size,
        progress=counting(len(inputs.rows)),
    )
    from_start = inputs.reference is None
    only = replace(only, table=table, from_start=from_start)
    return Plan(step, lambda *state: only, only.stop)
