"""The log of a TRL or transformers trainer as a tidy table.

Needs neither torch nor transformers. TRL's names stay where they mean the same as ours
(`loss`, `rewards/chosen`, `logps/chosen`, `grad_norm`, ...); what both can say gets its
unambiguous name too (`logps_sum/chosen`, `logps_sum/margins`).
"""

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from gradlab.errors import GradlabError

NAME = "trainer_state.json"
EVAL = "eval_"
# Written once, at the end: of the whole run, not of a step.
WHOLE_RUN = frozenset({"train_runtime", "train_loss", "total_flos"})
COLUMNS = ("step", "epoch", "subset", "metric", "value")
LARGEST = sys.float_info.max

History = Sequence[Mapping[str, Any]]


def read_trainer_state(path: str | os.PathLike) -> pd.DataFrame:
    """Reads the log that a Hugging Face trainer keeps in its checkpoints.

    Args:
      path: trainer_state.json, or the checkpoint folder that holds it.

    Returns:
      One row per number: step (finished updates), epoch (NaN where the log has none),
      subset ("train", "eval", or "run" for what is said once of the whole run), metric
      and value. A number that was logged twice at a step is there as it was last. Of
      DPOTrainer with `ld_alpha`, logps/... and what is derived from them are the
      weighted sums that it logs.

    Raises:
      GradlabError: no such file, not a trainer's state, or an entry of its log that is
        no step with numbers; the message names file, entry and key.
    """
    path = Path(path)
    file = path / NAME if path.is_dir() else path
    rows = {}
    for entry in _history(file):
        for subset, metric, value in _numbers(entry):
            epoch = float(entry.get("epoch", math.nan))
            row = (entry["step"], epoch, subset, metric, value)
            rows[entry["step"], subset, metric] = row
    table = pd.DataFrame(list(rows.values()), columns=pd.Index(COLUMNS))
    return table.astype({"step": int, "epoch": float, "value": float})


def metric_lines(history: History) -> list[dict[str, Any]]:
    """The training steps of a log as lines of metrics.jsonl, which `gradlab train` has.

    Args:
      history: `log_history` of a trainer's state.

    Example:
      >>> metric_lines([{"step": 5, "loss": 0.69, "epoch": 0.1, "logps/chosen": -7.0}])
      [{'step': 5, 'loss': 0.69, 'logps/chosen': -7.0, 'logps_sum/chosen': -7.0,
        'epoch': 0.1}]
    """
    lines: dict[int, dict[str, Any]] = {}
    for entry in history:
        found = {m: value for subset, m, value in _numbers(entry) if subset == "train"}
        if found:
            line = lines.setdefault(entry["step"], {"step": entry["step"]})
            line |= found
            if "epoch" in entry:
                line["epoch"] = float(entry["epoch"])
    return list(lines.values())


def _history(file: Path) -> History:
    """The log, checked entry by entry."""
    if not file.is_file():
        raise GradlabError(
            f"{file}: there is no such file; expected the {NAME} of a checkpoint"
        )
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise GradlabError(f"{file}: not readable as JSON: {error}") from error
    history = state.get("log_history") if isinstance(state, dict) else None
    if not isinstance(history, list):
        raise GradlabError(
            f"{file}: found no list 'log_history'; expected the state of a trainer, as "
            "transformers writes it"
        )
    for number, entry in enumerate(history):
        _check(entry, f"{file}, log_history[{number}]")
    return history


def _check(entry: Any, where: str) -> None:
    if not isinstance(entry, dict):
        raise GradlabError(f"{where}: found {entry!r:.60}; expected an object")
    step = entry.get("step")
    if not isinstance(step, int) or isinstance(step, bool) or not 0 <= step < 2**63:
        raise GradlabError(
            f"{where}: 'step' is {step!r:.60}; expected the number of finished steps"
        )
    for key, value in entry.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or (isinstance(value, int) and abs(value) > LARGEST):
            raise GradlabError(
                f"{where} (step {step}): {key!r:.60} is {value!r:.60}; expected a "
                "number"
            )
        if not key.isprintable():  # lone surrogates are not either
            raise GradlabError(
                f"{where} (step {step}): found the key {key!r:.60}; expected the name "
                "of a metric"
            )


def _numbers(entry: Mapping[str, Any]) -> Iterator[tuple[str, str, float]]:
    """(subset, metric, value) of an entry, with what follows from it."""
    if WHOLE_RUN & set(entry):
        subset, prefix = "run", ""
    elif any(key.startswith(EVAL) for key in entry):
        subset, prefix = "eval", EVAL
    else:
        subset, prefix = "train", ""
    found = {
        key.removeprefix(prefix): float(value)
        for key, value in entry.items()
        if key not in ("step", "epoch") and isinstance(value, int | float)
    }
    sums = {
        f"logps_sum/{side}": found[f"logps/{side}"]
        for side in ("chosen", "rejected")
        if f"logps/{side}" in found
    }
    if len(sums) == 2:
        chosen, rejected = sums.values()
        sums["logps_sum/margins"] = chosen - rejected
    for metric, value in {**found, **sums}.items():
        yield subset, metric, value
