"""Settings of `gradlab table`. No jax here: the command line's help reads them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

Format = Literal["latex", "markdown", "csv"]
DRAWS = 2000


@dataclass(frozen=True)
class TableConfig:
    """Make a table for a paper from a run of `gradlab compare`, `drift` or `length`.

    One line per loss. Means and shares get their 95 % bootstrap interval over pairs.
    Where one loss can be better than another, the best is bold, and with it those that
    the same pairs can't tell from it.
    """

    run: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="RUN_DIR")]]
    """Folder that `gradlab compare`, `drift` or `length` wrote."""

    format: Format = "latex"
    """latex (booktabs), markdown, or csv with all digits."""

    columns: tuple[str, ...] = ()
    """Columns of summary.csv, in order. Default: all main ones, wider than a page."""

    best: tuple[str, ...] = ()
    """COLUMN=max or COLUMN=min: bold there; COLUMN=none: not. Others keep their way."""

    intervals: bool = True
    """Print the intervals (csv: always)."""

    digits: int = 3
    """Significant digits of a number."""

    caption: str = ""
    """Set before where the numbers come from."""

    label: str = ""
    r"""For \ref. Default: tab: and the folder's name."""

    out: Path | None = None
    """The file. Default: the terminal."""

    overwrite: bool = False
    """Replace a file that is there."""

    draws: int = DRAWS
    """Of the bootstrap."""

    seed: int = 0
    """Of the bootstrap."""
