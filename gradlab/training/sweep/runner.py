"""What `gradlab sweep` does: the runs one after another or together, and a table."""

import json
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import jax
from rich.console import Console

from gradlab.disk import LOCK, locked
from gradlab.errors import GradlabError
from gradlab.training.config import TrainConfig
from gradlab.training.config_checks import refuse
from gradlab.training.config_file import to_mapping
from gradlab.training.inputs import Inputs, load_on_devices
from gradlab.training.run_folder import inspect_folder
from gradlab.training.session import Session, open_session, refuse_early
from gradlab.training.signals import StopRequest, stop_requests
from gradlab.training.step import TrainState
from gradlab.training.sweep.config import SweepConfig
from gradlab.training.sweep.grid import Run, read_sweep
from gradlab.training.sweep.groups import grouped
from gradlab.training.sweep.progress import Board, board
from gradlab.training.sweep.shards import read_shard
from gradlab.training.sweep.table import status, write_sweep_table
from gradlab.training.together import train_together

FAILURES = (GradlabError, jax.errors.JaxRuntimeError)  # the latter: out of memory


def sweep(config: SweepConfig) -> Path:
    """Do the runs of a sweep, or a part of them.

    Returns:
      The sweep's folder.

    Raises:
      GradlabError: refused input, and nothing is then trained; or runs that failed,
        behind all others.
    """
    runs, out = read_sweep(config.file), config.out or Path("runs") / config.file.stem
    shard, folder = read_shard(config.shard, os.environ), out / "runs"
    if config.together < 1:
        raise GradlabError(f"--together is {config.together}; expected at least 1")
    mine = shard.of(runs)
    if config.list_runs:
        for run in mine:
            print(f"{status(folder / run.name):8} {run.name}")
        return out
    runs = [_placed(run, folder) for run in runs]
    mine = shard.of(runs)
    for run in runs:
        _refuse_mesh(run, config.together)
        refuse_early(run.config)
        inspect_folder(folder / run.name, run.config)
    groups = grouped(mine, config.together)
    console = Console(stderr=True)
    # float32 means float32 on accelerators too.
    with jax.default_matmul_precision("highest"), ExitStack() as held:
        shown = held.enter_context(board(console, len(mine)))
        stop = held.enter_context(stop_requests())
        worker = _Worker(folder, shown, stop)
        for group in groups:
            if not stop:
                worker.train(group)
    write_sweep_table(runs, folder, out)
    if stop:
        shown.say(f"stopped by {stop.name}; the same command goes on")
    shown.say(f"{out / 'sweep.csv'} holds what is done")
    if worker.failed:
        lines = [f"{name}: {error}" for name, error in worker.failed.items()]
        count = f"{len(lines)} of {len(mine)} runs failed"
        raise GradlabError(f"{out}: {count}\n  " + "\n  ".join(lines))
    return out


def _refuse_mesh(run: Run, together: int) -> None:
    mesh = run.config.mesh
    if mesh.coordinator is not None or mesh.distributed != "off":
        refuse(
            "mesh", mesh.coordinator or "auto", "one process for each run of a sweep"
        )
    if together > 1 and mesh.data * mesh.fsdp > 1:
        raise GradlabError(
            f"--together is {together} and {run.name} is split over several devices; "
            "expected one or the other"
        )


def _placed(run: Run, folder: Path) -> Run:
    """With the settings that the sweep gives: folder, and a shared reference cache."""
    reference = run.config.reference
    cache = reference.cache or folder.parent / "references"
    config = replace(
        run.config,
        out=folder / run.name,
        resume=True,
        reference=replace(reference, cache=cache),
    )
    return replace(run, config=config)


@dataclass
class _Worker:
    """Trains groups of runs; a run that fails leaves the others alone."""

    folder: Path
    shown: Board
    stop: StopRequest
    failed: dict[str, Exception] = field(default_factory=dict)
    _loaded: tuple[str, Inputs] | None = None

    def train(self, runs: Sequence[Run]) -> None:
        with ExitStack() as held:
            sessions = {}
            for run in runs:
                session = self._open(run, held)
                if session is not None:
                    sessions[run.name] = session
            ends = _driven(list(sessions.values())) if sessions else []
            for (name, session), end in zip(sessions.items(), ends, strict=True):
                self._close(name, session, end)

    def _open(self, run: Run, held: ExitStack) -> Session | None:
        """The run, ready to train; None where there is nothing to do, or no way."""
        place = self.folder / run.name
        if not held.enter_context(locked(place / LOCK)):
            self.shown.end(run.name, "left to another process, which is training it")
            return None
        if status(place) == "done":
            self.shown.end(run.name, "done before")
            return None
        # A bar over the runs leaves no room for others.
        quiet = Console(stderr=True, quiet=self.shown.console.is_terminal)
        try:
            inputs, watch = self._inputs(run.config, quiet), self.shown.watch(run.name)
            return open_session(
                run.config, place, inputs, quiet, held, self.stop, watch
            )
        except FAILURES as error:
            self._fail(run.name, error)

    def _inputs(self, config: TrainConfig, console: Console) -> Inputs:
        """Loaded anew only where they differ from those of the run before."""
        settings = to_mapping(config)
        drawn = config.data.path is None or config.model.fresh or config.model.config
        key = json.dumps(
            [settings[name] for name in ("model", "data", "probes", "stage", "mesh")]
            + [config.seed if drawn else None]
        )
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = (key, load_on_devices(config, console))
        return self._loaded[1]

    def _close(self, name: str, session: Session, end: TrainState | Exception) -> None:
        if isinstance(end, Exception):
            self._fail(name, end)
            return
        try:
            finished = session.finish(end)
        except FAILURES as error:
            self._fail(name, error)
            return
        self.shown.end(name, "done" if finished else f"stopped at step {end.step}")

    def _fail(self, name: str, error: Exception) -> None:
        self.failed[name] = error
        self.shown.end(name, f"failed: {error}")


def _driven(sessions: Sequence[Session]) -> Sequence[TrainState | Exception]:
    """The last state of each run, or what stopped it."""
    try:
        if len(sessions) == 1:
            return [sessions[0].loop.run(*sessions[0].begin())]
        steps = [session.plan.step for session in sessions]
        return train_together(steps, [s.loop.course(*s.begin()) for s in sessions])
    except FAILURES as error:
        return [error] * len(sessions)
