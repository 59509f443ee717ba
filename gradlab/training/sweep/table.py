"""One row for each run of a sweep, from what lies in the runs' folders."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from gradlab.disk import LOCK, locked
from gradlab.errors import GradlabError
from gradlab.tables import read_table, require_columns, stage, write_table
from gradlab.training.metriclog import read_metrics
from gradlab.training.run_folder import CONFIG, FAILURE, MANIFEST, METRICS
from gradlab.training.sweep.grid import Run

Status = Literal["done", "failed", "begun", "waiting"]


def status(folder: Path) -> Status:
    """How far the run in a folder is; its manifest, written last, says that it is done.

    A run that is begun is being trained, or was interrupted.
    """
    if (folder / MANIFEST).is_file():
        return "done"
    if (folder / FAILURE).is_dir():
        return "failed"
    return "begun" if (folder / CONFIG).is_file() else "waiting"


def sweep_table(runs: Sequence[Run], folder: Path) -> pd.DataFrame:
    """The table of a sweep.

    Args:
      runs: in the order of the rows.
      folder: that holds the runs' folders.

    Returns:
      run, status, the swept settings by dotted key (a list as JSON); and for runs that
      are done, empty for others: final.NAME from the last line of metrics.jsonl, and
      probe.PROBE.METRIC, means over texts at the last step.
    """
    rows = []
    for run in runs:
        place, point = folder / run.name, run.settings.items()
        settings = {k: json.dumps(v) if isinstance(v, list) else v for k, v in point}
        found = status(place)
        results = _results(place) if found == "done" else {}
        rows.append({"run": run.name, "status": found, **settings, **results})
    return pd.DataFrame(rows)


def _results(folder: Path) -> dict[str, Any]:
    lines = read_metrics(folder / METRICS)
    if not lines:
        raise GradlabError(f"{folder / METRICS}: empty, expected the lines of a run")
    found: dict[str, Any] = {f"final.{name}": v for name, v in lines[-1].items()}
    if (path := folder / "probes.csv").is_file():
        probes = read_table(path)
        require_columns(probes, ["step", "probe", "metric", "statistic"], str(path))
        probes = probes[probes["step"] == probes["step"].max()]
        means = probes[probes["statistic"] == "mean"]
        names = "probe." + means["probe"] + "." + means["metric"]
        found |= dict(zip(names, means["value"], strict=True))
    return found


def write_sweep_table(runs: Sequence[Run], folder: Path, out: Path) -> None:
    """Writes sweep.csv and sweep.parquet from what is there.

    Guarantees:
      Of several processes, the last to write has read the results of all others.
    """
    with locked(out / LOCK, wait=True), stage(out) as partial:
        table = sweep_table(runs, folder)
        write_table(table, partial / "sweep.csv")
        write_table(table, partial / "sweep.parquet")
