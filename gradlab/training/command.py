"""What `gradlab train` does: load, train, write, say where it all went."""

import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import jax
from rich.console import Console

from gradlab.data.tokenizer import save_tokenizer
from gradlab.inputs.choices import free_folder, loss_settings
from gradlab.inputs.progress import say
from gradlab.models.hub import save_model
from gradlab.models.sharding import gathered, make_mesh, mesh_of, shard_params
from gradlab.tables import build_manifest, stage, write_manifest
from gradlab.training.checkpoint import Checkpoints
from gradlab.training.config import TrainConfig
from gradlab.training.config_checks import check, refuse
from gradlab.training.config_file import to_mapping
from gradlab.training.inputs import Inputs, load_inputs
from gradlab.training.loop import Loop
from gradlab.training.metriclog import MetricLog
from gradlab.training.optimisers import learning_rate, make_optimiser
from gradlab.training.plan import Plan, chosen_loss, make_plan
from gradlab.training.probe_sets import probe_kinds
from gradlab.training.probes import ProbeRunner, make_probes
from gradlab.training.processes import anywhere, connect, is_first, own_folder
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
    check(config)
    connect(config.mesh)
    console = Console(stderr=True, quiet=not is_first())
    _refuse_early(config)
    folder = config.out or free_folder("train")
    # Every process looks before the first one writes.
    goes_on = anywhere(inspect_folder(folder, config))
    if goes_on and (folder / MANIFEST).is_file():
        say(console, f"{folder}: this run is finished")
        return folder
    # float32 means float32 on accelerators too.
    with jax.default_matmul_precision("highest"), ExitStack() as held:
        inputs = _loaded(config, console)
        if not goes_on and is_first():
            claim_folder(folder, config)
        own = held.enter_context(own_folder(folder))
        held.enter_context(only_writer(own))
        stop = held.enter_context(stop_requests())
        plan = make_plan(config, inputs, own, console)
        probes = make_probes(config, inputs, plan.step, plan.total, own)
        checkpoints = Checkpoints(folder / "checkpoints", config.checkpoint.keep)
        held.callback(checkpoints.close)
        state = _run(config, inputs, plan, probes, own, checkpoints, console, stop)
        done = int(state.step)
        if done < plan.total:
            by = stop.name or "a signal to another process"
            say(console, f"stopped at step {done} by {by}; go on with --resume")
            return folder
        if probes is not None:
            probes.finish()
        params = gathered(state.params)
        if is_first():
            _finish(config, inputs, plan, params, folder, started)
    _tell(console, folder)
    return folder


def _refuse_early(config: TrainConfig) -> None:
    """What can be refused before anything is loaded or written."""
    chosen_loss(config)
    make_optimiser(config.optimiser, steps=1)
    probe_kinds(config.probes.kinds)
    require_trackers(config.trackers)
    if jax.process_count() > 1 and config.out is None:
        refuse("out", None, "a folder, since several processes write one run")


def _loaded(config: TrainConfig, console: Console) -> Inputs:
    """The inputs, with their parameters on the devices of the run."""
    data, fsdp = config.mesh.data, config.mesh.fsdp
    if data * fsdp == jax.process_count() == 1:
        return load_inputs(config, console)
    mesh = make_mesh(data, fsdp)
    with jax.default_device("cpu"):  # one device alone may have no room for them
        inputs = load_inputs(config, console)
    reference = inputs.reference
    if reference is not None:
        reference = (reference[0], shard_params(reference[1], mesh))
    return replace(
        inputs, params=shard_params(inputs.params, mesh), reference=reference
    )


def _run(
    config: TrainConfig,
    inputs: Inputs,
    plan: Plan,
    probes: ProbeRunner | None,
    folder: Path,
    checkpoints: Checkpoints,
    console: Console,
    stop: StopRequest,
) -> TrainState:
    # The step takes over the memory of its state: the inputs stay as they are.
    params = jax.tree.map(jax.numpy.copy, inputs.params)
    state = TrainState.start(params, plan.step.optimiser)
    if (mesh := mesh_of(params)) is not None:
        state = shard_params(state, mesh)
    first = checkpoints.newest() or 0
    with ExitStack() as held:
        trackers = open_trackers(
            config.trackers if is_first() else (),
            folder,
            to_mapping(config),
            held,
            first=first,
        )
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
        return loop.run(state, plan.reference)


def _tell(console: Console, folder: Path) -> None:
    say(console, f"Wrote into {folder}:")
    for path in sorted(folder.iterdir()):
        if not path.name.startswith("."):
            say(console, f"  {path.name}{'/' if path.is_dir() else ''}")


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
        devices=jax.device_count() if mesh_of(inputs.params) is not None else 1,
        processes=jax.process_count(),
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
