"""Settings of `gradlab report`. No jax here: the command line's help reads them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

MAX_PAIRS = 200

Folders = Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RUN_DIR [RUN_DIR ...]")]


@dataclass(frozen=True)
class ReportConfig:
    """Make one HTML page of the results of compare, drift, length and train.

    The page needs no network and opens from the disk: the text of every pair, each
    token coloured by what a loss does to it; the curves of trainings, several side by
    side; the summary as a sortable table, and how the results came about.
    """

    runs: tyro.conf.Positional[Folders]
    """Folders that these commands wrote."""

    out: Path | None = None
    """The page. Default: report.html in the first folder."""

    overwrite: bool = False
    """Replace a page that is there."""

    max_pairs: int | None = None
    """Show the first N pairs of each run, whatever the page's size. Default: as many as
    fit into 5 MB, at most 200."""
