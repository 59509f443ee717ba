"""What `gradlab train` does: load, train, write, say where it all went."""

import time
from contextlib import ExitStack
from pathlib import Path

import jax
from rich.console import Console

from gradlab.inputs.choices import held_folder
from gradlab.inputs.progress import say
from gradlab.training.config import TrainConfig
from gradlab.training.config_checks import check
from gradlab.training.inputs import load_on_devices
from gradlab.training.processes import anywhere, connect, is_first
from gradlab.training.run_folder import MANIFEST, inspect_folder
from gradlab.training.session import open_session, refuse_early
from gradlab.training.signals import stop_requests


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
    refuse_early(config)
    # float32 means float32 on accelerators too.
    with jax.default_matmul_precision("highest"), ExitStack() as held:
        folder = _folder(config, held)
        # Every process looks before the first one writes.
        goes_on = anywhere(inspect_folder(folder, config))
        if goes_on and (folder / MANIFEST).is_file():
            say(console, f"{folder}: this run is finished")
            return folder
        inputs = load_on_devices(config, console)
        stop = held.enter_context(stop_requests())
        session = open_session(config, folder, inputs, console, held, stop)
        session.started = started
        state = session.loop.run(*session.begin())
        if not session.finish(state):
            by = stop.name or "a signal to another process"
            say(console, f"stopped at step {state.step} by {by}; go on with --resume")
            return folder
    _report(console, folder)
    return folder


def _folder(config: TrainConfig, held: ExitStack) -> Path:
    """The run's folder, held by the first process; the others don't write there."""
    if is_first() or config.out is None:
        return held.enter_context(held_folder(config.out, "train"))
    return config.out


def _report(console: Console, folder: Path) -> None:
    say(console, f"Wrote into {folder}:")
    for path in sorted(folder.iterdir()):
        if not path.name.startswith("."):
            say(console, f"  {path.name}{'/' if path.is_dir() else ''}")
