"""Tables on the disk: written inside `gradlab.staging.stage`, and read back."""

import csv
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet

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
    options: Any = {"filters": filters, "partitioning": None}
    table = pyarrow.parquet.read_table(path, **options)
    table.validate(full=True)  # text that is no UTF-8 shows here, or anywhere later
    return table.to_pandas()
