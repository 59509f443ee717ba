"""The folder of one run: whose it is, whether it is finished, and who writes to it."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gradlab.errors import GradlabError
from gradlab.tables import stage
from gradlab.training.config import TrainConfig
from gradlab.training.config_file import differences, to_mapping

CONFIG, MANIFEST, METRICS = "config.json", "manifest.json", "metrics.jsonl"
FAILURE = "failure"  # of what a number that is not finite left behind


def inspect_folder(folder: Path, config: TrainConfig) -> bool:
    """Sees whether this run may write into the folder; changes nothing.

    Args:
      folder: new, empty, or of an earlier start of the same run.
      config: compared with the folder's config.json.

    Returns:
      Whether the run is to go on from what is there.

    Raises:
      GradlabError: the folder holds another configuration (with a diff), a run and no
        --resume, or files that are no run.
    """
    here = to_mapping(config)
    path = folder / CONFIG
    if path.is_file():
        if lines := differences(_stored(path), here):
            raise GradlabError(
                f"{folder} holds a run of another configuration; expected the same one "
                "or another --out. They differ in\n  " + "\n  ".join(lines)
            )
        if not config.resume:
            raise GradlabError(
                f"{folder} holds this run already; --resume goes on with it, another "
                "--out begins anew"
            )
        return True
    if folder.is_dir() and any(map(_is_content, folder.iterdir())):
        raise GradlabError(
            f"--out {folder} holds files that are no run; expected a new or empty "
            "folder"
        )
    return False


def claim_folder(folder: Path, config: TrainConfig) -> None:
    """Makes the folder this run's: writes config.json."""
    with stage(folder) as partial:
        text = json.dumps(to_mapping(config), indent=2)
        (partial / CONFIG).write_text(text + "\n")


def _is_content(path: Path) -> bool:
    """False for what a process leaves that was killed while it made the folder."""
    return path.name != ".lock" and not path.name.startswith(".partial-")


def _stored(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise GradlabError(f"{path}: not readable as JSON: {error}") from error


@contextlib.contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Holds the folder for this process; the lock ends with the process, however.

    Raises:
      GradlabError: another process writes to the folder.
    """
    with locked(folder / ".lock") as held:
        if not held:
            raise GradlabError(
                f"{folder}: another process is training into it; expected it to end, "
                "or another --out"
            )
        yield


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Locks a file for this process; the lock ends with the process, however.

    Args:
      path: made when missing, and left there.
      wait: until another process gives it up.

    Yields:
      Whether it is held; always when waiting.
    """
    import fcntl

    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
