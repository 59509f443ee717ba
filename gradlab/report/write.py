"""The page onto the disk, whole or not at all, and no larger than it has to be."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gradlab.inputs.config import SOURCES, FigureConfig
from gradlab.report.packing import DIGITS
from gradlab.report.page import render_page
from gradlab.report.payload import run_payload
from gradlab.report.runs import Run, read_run
from gradlab.tables import stage

PAGE = "report.html"
LARGEST = 5_000_000  # bytes of a page


@dataclass(frozen=True)
class Written:
    """A page that was written.

    Attributes:
      runs: as far as it shows them.
      digits: that it shows of single tokens' numbers.
      size: in bytes.
    """

    runs: Sequence[Run]
    digits: int
    size: int


def add_report(files: Path, folder: Path) -> tuple[str]:
    """Writes the page of one run beside its files; returns the page's name.

    Args:
      files: where the files of the run lie at present.
      folder: where they will be; named on the page.
    """
    write_report([read_run(files, name=str(folder))], files / PAGE)
    return (PAGE,)


def drop_earlier(folder: Path, config: FigureConfig) -> None:
    """Removes an earlier run's page and source data, unless these are new ones."""
    if not config.report:
        (folder / PAGE).unlink(missing_ok=True)
    if not config.source_data:
        shutil.rmtree(folder / SOURCES, ignore_errors=True)


def write_report(
    runs: Sequence[Run],
    path: str | os.PathLike[str],
    *,
    largest: int = LARGEST,
    every_pair: bool = False,
) -> Written:
    """Writes the page of some runs.

    Args:
      runs: from `read_run`.
      path: of the page; its folder is made when missing.
      largest: bytes that the page may take. Where four digits of every number take
        more, it shows three, or two; then the first pairs only.
      every_pair: keep all pairs, whatever the size.

    Raises:
      GradlabError: the place can't be written; nothing is changed there.
    """
    path = Path(path)
    page, written = _fitting(runs, largest, every_pair)
    with stage(path.parent) as partial:
        (partial / path.name).write_bytes(page)
    return written


def _fitting(
    runs: Sequence[Run], largest: int, every_pair: bool
) -> tuple[bytes, Written]:
    digits, page = DIGITS[0], b""
    for digits in DIGITS:
        page = _page(runs, digits)
        if len(page) <= largest:
            break
    while len(page) > largest and not every_pair:
        shorter = [_first_pairs(run, 0.95 * largest / len(page)) for run in runs]
        if sum(run.pairs for run in shorter) == sum(run.pairs for run in runs):
            break
        runs, page = shorter, _page(shorter, digits)
    return page, Written(runs, digits, len(page))


def _page(runs: Sequence[Run], digits: int) -> bytes:
    return render_page([run_payload(run, digits=digits) for run in runs]).encode()


def _first_pairs(run: Run, share: float) -> Run:
    """The run with that share of its pairs, at least one."""
    numbers = sorted(set(run.tokens["pair"].tolist()))
    kept = numbers[: max(1, int(share * len(numbers)))]
    if len(kept) == len(numbers):
        return run
    inside = run.tokens["pair"] <= kept[-1]
    return replace(run, tokens=run.tokens[inside].reset_index(drop=True))
