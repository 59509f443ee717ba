"""One run that is open: its folder held, its loop ready."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import jax
from rich.console import Console

from gradlab.data.tokenizer import save_tokenizer
from gradlab.inputs.choices import loss_settings
from gradlab.models.hub import save_model
from gradlab.models.sharding import gathered, mesh_of, shard_params
from gradlab.tables import build_manifest, stage, write_manifest
from gradlab.training.checkpoint import Checkpoints
from gradlab.training.config import TrainConfig
from gradlab.training.config_checks import check, refuse
from gradlab.training.config_file import to_mapping
from gradlab.training.inputs import Inputs
from gradlab.training.loop import Loop
from gradlab.training.metriclog import MetricLog
from gradlab.training.optimisers import learning_rate, make_optimiser
from gradlab.training.plan import Plan, chosen_loss, make_plan
from gradlab.training.probe_sets import probe_kinds
from gradlab.training.probes import make_probes
from gradlab.training.processes import is_first, own_folder
from gradlab.training.progress import Watch, training_progress
from gradlab.training.run_folder import CONFIG, MANIFEST, METRICS, claim_folder
from gradlab.training.signals import StopRequest
from gradlab.training.step import TrainState
from gradlab.training.trackers import open_trackers, require_trackers
from gradlab.types import Params


def refuse_early(config: TrainConfig) -> None:
    """Refuses what can be refused before anything is loaded or written.

    Raises:
      GradlabError: names the setting.
    """
    check(config)
    chosen_loss(config)
    make_optimiser(config.optimiser, steps=1)
    probe_kinds(config.probes.kinds)
    require_trackers(config.trackers)
    if jax.process_count() > 1 and config.out is None:
        refuse("out", None, "a folder, since several processes write one run")


@dataclass
class Session:
    """A run from its inputs to its results.

    Attributes:
      config: all settings.
      inputs: what they name; left as they are.
      plan: what the run does.
      folder: of the run.
      loop: does the steps.
      started: `time.monotonic()` at the beginning.
    """

    config: TrainConfig
    inputs: Inputs
    plan: Plan
    folder: Path
    loop: Loop
    started: float

    def begin(self) -> tuple[TrainState, Params | None]:
        """State and moving reference at the start, as `Loop.run` takes them."""
        # The step takes over the memory of its state: the inputs stay as they are.
        params = jax.tree.map(jax.numpy.copy, self.inputs.params)
        state = TrainState.start(params, self.plan.step.optimiser)
        if (mesh := mesh_of(params)) is not None:
            state = shard_params(state, mesh)
        return state, self.plan.reference

    def finish(self, state: TrainState) -> bool:
        """Writes tables, model and manifest if the last step is done; says whether.

        The manifest comes last: it marks the run as finished.
        """
        if int(state.step) < self.plan.total:
            return False
        for probe in self.loop.probes:
            probe.finish()
        params = gathered(state.params)
        if not is_first():
            return True
        if self.config.save_model:
            _export(self.inputs, params, self.folder / "model")
        with stage(self.folder) as partial:
            write_manifest(self._manifest(), partial / MANIFEST)
        return True

    def _manifest(self) -> dict:
        config, loss = self.config, self.plan.step.loss
        return build_manifest(
            config=config,
            seed=config.seed,
            dtype=f"{config.model.compute} compute, float32 parameters",
            device=jax.devices()[0].device_kind,
            devices=jax.device_count() if mesh_of(self.inputs.params) else 1,
            processes=jax.process_count(),
            data_digest=self.inputs.digest,
            wall_seconds=round(time.monotonic() - self.started, 2),
            command="gradlab train",
            loss=loss.label,
            loss_settings=loss_settings(loss),
            steps=self.plan.total,
            rows=len(self.inputs.rows),
            notes=self.inputs.notes,
        )


def open_session(
    config: TrainConfig,
    folder: Path,
    inputs: Inputs,
    console: Console,
    held: ExitStack,
    stop: StopRequest,
    watch: Callable[[int, int], Watch] | None = None,
) -> Session:
    """Claims the folder and makes the loop.

    Args:
      config: settings.
      folder: held by the caller, and seen by `inspect_folder`.
      inputs: what the settings name.
      console: told what takes time.
      held: ends what the loop writes to.
      stop: a request to stop.
      watch: (steps of the run, finished ones) -> what sees every step. Default: a bar
        or lines on the console.

    Raises:
      GradlabError: a setting doesn't suit the inputs.
    """
    started = time.monotonic()
    if is_first() and not (folder / CONFIG).is_file():
        claim_folder(folder, config)
    own = held.enter_context(own_folder(folder))
    plan = make_plan(config, inputs, own, console)
    probes = make_probes(config, inputs, plan.step, plan.total, own)
    checkpoints = Checkpoints(folder / "checkpoints", config.checkpoint.keep)
    held.callback(checkpoints.close)
    first = checkpoints.newest() or 0
    names, settings = config.trackers if is_first() else (), to_mapping(config)
    trackers = open_trackers(names, own, settings, held, first=first)
    if watch is None:
        seen = held.enter_context(training_progress(console, plan.total, first))
    else:
        seen = watch(plan.total, first)
    loop = Loop(
        plan.step,
        plan.rounds,
        plan.total,
        learning_rate(config.optimiser, plan.total),
        MetricLog(own / METRICS, config.log_every, trackers),
        checkpoints,
        config.checkpoint.every,
        plan.moving,
        probes,
        watch=seen,
        stop=stop,
    )
    return Session(config, inputs, plan, folder, loop, started)


def _export(inputs: Inputs, params: Params, folder: Path) -> None:
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
