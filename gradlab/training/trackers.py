"""Metrics also sent to TensorBoard, Weights & Biases or trackio.

Each is an extra of gradlab, and its package is imported where it is asked for. A run
that is resumed goes on in the tracker's earlier run.
"""

import importlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from gradlab.errors import GradlabError

PROJECT = "gradlab"  # the name under which wandb and trackio collect runs
PACKAGES = {"tensorboard": "tensorboardX", "wandb": "wandb", "trackio": "trackio"}


class Tracker(Protocol):
    """What a run tells about its course."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Takes the numbers of a line of metrics.jsonl; steps rise."""

    def close(self) -> None:
        """Sends what is left."""


class TensorBoard:
    """Event files in the run's folder."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], first: int) -> None:
        """Opens a new event file; events from step `first` + 1 on are taken anew."""
        text = "\n".join(f"    {key}: {value}" for key, value in settings.items())
        self._writer = _package("tensorboard").SummaryWriter(
            str(folder / "tensorboard"), purge_step=first + 1 if first else None
        )
        self._writer.add_text("settings", text, first)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """One scalar for each number."""
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Ends the event file."""
        self._writer.close()


class Hosted:
    """Weights & Biases, and trackio, which offers the same functions."""

    def __init__(self, package: str, settings: Mapping[str, Any], **more: Any) -> None:
        """Begins a run, or goes on with the one of this folder."""
        self._module = _package(package)
        settings = dict(settings)
        self._module.init(project=PROJECT, config=settings, resume="allow", **more)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """All numbers at once."""
        self._module.log(dict(metrics), step=step)

    def close(self) -> None:
        """Ends the run."""
        self._module.finish()


def open_trackers(
    names: Sequence[str],
    folder: Path,
    settings: Mapping[str, Any],
    held: ExitStack,
    *,
    first: int = 0,
) -> list[Tracker]:
    """Opens trackers, which are closed with `held`.

    Args:
      names: some of `PACKAGES`.
      folder: of the run.
      settings: of the run, nested, shown beside its numbers.
      held: what is closed at the end of the run, however it ends.
      first: finished steps of a run that goes on; 0 for a new one.

    Raises:
      GradlabError: a package that isn't installed.
    """
    made: dict[str, Callable[[], Tracker]] = {
        "tensorboard": lambda: TensorBoard(folder, settings, first),
        "wandb": lambda: Hosted(
            "wandb", settings, name=folder.name, id=_identity(folder), dir=str(folder)
        ),
        # trackio finds a run again by its name.
        "trackio": lambda: Hosted(
            "trackio", settings, name=f"{folder.name}-{_identity(folder)}"
        ),
    }
    trackers = []
    for name in names:
        tracker = made[name]()
        held.callback(tracker.close)
        trackers.append(tracker)
    return trackers


def require_trackers(names: Sequence[str]) -> None:
    """Refuses a tracker whose package is missing, before anything is written.

    Raises:
      GradlabError: names the extra that brings the package.
    """
    for name in names:
        _package(name)


def _package(name: str) -> Any:
    try:
        return importlib.import_module(PACKAGES[name])
    except ImportError as error:
        raise GradlabError(
            f"trackers names {name}, but the package {PACKAGES[name]} can't be "
            f"imported ({error}); expected it installed: pip install 'gradlab[{name}]'"
        ) from error


def _identity(folder: Path) -> str:
    """A random name of the run in this folder, which stays when it is resumed."""
    path = folder / ".tracker-id"
    if not path.exists():
        path.write_text(uuid.uuid4().hex[:12])
    return path.read_text()
