"""The rows of a file of token log-probabilities, as they are.

Nothing is checked here but what the formats leave open: that no column is there twice,
and that the known columns can be read at all.
"""

import csv
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from gradlab.data.badrows import RowError
from gradlab.data.sources import file_kind, jsonl_rows
from gradlab.errors import DataError

TEXTS = ("side", "token", "prompt", "loss", "probe")
NUMBERS = ("position", "logp", "ref_logp", "log_sum_sq", "entropy", "max_logp",
           "token_id", "mask", "row", "step", "drift")  # fmt: skip
KNOWN = ("pair", *NUMBERS, *TEXTS)
LONGEST_LINE = 1 << 20  # bytes


def read_rows(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """The known columns of a file, and the names of all columns.

    Args:
      path: .parquet, .jsonl or .csv.

    Returns:
      Rows, with an index that counts them from 1 as the file does; names.

    Raises:
      DataError: no such file, not a table, a column twice, or a bad line.
    """
    if not path.is_file():
        raise DataError(
            f"{path}: no such file; expected token log-probabilities as .parquet, "
            ".jsonl or .csv"
        )
    try:
        if path.suffix == ".csv":
            rows, names = _of_csv(path)
        elif file_kind(path, "token log-probabilities") == "parquet":
            rows, names = _of_parquet(path)
        else:
            return _of_lines(path)
    except DataError:
        raise
    except Exception as error:  # the parsers meet untrusted bytes with any exception
        reason = " ".join(str(error).split())[:300]
        raise DataError(f"{path}: not a readable table: {reason}") from error
    return rows.set_axis(range(1, len(rows) + 1)), names


def _of_parquet(path: Path) -> tuple[pd.DataFrame, list[str]]:
    import pyarrow.parquet

    # Not by pandas, which would make columns of folders named like a=b.
    with pyarrow.parquet.ParquetFile(path) as file:
        names = file.schema_arrow.names
        known = _known(names, path)
        table = file.read(columns=known)
        table.validate(full=True)  # text that is no UTF-8 shows here, or anywhere later
        return table.to_pandas(ignore_metadata=True), names


def _of_csv(path: Path) -> tuple[pd.DataFrame, list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        names = next(filter(None, csv.reader(file)), [])
    known = _known(names, path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of rows that are longer than the head
        rows = pd.read_csv(
            path,
            index_col=False,
            dtype=dict.fromkeys(set(known) & set(TEXTS), str),
            na_values={name: [""] for name in known if name in NUMBERS},
            keep_default_na=False,
            low_memory=False,
        )
    return rows.loc[:, known], names


def _of_lines(path: Path) -> tuple[pd.DataFrame, list[str]]:
    numbers, found = [], []
    names: dict[str, None] = {}
    for number, row in jsonl_rows(path, max_line_bytes=LONGEST_LINE):
        if isinstance(row, RowError):
            raise DataError(f"{path}, line {number}: expected a JSON object: {row}")
        names |= dict.fromkeys(row)
        kept = {name: row[name] for name in KNOWN if name in row}
        _require_utf8(kept, f"{path}, line {number}")
        numbers.append(number)
        found.append(kept)
    return pd.DataFrame(found, index=pd.Index(numbers), dtype=object), list(names)


def _known(names: Sequence[str], path: Path) -> list[str]:
    known = [name for name in names if name in KNOWN]
    for name in known:
        if known.count(name) > 1:
            raise DataError(f"{path}: the column {name!r} is there twice")
    return known


def _require_utf8(row: dict[str, Any], where: str) -> None:
    for name, value in row.items():
        if not isinstance(value, str):
            continue
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"{where}, column {name!r}: found the lone surrogate "
                f"U+{ord(value[error.start]):04X}; expected whole code points"
            ) from error
