"""What `gradlab train` does: load, train, write, say where it all went."""

import time
from contextlib import ExitStack
from pathlib import Path

import jax
from rich.console import Console

from gradlab.data.tokenizer import save_tokenizer
from gradlab.inputs.choices import free_folder, loss_settings
from gradlab.inputs.progress import say
from gradlab.models.hub import save_model
from gradlab.tables import build_manifest, stage, write_manifest
from gradlab.training.checkpoint import Checkpoints
from gradlab.training.config import TrainConfig
from gradlab.training.config_checks import check
from gradlab.training.config_file import to_mapping
from gradlab.training.inputs import Inputs, load_inputs
from gradlab.training.loop import Loop
from gradlab.training.metriclog import MetricLog
from gradlab.training.optimisers import learning_rate, make_optimiser
from gradlab.training.plan import Plan, chosen_loss, make_plan
from gradlab.training.probe_sets import probe_kinds
from gradlab.training.probes import ProbeRunner, make_probes
from gradlab.training.progress import training_progress
from gradlab.training.run_folder import (
    MANIFEST,
    METRICS,
    claim_folder,
    inspect_folder,
    only_writer,
)
from gradlab.training.signals import StopRequest, stop_requests
from gradlab.training.step import TrainState
from gradlab.training.trackers import open_trackers, require_trackers
from gradlab.types import Params


def train(config: TrainConfig) -> Path:
    """Run one training, or go on with it.

    Returns:
      The run's folder.

    Raises:
      GradlabError: any refused input; a new folder is then not made.
    """
    started = time.monotonic()
    console = Console(stderr=True)

    _refuse_early(config)
    folder = config.out or free_folder("train")
    goes_on = inspect_folder(folder, config)
    if goes_on and (folder / MANIFEST).is_file():
        say(console, f"{folder}: this run is finished")
        return folder
    # float32 means float32 on accelerators too.
    with jax.default_matmul_precision("highest"), ExitStack() as held:
        inputs = load_inputs(config, console)
        if not goes_on:
            claim_folder(folder, config)
        held.enter_context(only_writer(folder))
        stop = held.enter_context(stop_requests())
        plan = make_plan(config, inputs, folder, console)
        probes = make_probes(config, inputs, plan.step, plan.total, folder)
        state = _run(config, inputs, plan, probes, folder, console, stop)
        done = int(state.step)
        if done < plan.total:
            line = f"stopped at step {done} by {stop.name}; go on with --resume"
            say(console, line)
            return folder
        if probes is not None:
            probes.finish()
        _finish(config, inputs, plan, state.params, folder, started)
    say(console, f"Wrote into {folder}:")
    for path in sorted(folder.iterdir()):
        if not path.name.startswith("."):
            say(console, f"  {path.name}{'/' if path.is_dir() else ''}")
    return folder


def _refuse_early(config: TrainConfig) -> None:
    """What can be refused before anything is loaded or written."""
    check(config)
    chosen_loss(config)
    make_optimiser(config.optimiser, steps=1)
    probe_kinds(config.probes.kinds)
    require_trackers(config.trackers)


def _run(
    config: TrainConfig,
    inputs: Inputs,
    plan: Plan,
    probes: ProbeRunner | None,
    folder: Path,
    console: Console,
    stop: StopRequest,
) -> TrainState:
    # The step takes over the memory of its state: the inputs stay as they are.
    params = jax.tree.map(jax.numpy.copy, inputs.params)
    checkpoints = Checkpoints(folder / "checkpoints", config.checkpoint.keep)
    with ExitStack() as held:
        held.callback(checkpoints.close)
        first = checkpoints.newest() or 0
        settings = to_mapping(config)
        trackers = open_trackers(config.trackers, folder, settings, held, first=first)
        loop = Loop(
            plan.step,
            plan.rounds,
            plan.total,
            learning_rate(config.optimiser, plan.total),
            MetricLog(folder / METRICS, config.log_every, trackers),
            checkpoints,
            config.checkpoint.every,
            plan.moving,
            probes,
            watch=held.enter_context(training_progress(console, plan.total, first)),
            stop=stop,
        )
        return loop.run(TrainState.start(params, plan.step.optimiser), plan.reference)


def _finish(
    config: TrainConfig,
    inputs: Inputs,
    plan: Plan,
    params: Params,
    folder: Path,
    started: float,
) -> None:
    """Writes model and manifest; the manifest marks the run as finished."""
    if config.save_model:
        _export(inputs, params, folder / "model", config)
    manifest = build_manifest(
        config=config,
        seed=config.seed,
        dtype=f"{config.model.compute} compute, float32 parameters",
        device=jax.devices()[0].device_kind,
        data_digest=inputs.digest,
        wall_seconds=round(time.monotonic() - started, 2),
        command="gradlab train",
        loss=plan.step.loss.label,
        loss_settings=loss_settings(plan.step.loss),
        steps=plan.total,
        rows=len(inputs.rows),
        notes=inputs.notes,
    )
    with stage(folder) as partial:
        write_manifest(manifest, partial / MANIFEST)


def _export(inputs: Inputs, params: Params, folder: Path, config: TrainConfig) -> None:
    """The model in Hugging Face layout, with its tokenizer."""
    if inputs.model.config is None:
        return
    tokenizer = inputs.tokenizer
    with stage(folder) as partial:
        save_model(
            partial,
            inputs.model.config,
            params,
            bos_id=tokenizer.bos_id,
            eos_id=tokenizer.eos_id,
            pad_id=tokenizer.pad_id,
        )
        save_tokenizer(tokenizer, partial)
