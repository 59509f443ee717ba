"""metrics.jsonl: one line for every few steps, cut back to a checkpoint on resume."""

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gradlab.disk import reason
from gradlab.errors import GradlabError
from gradlab.training.metrics import mean_of
from gradlab.training.trackers import Tracker


class MetricLog:
    """Writes means over `every` steps as lines of JSON, and tells the trackers.

    A number that isn't finite is written as a string ("nan"), since JSON has none.
    The file holds nothing that depends on the clock: two equal runs write equal files.
    """

    def __init__(
        self, path: str | Path, every: int = 1, trackers: Sequence[Tracker] = ()
    ) -> None:
        """Makes the file when missing; `restore` says how much of it counts."""
        self.path, self.every, self.trackers = Path(path), every, trackers
        self.pending: list[dict[str, float]] = []
        self.path.touch()

    def add(self, step: int, numbers: dict[str, float], *, last: bool = False) -> None:
        """Takes the numbers of a finished step; writes a line where one is due.

        Args:
          step: finished steps.
          numbers: of this step. `epoch`, `learning_rate` and keys that begin with num_
            are written as they are, of others the mean.
          last: write the line though fewer steps have come.
        """
        self.pending.append(numbers)
        if not last and step % self.every:
            return
        found = {**mean_of(self.pending), **_running(numbers)}
        self.pending = []
        line = json.dumps({"step": step, **_json(found)}, allow_nan=False)
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise GradlabError(
                f"{self.path}: can't be written: {reason(error)}; --resume goes on "
                "from the last checkpoint"
            ) from error
        for tracker in self.trackers:
            tracker.log(step, found)

    def state(self) -> dict[str, Any]:
        """What a checkpoint has to hold; the file is then safe on the disk."""
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
        return {"bytes": self.path.stat().st_size, "pending": self.pending}

    def restore(self, state: dict[str, Any]) -> None:
        """Cuts the file to the length that it had.

        Raises:
          GradlabError: the file is shorter than that.
        """
        size = self.path.stat().st_size
        if size < state["bytes"]:
            raise GradlabError(
                f"{self.path}: {size} bytes, expected at least {state['bytes']} as at "
                "the checkpoint; was the file changed?"
            )
        os.truncate(self.path, state["bytes"])
        self.pending = list(state["pending"])


def _running(numbers: dict[str, float]) -> dict[str, float]:
    kept = ("epoch", "learning_rate")
    return {k: v for k, v in numbers.items() if k in kept or k.startswith("num_")}


def _json(line: dict[str, float]) -> dict[str, Any]:
    return {k: v if math.isfinite(v) else str(v) for k, v in line.items()}


def read_metrics(path: str | Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl; numbers that were not finite are floats again.

    Raises:
      GradlabError: no such file, or a line that is none of a run's.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise GradlabError(f"{path}: can't be read: {error}") from error
    return [_numbers(path, number, line) for number, line in enumerate(lines, 1)]


def _numbers(path: str | Path, number: int, line: str) -> dict[str, Any]:
    try:
        items = json.loads(line).items()
        return {k: int(v) if k == "step" else float(v) for k, v in items}
    except (ValueError, TypeError, AttributeError, ArithmeticError) as error:
        raise GradlabError(f"{path}, line {number}: no metrics: {error}") from error
    except RecursionError as error:
        raise GradlabError(f"{path}, line {number}: nested too deeply") from error
