"""List the studies, or run one: python -m analyses [NAME] [--size SIZE]."""

import difflib
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Annotated, Literal

import tyro

from gradlab.errors import GradlabError
from gradlab.tables import build_manifest, read_manifest, write_study

TABLES = Path(__file__).parent / "tables"

# study -> what it asks, in one line
STUDIES = {
    "gradient_comparison": "which tokens does each loss push, how hard, which way?",
}


def run(name: str, size: Literal["smoke", "standard"], out: Path) -> Path:
    """Run a study and write its table and manifest together.

    Raises:
      GradlabError: unknown study, or a folder that can't be written.
    """
    if name not in STUDIES:
        near = difflib.get_close_matches(name, STUDIES, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise GradlabError(f"unknown study '{name}'{hint} Known: {', '.join(STUDIES)}")
    study = import_module(f"analyses.{name}")
    config = study.Config.smoke() if size == "smoke" else study.Config()
    started = time.monotonic()
    table = study.run(config)
    manifest = build_manifest(
        config=config,
        seed=config.seeds,
        dtype="float32 scores, float64 weights",
        device="cpu",
        wall_seconds=round(time.monotonic() - started, 1),
        study=name,
        size=size,
    )
    return write_study(out, table, manifest)[0]


def _state(name: str) -> str:
    if not (TABLES / f"{name}.json").is_file():
        return "not run"
    manifest = read_manifest(TABLES / f"{name}.json")
    return f"{manifest['size']}, {manifest['wall_seconds']:.0f} s"


def main(
    study: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")] = "",
    /,
    size: Literal["smoke", "standard"] = "standard",
    out: Path = TABLES,
) -> None:
    """List the studies, or run one and write its table.

    Args:
      study: name of the study; without it the studies are listed.
      size: smoke takes seconds and shows that it runs; standard is what is committed.
      out: folder of the table and its manifest.
    """
    if not study:
        for name, question in STUDIES.items():
            print(f"{name}  ({_state(name)})  {question}")
        return
    print(f"wrote {run(study, size, out)}")


if __name__ == "__main__":
    try:
        tyro.cli(main, prog="python -m analyses")
    except GradlabError as error:
        sys.exit(f"analyses: {error}")
