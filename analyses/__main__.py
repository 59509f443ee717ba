"""The studies: python -m analyses [run NAME | claims]."""

import difflib
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Annotated, Literal

import tyro

from analyses.claims import TABLES, effect_text, ledger_lines, verdicts_of
from analyses.machine import machine
from gradlab.errors import GradlabError
from gradlab.escapes import plain
from gradlab.tables import (
    StudyResult,
    build_manifest,
    code_commit,
    config_digest,
    read_manifest,
    write_study,
)

Size = Literal["smoke", "standard", "full"]

# study -> what it asks, in one line
STUDIES = {
    "gradient_comparison": "which tokens does each loss push, how hard, which way?",
    "gradient_framework": "which losses reward good and penalise bad, and how?",
    "length_sensitivity": "what does averaging the log-likelihood over tokens change?",
    "preference_pipeline": "which pairs do judges make, what does a budget change?",
    "edit_distance": "what does a loss do to the chosen answer of nearly equal pairs?",
    "self_imitation": "do density-ratio losses learn demonstrations better than SFT?",
    "drift_prediction": "do one-step gradients tell whose likelihood will move?",
    "speed": "how much faster, and in how much memory, than the plain ways?",
    "training_speed": "how many pairs a second, in how much memory, beside TRL?",
}


def run(
    name: str,
    size: Size,
    out: Path,
    data: Path | None = None,
    losses: Sequence[str] = (),
) -> Path:
    """Run a study and write its table and manifest together.

    Args:
      name: of the study.
      size: smoke, standard, or full where the study has one.
      out: folder of the table.
      data: folder of optional data, for a study that takes one.
      losses: further losses, for a study whose settings have `extra_losses`; the
        manifest names them, so that its table doesn't count as that of the code.

    Raises:
      GradlabError: unknown study or size, a study that takes no further losses or no
        data, or a folder that can't be written.
    """
    if name not in STUDIES:
        near = difflib.get_close_matches(name, STUDIES, n=1)
        hint = f"; did you mean {near[0]}?" if near else "."
        raise GradlabError(f"unknown study '{name}'{hint} Known: {', '.join(STUDIES)}")
    study = import_module(f"analyses.{name}")
    settings = study.Config if size == "standard" else getattr(study.Config, size, None)
    if settings is None:
        raise GradlabError(f"the study {name} has no {size} size")
    config = settings()
    if losses and not hasattr(config, "extra_losses"):
        raise GradlabError(f"the study {name} takes no further losses")
    if data is not None and "data" not in signature(study.run).parameters:
        raise GradlabError(f"the study {name} takes no data folder")
    if losses:
        config = replace(config, extra_losses=tuple(losses))
    started, load, commit = time.monotonic(), os.getloadavg(), code_commit()
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
        commit=commit,
        study=name,
        size=size,
        **result.manifest,
    )
    return write_study(out, result.table, manifest, result.claims)[0]


def state(name: str) -> str:
    """Size, time and whether the committed table is that of the code's settings."""
    path = TABLES / f"{name}.json"
    if not path.is_file():
        return "not run"
    manifest, study = read_manifest(path), import_module(f"analyses.{name}")
    same = config_digest(manifest["config"]) == config_digest(study.Config())
    found = "fresh" if same else "stale: made with other settings than the code's"
    return f"{manifest['size']}, {manifest['wall_seconds']:.0f} s, {found}"


def _overview(name: str) -> list[str]:
    """The study, its state, and one line per claim and setting."""
    lines = [f"{name}  ({state(name)})  {STUDIES[name]}"]
    table = verdicts_of(name)
    if table is None:
        return lines
    setting, verdict = (int(table[c].str.len().max()) for c in ("setting", "verdict"))
    for row in table.to_dict("records"):
        named = f"  {row['claim_id']:<7} {row['setting']:<{setting}}"
        line = f"{named}  {row['verdict']:<{verdict}}  {effect_text(row)}"
        lines.append(line.rstrip())
    return [*lines, ""]


def main(
    action: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="ACTION")] = "",
    study: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")] = "",
    /,
    size: Size = "standard",
    out: Path = TABLES,
    data: Path | None = None,
    loss: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
) -> None:
    """List the studies with the verdicts on their claims, run one, or print the ledger.

    Args:
      action: `run` with the name of a study, or that name alone; `claims` prints the
        ledger as Markdown; without it studies and verdicts are listed.
      study: name of the study to run.
      size: smoke takes seconds and shows that it runs; standard is what is committed;
        full wants a GPU.
      out: folder of the table and its manifest.
      data: folder of optional data, for studies that name some.
      loss: a further loss, such as my_module:my_loss, for studies that compare losses;
        may be given several times.
    """
    if action == "claims":
        print(*ledger_lines(STUDIES), sep="\n")
    elif action:
        name = study if action == "run" else action
        print(f"wrote {run(name, size, out, data, loss)}")
    else:
        for name in STUDIES:
            print(*_overview(name), sep="\n")


if __name__ == "__main__":
    try:
        tyro.cli(main, prog="python -m analyses")
    except GradlabError as error:
        sys.exit("analyses: " + plain(str(error), keep="\n"))
