"""List the studies and their claims, or run one: python -m analyses [NAME]."""

import difflib
import math
import os
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Annotated, Literal

import tyro

from analyses.machine import machine
from gradlab.errors import GradlabError
from gradlab.tables import (
    StudyResult,
    build_manifest,
    read_manifest,
    read_table,
    write_study,
)

TABLES = Path(__file__).parent / "tables"

# study -> what it asks, in one line
STUDIES = {
    "gradient_comparison": "which tokens does each loss push, how hard, which way?",
    "drift_prediction": "do one-step gradients tell whose likelihood will move?",
    "speed": "how much faster, and in how much memory, than the plain ways?",
    "training_speed": "how many pairs a second, in how much memory, beside TRL?",
}


def run(
    name: str, size: Literal["smoke", "standard"], out: Path, data: Path | None = None
) -> Path:
    """Run a study and write its table and manifest together.

    Args:
      name: of the study.
      size: smoke or standard.
      out: folder of the table.
      data: folder of optional data, for a study that takes one.

    Raises:
      GradlabError: unknown study, or a folder that can't be written.
    """
    if name not in STUDIES:
        near = difflib.get_close_matches(name, STUDIES, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise GradlabError(f"unknown study '{name}'{hint} Known: {', '.join(STUDIES)}")
    study = import_module(f"analyses.{name}")
    config = study.Config.smoke() if size == "smoke" else study.Config()
    started, load = time.monotonic(), os.getloadavg()
    result = study.run(config) if data is None else study.run(config, data)
    if not isinstance(result, StudyResult):
        numbers = {"dtype": "float32 scores, float64 weights"}
        result = StudyResult(result, manifest=numbers)
    here = machine()
    manifest = build_manifest(
        config=config,
        seed=config.seeds,
        device=here["device"],
        machine=here,
        load_before=[round(x, 1) for x in load],
        wall_seconds=round(time.monotonic() - started, 1),
        study=name,
        size=size,
        **result.manifest,
    )
    return write_study(out, result.table, manifest, result.claims)[0]


def _state(name: str) -> str:
    if not (TABLES / f"{name}.json").is_file():
        return "not run"
    manifest = read_manifest(TABLES / f"{name}.json")
    return f"{manifest['size']}, {manifest['wall_seconds']:.0f} s"


def _ledger(name: str) -> list[str]:
    """The study's claims, one line per claim and setting, with what decided."""
    path = TABLES / f"{name}_claims.csv"
    if not path.is_file():
        return []
    table = read_table(path)
    setting, verdict = (int(table[c].str.len().max()) for c in ("setting", "verdict"))
    lines = []
    for row in table.to_dict("records"):
        named = f"  {row['claim_id']:<7} {row['setting']:<{setting}}"
        line = f"{named}  {row['verdict']:<{verdict}}"
        if not math.isnan(row["effect"]):
            line += f"  {row['effect']:+.3g}"
        if not math.isnan(row["ci_low"]):
            line += f" [{row['ci_low']:+.3g}, {row['ci_high']:+.3g}]"
        lines.append(line.rstrip())
    return [*lines, ""]


def main(
    study: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")] = "",
    /,
    size: Literal["smoke", "standard"] = "standard",
    out: Path = TABLES,
    data: Path | None = None,
) -> None:
    """List the studies and the verdicts on their claims, or run one.

    Args:
      study: name of the study; without it studies and verdicts are listed.
      size: smoke takes seconds and shows that it runs; standard is what is committed.
      out: folder of the table and its manifest.
      data: folder of optional data, for studies that name some.
    """
    if not study:
        for name, question in STUDIES.items():
            print(f"{name}  ({_state(name)})  {question}")
            print(*_ledger(name), sep="\n", end="")
        return
    print(f"wrote {run(study, size, out, data)}")


if __name__ == "__main__":
    try:
        tyro.cli(main, prog="python -m analyses")
    except GradlabError as error:
        sys.exit(f"analyses: {error}")
