"""Checkpoints: arrays by orbax, and plain notes beside them, written whole or not."""

import contextlib
import errno
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from gradlab.disk import reason
from gradlab.errors import CheckpointError


class Checkpoints:
    """The newest few checkpoints of a run, in a folder of their own.

    Guarantees:
      A checkpoint is there after it was written whole, or not at all; one that a
      killed process left unfinished is never read, and removed.
    """

    def __init__(self, folder: str | Path, keep: int = 2) -> None:
        """Opens the folder, which is made when missing."""
        logging.getLogger("absl").setLevel(logging.CRITICAL)  # errors are raised
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            enable_async_checkpointing=False,
            cleanup_tmp_directories=True,
        )
        self.folder = Path(folder).absolute()
        self._manager = ocp.CheckpointManager(self.folder, options=options)

    def newest(self) -> int | None:
        """The step of the newest checkpoint, or None."""
        return self._manager.latest_step()

    def save(self, step: int, arrays: Any, notes: dict[str, Any]) -> None:
        """Writes one checkpoint, and removes those beyond the newest few.

        Args:
          step: its name; one that is there already is left as it is.
          arrays: any pytree of arrays.
          notes: what JSON holds; floats keep every digit.
        """
        if step == self.newest():
            return
        try:
            with _failing_once():
                self._manager.save(
                    step,
                    args=ocp.args.Composite(
                        arrays=ocp.args.StandardSave(arrays),
                        notes=ocp.args.JsonSave(notes),
                    ),
                )
        except (OSError, ValueError) as error:  # the latter of orbax's own storage
            raise CheckpointError(
                f"{self.folder}: the checkpoint of step {step} can't be written: "
                f"{_why(error)}"
            ) from error
        _sync(self.folder)

    def load(self, step: int, like: Any) -> tuple[Any, dict[str, Any]]:
        """Arrays and notes of a checkpoint.

        Args:
          step: of `newest`.
          like: a pytree with the shapes, dtypes and structure that are expected.

        Raises:
          CheckpointError: it can't be read, or holds something else.
        """
        shapes = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        try:
            found = self._manager.restore(
                step,
                args=ocp.args.Composite(
                    arrays=ocp.args.StandardRestore(shapes),
                    notes=ocp.args.JsonRestore(),
                ),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{self.folder / str(step)}: not a checkpoint of this run: {error}"
            ) from error
        return found["arrays"], found["notes"]

    def close(self) -> None:
        """Ends orbax's threads."""
        self._manager.close()


@contextlib.contextmanager
def _failing_once() -> Iterator[None]:
    """Has a failed save say so by its exception alone.

    orbax closes its event loop at the first write that fails. The others end later, in
    threads of its storage, each with a report that the loop is closed, and tasks that
    nobody awaits report themselves when they are collected. So both stay silent from
    the failure on; every other exception is shown as before.
    """
    shown = sys.unraisablehook

    def show(report: Any) -> None:
        if str(report.exc_value) != "Event loop is closed":
            shown(report)

    sys.unraisablehook = show
    try:
        yield
    except BaseException:
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        raise
    else:
        sys.unraisablehook = shown


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return reason(error)
    full = "No space left" in str(error)
    return reason(OSError(errno.ENOSPC, "")) if full else str(error)


def _sync(folder: Path) -> None:
    """Makes the folder's entries last through a power failure."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
