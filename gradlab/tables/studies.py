"""Long-format study tables: their columns, their file pair, and means over seeds."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from gradlab.errors import GradlabError
from gradlab.staging import stage
from gradlab.tables.files import write_table
from gradlab.tables.manifests import write_manifest

STUDY_COLUMNS = ("study", "loss", "seed", "step", "side", "metric", "value")


@dataclass(frozen=True)
class StudyResult:
    """What a study that tests claims returns.

    Attributes:
      table: long format, see `check_study_table`.
      claims: its verdicts, from `gradlab.tables.claims_table`.
      manifest: entries for the manifest: dtype, digests of what was read, notes.
    """

    table: pd.DataFrame
    claims: pd.DataFrame | None = None
    manifest: Mapping[str, Any] = field(default_factory=dict)


def require_columns(table: pd.DataFrame, columns: Sequence[str], what: str) -> None:
    """Refuses a table without rows or without one of `columns`.

    Raises:
      GradlabError: names what is missing and what was found.
    """
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise GradlabError(
            f"{what} lacks the column(s) {', '.join(missing)}; "
            f"found {', '.join(map(str, table.columns)) or 'none'}"
        )
    if table.empty:
        raise GradlabError(f"{what} has no rows")


def require_numbers(
    table: pd.DataFrame, columns: Sequence[str], what: str, *, whole: bool = False
) -> None:
    """Refuses a table in which one of `columns`, as far as it has them, is no number.

    Args:
      table: from outside.
      columns: names.
      what: the table, for messages.
      whole: they must hold integers, without gaps.

    Raises:
      GradlabError: names the column and what it holds.
    """
    kind = pd.api.types
    for name in (name for name in columns if name in table.columns):
        column = table[name]
        fits = kind.is_numeric_dtype(column) and not kind.is_bool_dtype(column)
        if whole:
            fits = kind.is_integer_dtype(column) and not bool(column.isna().any())
        if not fits or kind.is_complex_dtype(column):
            raise GradlabError(
                f"{what}: the column {name} holds {column.dtype}; expected "
                f"{'whole ' * whole}numbers"
            )


def require_text(table: pd.DataFrame, columns: Sequence[str], what: str) -> None:
    """Refuses a table in which one of `columns` holds something else than text.

    Raises:
      GradlabError: names the column and what it holds.
    """
    for name in columns:
        column = table[name]
        categories = isinstance(column.dtype, pd.CategoricalDtype)
        if not categories and not pd.api.types.is_string_dtype(column):
            raise GradlabError(
                f"{what}: the column {name} holds {column.dtype}; expected text"
            )


def select(table: pd.DataFrame, **keys: Any) -> pd.DataFrame:
    """The rows whose named columns have that value, or one of a list of values.

    Example:
      >>> select(pd.DataFrame({"loss": ["dpo", "ipo"], "w": [1, 2]}), loss="ipo")
        loss  w
      1  ipo  2
    """
    chosen = np.ones(len(table), dtype=bool)
    for column, value in keys.items():
        several = isinstance(value, list | tuple | set | frozenset)
        matches = table[column].isin(list(value) if several else [value])
        chosen &= np.asarray(matches, dtype=bool)
    return cast(pd.DataFrame, table[chosen])


def check_study_table(table: pd.DataFrame, what: str = "the study table") -> None:
    """Refuses what is not a long-format study table: one observation per row.

    Args:
      table: columns `STUDY_COLUMNS` and any further keys; an absent key is NaN or "".
      what: how a message calls the table.
    Raises:
      GradlabError: a column is missing, `value` isn't numeric, rows of more than one
        study, an unnamed metric, or the same observation twice.
    """
    require_columns(table, STUDY_COLUMNS, what)
    if not pd.api.types.is_numeric_dtype(table["value"]):
        raise GradlabError(
            f"{what}: the column value must hold numbers, found {table['value'].dtype}"
        )
    studies = sorted(map(str, table["study"].unique()))
    if len(studies) != 1:
        raise GradlabError(f"{what} mixes the studies {', '.join(studies)}")
    unnamed = np.flatnonzero(table["metric"].fillna("").astype(str) == "")
    if unnamed.size:
        row = int(unnamed[0])
        raise GradlabError(f"{what}: row {row + 1} names no metric")
    keys = [column for column in table.columns if column != "value"]
    twice = np.flatnonzero(table.duplicated(keys))
    if twice.size:
        row = int(twice[0])
        key = table.iloc[row][keys].replace("", np.nan).dropna().to_dict()
        raise GradlabError(f"{what}: row {row + 1} repeats an observation: {key}")


def write_study(
    folder: str | os.PathLike[str],
    table: pd.DataFrame,
    manifest: Mapping[str, Any],
    claims: pd.DataFrame | None = None,
) -> tuple[Path, Path]:
    """Writes a study's `<study>.csv` and `<study>.json` together, or neither.

    Args:
      folder: such as analyses/tables.
      table: long format; its study column gives the file name.
      manifest: see `build_manifest`.
      claims: its verdicts, written beside it as `<study>_claims.csv`.
    Returns:
      The paths of the table and of the manifest.
    Raises:
      GradlabError: not a study table, or `folder` can't be written.
    """
    check_study_table(table)
    name = str(table["study"].iloc[0])
    if not name.isidentifier():
        raise GradlabError(f"the study name {name!r} is not a Python identifier")
    with stage(folder) as staged:
        write_table(table, staged / f"{name}.csv")
        if claims is not None:
            write_table(claims, staged / f"{name}_claims.csv")
        write_manifest(manifest, staged / f"{name}.json")
    return Path(folder) / f"{name}.csv", Path(folder) / f"{name}.json"


def seed_intervals(
    table: pd.DataFrame, by: Sequence[str], *, level: float = 0.95
) -> pd.DataFrame:
    """Mean of `value` over seeds with a Student-t interval, one row per group.

    Seeds are the unit of replication: rows of one seed are averaged first.

    Args:
      table: columns seed, value and those of `by`; NaN values are left out.
      by: the columns that name a group; their order of appearance is kept.
      level: coverage of the interval.
    Returns:
      Columns `by`, value, low, high, seeds; low and high are NaN with one seed.
    """
    require_columns(table, ["seed", "value", *by], "the table")
    groups = list(by)
    options: dict[str, bool] = {"sort": False, "dropna": False, "observed": True}
    by_seed = table.groupby([*groups, "seed"], **options).agg(mean=("value", "mean"))
    result = by_seed.groupby(groups, **options).agg(
        value=("mean", "mean"), spread=("mean", "std"), seeds=("mean", "count")
    )
    result = result.reset_index()
    count = result["seeds"].to_numpy(float)
    quantile = np.where(
        count > 1, stdtrit(np.maximum(count - 1, 1), (1 + level) / 2), np.nan
    )
    half = quantile * result["spread"] / np.sqrt(np.maximum(count, 1))
    result["low"], result["high"] = result["value"] - half, result["value"] + half
    return result.reindex(columns=[*groups, "value", "low", "high", "seeds"])
