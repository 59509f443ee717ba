"""The page onto the disk, whole or not at all."""

import os
from collections.abc import Sequence
from pathlib import Path

from gradlab.report.page import render_page
from gradlab.report.payload import run_payload
from gradlab.report.runs import Run, read_run
from gradlab.tables import stage

PAGE = "report.html"


def add_report(files: Path, folder: Path) -> tuple[str]:
    """Writes the page of one run beside its files; returns the page's name.

    Args:
      files: where the files of the run lie at present.
      folder: where they will be; named on the page.
    """
    write_report([read_run(files, name=str(folder))], files / PAGE)
    return (PAGE,)


def drop_report(folder: Path) -> None:
    """Removes the page of an earlier run, which would show other results."""
    (folder / PAGE).unlink(missing_ok=True)


def write_report(runs: Sequence[Run], path: str | os.PathLike[str]) -> int:
    """Writes the page of some runs.

    Args:
      runs: from `read_run`.
      path: of the page; its folder is made when missing.

    Returns:
      The size of the page in bytes.

    Raises:
      GradlabError: the place can't be written; nothing is changed there.
    """
    path = Path(path)
    page = render_page([run_payload(run) for run in runs]).encode()
    with stage(path.parent) as partial:
        (partial / path.name).write_bytes(page)
    return len(page)
