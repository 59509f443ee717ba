"""Token log-probabilities that somebody has computed already: read and checked.

Parquet, JSON Lines or CSV, one row per response token. Columns:

    pair         whole number or text; which rows belong together
    side         chosen or rejected
    position     whole number; order of the tokens, without gaps among those that count
    logp         log-probability under the policy, nats
    token_id     whole number from 0; may be left out where there is `token`
    token        text; may be left out where there is `token_id`
    ref_logp     log-probability under the reference, nats; for losses with a reference
    log_sum_sq   log sum_v p_v^2; for WPO, and for the norm of the logit gradient
    entropy, max_logp   nats; shown beside the rest
    mask         0 for rows that are no response tokens; they are left out
    row          the pair's row in its source
    prompt       text of the prompt; the first one of a pair is read

Other columns are passed over. Two tables of this library are taken as they are: a
tokens table with several losses (of which the first is read: all have the same tokens)
and `probe_tokens.parquet` of a training run, whose probes `chosen` and `rejected` are
the sides, at one step, with the policy at step 0 as the reference.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gradlab.data.badrows import RowError
from gradlab.data.sources import file_kind, jsonl_rows
from gradlab.errors import DataError
from gradlab.inputs.scored import SIDES

NEEDED = ("pair", "side", "position", "logp")
STATISTICS = ("ref_logp", "log_sum_sq", "entropy", "max_logp")
POSITIVE = 1e-3  # nats by which rounding may carry a log-probability above 0
WHOLE = 2**31  # beyond the largest id


@dataclass(frozen=True)
class TokenTable:
    """The rows that count, sorted by pair, side and position.

    Attributes:
      rows: pair (from 0), row (in the source, from 1), side, position (from 0),
        token_id, token, logp, prompt, and those of `STATISTICS` that the file has.
      source: the file.
      digest: SHA-256 of its bytes.
      notes: what was chosen or left out, one line each.
      reference: what `ref_logp` is of.
    """

    rows: pd.DataFrame
    source: str
    digest: str
    notes: list[str]
    reference: str

    @property
    def prompts(self) -> pd.DataFrame:
        """One row per pair: pair, row and the text of its prompt, "" if not known."""
        first = self.rows.drop_duplicates("pair")
        return first.loc[:, ["pair", "row", "prompt"]].reset_index(drop=True)


def read_token_table(
    path: str | Path, *, step: int | None = None, limit: int | None = None
) -> TokenTable:
    """Reads token log-probabilities; see the module for the columns.

    Args:
      path: the file.
      step: of a table of probes; the last one by default.
      limit: only the first so many pairs.

    Raises:
      DataError: the message names the file, and the row and column where they are
        at fault.
    """
    path = Path(path)
    try:
        table = _table(_read(path), path, step)
    except (ValueError, OSError, TypeError, NotImplementedError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: not a readable table: {error}") from error
    rows = table.rows
    if limit is not None:
        rows = rows.loc[rows["pair"] < limit].reset_index(drop=True)
    count = f"{len(set(rows['pair']))} pairs, {len(rows)} tokens"
    return replace(table, rows=rows, notes=[count, *table.notes])


def _table(rows: pd.DataFrame, path: Path, step: int | None) -> TokenTable:
    notes: list[str] = []
    reference = "column ref_logp"
    if {"step", "probe"} <= set(rows) and "pair" not in rows:
        rows, step = _of_probes(rows, step, path)
        notes.append(f"probes at step {step}, with step 0 as the reference")
        reference = "the policy at step 0"
    elif step is not None:
        raise DataError(f"{path}: no column 'probe'; a step is chosen from probes only")
    if "loss" in rows and len(rows):
        first = rows["loss"].iloc[0]
        rows = rows.loc[rows["loss"] == first]
    rows = _masked(rows, path, notes)
    given = [name for name in STATISTICS if name in rows]
    rows = rows.drop(
        columns=[name for name in given if rows[name].isna().to_numpy().all()]
    )
    rows = _numbered(_checked(rows, path), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return TokenTable(rows, str(path), digest, notes, reference)


def _read(path: Path) -> pd.DataFrame:
    """All rows; the index counts them from 1 as the file does."""
    if not path.is_file():
        raise DataError(
            f"{path}: no such file; expected token log-probabilities as .parquet, "
            ".jsonl or .csv"
        )
    if path.suffix == ".csv":
        text: Any = dict.fromkeys(("token", "side", "loss", "probe", "prompt"), str)
        gaps: Any = {c: [""] for c in (*NEEDED, *STATISTICS, "token_id", "mask")}
        rows = pd.read_csv(
            path, dtype=text, na_values=gaps, keep_default_na=False, low_memory=False
        )
    elif file_kind(path, "token log-probabilities") == "parquet":
        rows = pd.read_parquet(path)
    else:
        return _of_lines(path)
    return rows.set_axis(range(1, len(rows) + 1))


def _of_lines(path: Path) -> pd.DataFrame:
    numbers, found = [], []
    for number, row in jsonl_rows(path, max_line_bytes=1 << 20):
        if isinstance(row, RowError) or not isinstance(row, dict):
            raise DataError(f"{path}, line {number}: expected a JSON object: {row}")
        numbers.append(number)
        found.append(row)
    return pd.DataFrame(found, index=pd.Index(numbers))


def _of_probes(
    rows: pd.DataFrame, step: int | None, path: Path
) -> tuple[pd.DataFrame, int]:
    """Probes as pairs: the sides chosen and rejected at one step."""
    for name in ("row", "drift"):
        if name not in rows:
            raise DataError(f"{path}: no column {name!r}; expected a table of probes")
    measured = sorted(set(rows["step"].tolist()))
    if not measured:
        raise DataError(f"{path}: no row; expected probes")
    wanted = measured[-1] if step is None else step
    if wanted not in measured:
        raise DataError(
            f"{path}: no probes at step {wanted}; expected one of "
            + ", ".join(map(str, measured))
        )
    kept = rows[(rows["step"] == wanted) & rows["probe"].isin(SIDES)]
    if missing := sorted(set(SIDES) - set(kept["probe"])):
        raise DataError(
            f"{path}: no probes {missing[0]!r} at step {wanted}; expected the kinds "
            "chosen and rejected"
        )
    return kept.assign(
        pair=kept["row"], side=kept["probe"], ref_logp=kept["logp"] - kept["drift"]
    ), int(wanted)


def _masked(rows: pd.DataFrame, path: Path, notes: list[str]) -> pd.DataFrame:
    if "mask" not in rows:
        return rows
    mask = _numbers(rows, "mask", path)
    _require(np.isin(mask, (0, 1)), rows, "mask", "0 or 1", path)
    if left_out := int((mask == 0).sum()):
        notes.append(f"{left_out} rows with mask 0 left out")
    return rows.loc[mask == 1]


def _checked(rows: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Numbers as numbers; missing columns and the first bad cell are refused."""
    for name in NEEDED:
        if name not in rows:
            raise DataError(
                f"{path}: no column {name!r}; found {', '.join(map(str, rows.columns))}"
            )
    if not {"token_id", "token"} & set(rows):
        raise DataError(
            f"{path}: neither 'token_id' nor 'token'; expected one of them, to see "
            "where the responses of a pair agree"
        )
    if rows.empty:
        raise DataError(f"{path}: no row; expected at least one pair")
    _require(rows["side"].isin(SIDES), rows, "side", "chosen or rejected", path)
    columns: dict[str, np.ndarray] = {}
    for name in {"position", "token_id", "row"} & set(rows):
        found = _numbers(rows, name, path)
        good = (found >= 0) & (found < WHOLE) & (found == np.floor(found))
        _require(good, rows, name, "a whole number from 0", path)
        columns[name] = found.astype(np.int64)
    for name in ("logp", *STATISTICS):
        if name in rows:
            found = _numbers(rows, name, path)
            high = math.inf if name == "entropy" else POSITIVE
            what = "a finite number" + ("" if name == "entropy" else ", at most 0")
            _require(np.isfinite(found) & (found <= high), rows, name, what, path)
            columns[name] = found
    for name in {"pair", "token", "prompt"} & set(rows):
        kinds = (int, str, np.integer) if name == "pair" else (str,)
        good = [isinstance(value, kinds) for value in rows[name]]
        what = "a whole number or a text" if name == "pair" else "a text"
        _require(good, rows, name, what, path)
    return rows.assign(**columns)


def _numbers(rows: pd.DataFrame, name: str, path: Path) -> np.ndarray:
    """A column as float64 or, where it is that, float32; NaN where there is nothing."""
    column = rows[name]
    if column.dtype == np.float32:
        return column.to_numpy()
    found: Any = pd.to_numeric(column, errors="coerce")
    _require(found.notna() | column.isna(), rows, name, "a number", path)
    return found.to_numpy(np.float64, na_value=np.nan)


def _require(good: Any, rows: pd.DataFrame, name: str, what: str, path: Path) -> None:
    """Refuses the first row that isn't good."""
    bad = np.flatnonzero(~np.asarray(good, bool))
    if len(bad):
        found = rows[name].iloc[bad[0]]
        found = found.item() if isinstance(found, np.generic) else found
        raise DataError(
            f"{path}, row {rows.index[bad[0]]}, column {name!r}: {found!r:.60}; "
            f"expected {what}"
        )


def _numbered(rows: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Pairs and positions counted from 0, in order; every response whole."""
    pair, found = pd.factorize(rows["pair"])
    names = list(found)
    side = (rows["side"] == SIDES[1]).to_numpy(int)
    position = rows["position"].to_numpy(np.int64)
    order = np.lexsort([position, pair, side])
    rows, pair, side = rows.iloc[order], pair[order], side[order]
    steps = np.diff(position[order])
    inside = np.diff(pair + len(names) * side) == 0
    if (wrong := np.flatnonzero(inside & (steps != 1))).size:
        at = wrong[0] + 1
        what = "is there twice" if steps[wrong[0]] == 0 else "follows a gap"
        raise DataError(
            f"{path}, row {rows.index[at]}, column 'position': "
            f"{rows['position'].iloc[at]} {what} in the {SIDES[side[at]]} response of "
            f"pair {names[pair[at]]!r}; expected positions one after another"
        )
    starts = np.flatnonzero(np.append(True, ~inside))
    lengths = np.diff(np.append(starts, len(rows)))
    for code, name in enumerate(SIDES):
        missing = np.setdiff1d(np.arange(len(names)), pair[side == code])
        if missing.size:
            raise DataError(
                f"{path}: pair {names[missing[0]]!r} has no {name} response; expected "
                "both sides"
            )
    return _columns(
        rows, pair, np.arange(len(rows)) - np.repeat(starts, lengths), names
    )


def _columns(
    rows: pd.DataFrame, pair: np.ndarray, position: np.ndarray, names: Sequence[Any]
) -> pd.DataFrame:
    whole = all(isinstance(name, int | np.integer) for name in names)
    known = rows["row"] if "row" in rows else rows["pair"] if whole else pair + 1
    if "token_id" in rows:
        ids = rows["token_id"].to_numpy(np.int64)
        texts = rows["token"] if "token" in rows else [f"⟨{i}⟩" for i in ids]
    else:
        ids, texts = pd.factorize(rows["token"])[0], rows["token"]
    columns = {name: rows[name] for name in ("logp", *STATISTICS) if name in rows}
    return pd.DataFrame(
        {
            "pair": pair,
            "row": np.asarray(known, np.int64),
            "side": rows["side"].astype(str).to_numpy(),
            "position": position,
            "token_id": ids,
            "token": np.asarray(texts, object),
            "prompt": rows["prompt"].to_numpy() if "prompt" in rows else "",
            **{name: column.to_numpy() for name, column in columns.items()},
        }
    )
