"""Tables and other results on the disk: written whole or not at all, and read back.

`stage` is the one way onto the disk: files appear in their folder together, after the
last of them was written without an error.
"""

import contextlib
import csv
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet

from gradlab.disk import FULL, PARTIAL, refusal
from gradlab.errors import GradlabError

# Columns that hold text: "NA" or "null" in them is a word (a token!), not a gap.
TEXT_COLUMNS = frozenset(
    {
        "study", "run_id", "loss", "variant", "hp", "side", "region", "token", "prompt",
        "metric", "part", "layer_group", "probe", "measure", "reduction",
        "unit", "schedule", "context_kind", "subset", "claim_id", "setting",
        "type", "verdict", "matching_rule", "source_tag", "source_checked",
        "survives_holm", "note", "kind", "optimiser", "model", "baseline", "matching",
        "beta_kind", "ref_convention", "quantity",
    }
)  # fmt: skip
# Before pandas 3 the parser's default could miss a float's last bit.
_EXACT: dict[str, Any] = (
    {"float_precision": "round_trip"} if pd.__version__ < "3" else {}
)


@contextlib.contextmanager
def stage(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives an empty folder whose files move into `folder` when the block succeeds.

    Args:
      folder: where the files shall end up; made when missing.
    Yields:
      A temporary folder inside `folder`, so that moving is a rename.
    Raises:
      GradlabError: `folder` can't be made or written, or its disk is full.
    Guarantees: if the block (or the move) ends in any exception, KeyboardInterrupt
      included, `folder` is as it was: new files gone, replaced files restored, folders
      that were made removed. JSON files move last, so a manifest that is there
      describes files that are there.
    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as out, stage(out) as folder:
      ...     _ = (folder / "note.txt").write_text("whole")
    """
    target = Path(folder)
    made = [p for p in (target, *target.parents) if not os.path.lexists(p)]
    partial = None
    try:
        target.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=target))
        yield partial
        _commit(partial, target)
    except OSError as error:
        staged = partial is None or str(partial) in str(error.filename)
        if staged or error.errno in FULL:
            raise refusal(error, target) from error
        raise
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
        with contextlib.suppress(OSError):  # a folder that now has files stays
            for path in made:
                path.rmdir()


def _commit(partial: Path, target: Path) -> None:
    """Moves all files of `partial` into `target`, or none of them."""
    files = [p for p in partial.rglob("*") if p.is_file()]
    files.sort(key=lambda p: (p.suffix == ".json", p))
    for path in files:
        with path.open("rb") as opened:
            os.fsync(opened.fileno())  # a full disk shows here at the latest
    backup = Path(tempfile.mkdtemp(prefix="old-", dir=partial))
    undo: list[tuple[Path, Path, bool]] = []
    try:
        for number, path in enumerate(files):
            final, old = target / path.relative_to(partial), backup / str(number)
            if final.is_dir():
                raise GradlabError(f"can't write {final}: a folder has that name")
            final.parent.mkdir(parents=True, exist_ok=True)
            undo.append((final, old, os.path.lexists(final)))
            if undo[-1][2]:
                os.replace(final, old)
            os.replace(path, final)
    except BaseException:
        for final, old, existed in reversed(undo):
            if old.exists():
                os.replace(old, final)
            elif not existed:
                final.unlink(missing_ok=True)
        raise


def write_table(table: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Writes one table as CSV or Parquet, by the suffix of `path`.

    Use it inside `stage`; floats keep every digit, so reading gives the same numbers.

    Raises:
      GradlabError: another suffix.
    """
    path = Path(path)
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    elif path.suffix == ".csv":
        # All text is quoted, so that a token may hold a carriage return.
        table.to_csv(
            path,
            index=False,
            quoting=csv.QUOTE_NONNUMERIC,
            lineterminator="\n",
            errors="backslashreplace",
        )
    else:
        raise GradlabError(f"{path.name}: a table is written as .csv or .parquet")


def read_table(path: str | os.PathLike[str], *, filters: Any = None) -> pd.DataFrame:
    """Reads a table that `write_table` wrote; text columns stay text.

    Args:
      path: the file.
      filters: of a Parquet file, the rows that are read: [("pair", "<", 10)].

    Raises:
      GradlabError: no such file, not a table, or another suffix.
    """
    path = Path(path)
    if not path.is_file():
        raise GradlabError(f"{path}: there is no such table file")
    try:
        if path.suffix == ".parquet":
            return _read_parquet(path, filters)
        if path.suffix == ".csv":
            header = list(pd.read_csv(path, nrows=0).columns)
            text = {c: str for c in header if c in TEXT_COLUMNS}
            return pd.read_csv(
                path,
                dtype=text,
                na_values={c: [""] for c in header if c not in text},
                keep_default_na=False,
                **_EXACT,
            )
    except Exception as error:  # the parsers meet untrusted bytes with any exception
        raise GradlabError(f"{path}: not a readable table: {error}") from error
    raise GradlabError(f"{path}: a table ends in .csv or .parquet")


def _read_parquet(path: Path, filters: Any) -> pd.DataFrame:
    # Not by pandas, which would make a column of a folder that is named like lr=0.1.
    table = pyarrow.parquet.read_table(path, filters=filters, partitioning=None)
    table.validate(full=True)  # text that is no UTF-8 shows here, or anywhere later
    return table.to_pandas()
