"""What `gradlab table` does: read a run, estimate, write the table."""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from gradlab.errors import GradlabError
from gradlab.escapes import plain
from gradlab.inputs.config import check_seed
from gradlab.paper.config import TableConfig
from gradlab.paper.estimates import estimate_columns
from gradlab.paper.pairsums import pair_sums
from gradlab.paper.writing import PaperTable
from gradlab.tables import HEADINGS, read_manifest, read_table, require_columns, stage

WAYS = ("max", "min", "none")


def table(config: TableConfig) -> str:
    """Write the table of a run.

    Returns:
      Its text, which is also printed or in the file.

    Raises:
      GradlabError: no run in the folder, or refused settings.
    """
    if config.out is not None and config.out.exists() and not config.overwrite:
        raise GradlabError(f"{config.out} is there already (--overwrite replaces it)")
    check_seed(config.seed)
    for name in ("digits", "draws"):
        if getattr(config, name) < 1:
            found = getattr(config, name)
            raise GradlabError(f"--{name} is {found}; expected at least 1")
    text = getattr(paper_table(config), config.format)()
    if config.out is None:
        sys.stdout.write(text)
        return text
    with stage(config.out.parent) as partial:
        path = partial / config.out.name
        path.write_text(text, encoding="utf-8", newline="\n")
    print(f"Wrote {plain(str(config.out))}", file=sys.stderr)
    return text


def paper_table(config: TableConfig) -> PaperTable:
    """The numbers of a run with intervals, ready to be written."""
    summary, manifest = _read(config.run)
    ways = _ways(config.best, summary)
    names = _columns(config.columns, summary)
    losses = [str(label) for label in summary["loss"]]
    found = estimate_columns(
        summary,
        pair_sums(config.run, losses),
        ways,
        draws=config.draws,
        seed=config.seed,
    )
    kept = {name: found[name] for name in names}
    caption = " ".join(
        filter(
            None,
            (
                config.caption,
                _notes(names),
                _origin(manifest),
                _rule(kept, config.intervals),
            ),
        )
    )
    return PaperTable(
        losses=losses,
        columns=kept,
        caption=caption,
        label=config.label or _label(config.run),
        digits=config.digits,
        intervals=config.intervals,
    )


def _read(folder: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    path = folder / "summary.csv"
    if not path.is_file():
        raise GradlabError(
            f"{folder}: no summary.csv there; expected a folder that 'gradlab "
            "compare', 'drift' or 'length' wrote"
        )
    summary = read_table(path)
    require_columns(summary, ["loss"], str(path))
    return summary, read_manifest(folder / "manifest.json")


def _columns(asked: Sequence[str], summary: pd.DataFrame) -> list[str]:
    numeric = summary.select_dtypes("number").columns
    unknown = [name for name in asked if name not in numeric]
    if unknown:
        raise GradlabError(
            f"--columns: no column of numbers {unknown[0]!r}; expected some of "
            f"{', '.join(numeric)}"
        )
    known = [name for name in numeric if name in HEADINGS]
    ends = ("_low", "_high")
    return list(asked) or known or [n for n in numeric if not n.endswith(ends)]


def _ways(asked: Sequence[str], summary: pd.DataFrame) -> dict[str, str]:
    ways = {name: heading.best for name, heading in HEADINGS.items()}
    for entry in asked:
        name, _, way = entry.partition("=")
        if way not in WAYS or name not in summary.columns:
            raise GradlabError(
                f"--best {entry!r}: expected COLUMN=max, COLUMN=min or COLUMN=none "
                "with a column of summary.csv"
            )
        ways[name] = "" if way == "none" else way
    return ways


def _notes(names: Sequence[str]) -> str:
    known = [HEADINGS[name] for name in names if name in HEADINGS]
    parts = [f"{heading.title}: {heading.note}" for heading in known if heading.note]
    return f"{'; '.join(parts)}." if parts else ""


def _origin(manifest: Mapping[str, Any]) -> str:
    """Where the numbers come from: command, version, model, data, seed, commit."""
    versions = manifest.get("versions")
    version = versions.get("gradlab", "") if isinstance(versions, dict) else ""
    parts = [f"{manifest.get('command', 'gradlab')} {version}".strip()]
    for key in ("policy", "reference"):
        if manifest.get(key):
            parts.append(f"{key} {manifest[key]}")
    if manifest.get("pairs"):
        parts.append(f"{manifest['pairs']} pairs")
    if manifest.get("data_digest"):
        parts.append(f"data SHA-256 {str(manifest['data_digest'])[:12]}")
    if manifest.get("seed") is not None:
        parts.append(f"seed {manifest['seed']}")
    if manifest.get("commit"):  # with "+changes" where the code is no commit's
        commit, plus, changes = str(manifest["commit"]).partition("+")
        parts.append(f"commit {commit[:12]}{plus}{changes}")
    return ", ".join(parts) + "."


def _rule(columns: Mapping[str, Any], intervals: bool) -> str:
    found = []
    if intervals and any(column.low is not None for column in columns.values()):
        found.append("Brackets: 95 % interval over pairs.")
    if any(column.bold.any() for column in columns.values()):
        found.append(
            "Bold: the best, and those that the same pairs cannot tell from it."
        )
    return " ".join(found)


def _label(folder: Path) -> str:
    return "tab:" + re.sub(r"[^A-Za-z0-9.-]+", "-", folder.resolve().name)
