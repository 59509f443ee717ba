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

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gradlab.data.badrows import require_count
from gradlab.data.sources import file_digest
from gradlab.errors import DataError
from gradlab.inputs.scored import SIDES
from gradlab.inputs.token_rows import read_rows

NEEDED = ("pair", "side", "position", "logp")
STATISTICS = ("ref_logp", "log_sum_sq", "entropy", "max_logp")
POSITIVE = 1e-3  # nats above 0 to which rounding may carry what is then read as 0
WHOLE = 2**31  # beyond the largest id
MOST_CELLS = 2**28  # pairs times longest response: some ten arrays have that size


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
    if limit is not None:
        require_count("limit", limit)
    try:
        table = _table(*read_rows(path), path, step)
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror}") from error
    rows = table.rows
    if limit is not None:
        rows = rows.loc[rows["pair"] < limit].reset_index(drop=True)
    pairs, longest = len(set(rows["pair"])), 1 + int(rows["position"].to_numpy().max())
    if pairs * longest > MOST_CELLS:
        raise DataError(
            f"{path}: {pairs} pairs with up to {longest} tokens; expected at most "
            f"{MOST_CELLS}, pairs times the longest response (--limit takes the first)"
        )
    notes = [f"{pairs} pairs, {len(rows)} tokens", *table.notes]
    return replace(table, rows=rows, notes=notes)


def _table(
    rows: pd.DataFrame, names: Sequence[str], path: Path, step: int | None
) -> TokenTable:
    notes: list[str] = []
    reference = "column ref_logp"
    if {"step", "probe"} <= set(rows) and "pair" not in rows:
        rows, step = _of_probes(rows, step, path)
        notes.append(f"probes at step {step}, with step 0 as the reference")
        reference = "the policy at step 0"
    elif step is not None:
        raise DataError(f"{path}: no column 'probe'; a step is chosen from probes only")
    elif "loss" in rows and len(rows):
        _require_text(rows, "loss", path)
        rows = rows.loc[rows["loss"] == rows["loss"].iloc[0]]
    _require_columns(rows, names, path)
    rows = _masked(rows, path, notes)
    given = [name for name in STATISTICS if name in rows]
    rows = rows.drop(
        columns=[name for name in given if rows[name].isna().to_numpy().all()]
    )
    rows = _numbered(_checked(rows, path), path)
    return TokenTable(rows, str(path), file_digest(path), notes, reference)


def _of_probes(
    rows: pd.DataFrame, step: int | None, path: Path
) -> tuple[pd.DataFrame, int]:
    """Probes as pairs: the sides chosen and rejected at one step."""
    for name in ("row", "logp", "drift"):
        if name not in rows:
            raise DataError(f"{path}: no column {name!r}; expected a table of probes")
    if rows.empty:
        raise DataError(f"{path}: no row; expected probes")
    steps = _whole(rows, "step", path)
    measured = np.unique(steps).tolist()
    wanted = measured[-1] if step is None else step
    if wanted not in measured:
        some = ", ".join(map(str, measured[:20])) + ", ..." * (len(measured) > 20)
        raise DataError(f"{path}: no probes at step {wanted}; expected one of {some}")
    kept = rows.loc[(steps == wanted) & rows["probe"].isin(SIDES)]
    if missing := sorted(set(SIDES) - set(kept["probe"])):
        raise DataError(
            f"{path}: no probes {missing[0]!r} at step {wanted}; expected the kinds "
            "chosen and rejected"
        )
    logp, drift = (_numbers(kept, name, path) for name in ("logp", "drift"))
    return kept.assign(
        pair=_whole(kept, "row", path), side=kept["probe"], ref_logp=logp - drift
    ), int(wanted)


def _masked(rows: pd.DataFrame, path: Path, notes: list[str]) -> pd.DataFrame:
    if "mask" not in rows:
        return rows
    mask = _numbers(rows, "mask", path)
    _require(np.isin(mask, (0, 1)), rows, "mask", "0 or 1", path)
    if left_out := int((mask == 0).sum()):
        notes.append(f"{left_out} rows with mask 0 left out")
    return rows.loc[mask == 1]


def _require_columns(rows: pd.DataFrame, names: Sequence[str], path: Path) -> None:
    for name in NEEDED:
        if name not in rows:
            found = ", ".join(f"{x:.40}" for x in names[:20]) or "none"
            raise DataError(f"{path}: no column {name!r}; found {found}")
    if not {"token_id", "token"} & set(rows):
        raise DataError(
            f"{path}: neither 'token_id' nor 'token'; expected one of them, to see "
            "where the responses of a pair agree"
        )


def _checked(rows: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Numbers as numbers; the first bad cell is refused."""
    if rows.empty:
        raise DataError(f"{path}: no row; expected at least one pair")
    _require(rows["side"].isin(SIDES), rows, "side", "chosen or rejected", path)
    columns: dict[str, np.ndarray] = {}
    for name in {"position", "token_id", "row"} & set(rows):
        columns[name] = _whole(rows, name, path)
    for name in ("logp", *STATISTICS):
        if name in rows:
            found = _numbers(rows, name, path)
            high = math.inf if name == "entropy" else POSITIVE
            what = "a finite number" + ("" if name == "entropy" else ", at most 0")
            _require(np.isfinite(found) & (found <= high), rows, name, what, path)
            columns[name] = found if name == "entropy" else np.minimum(found, 0)
    for name in {"token", "prompt"} & set(rows):
        _require_text(rows, name, path)
    good = [isinstance(value, int | str | np.integer) for value in rows["pair"]]
    _require(good, rows, "pair", "a whole number or a text", path)
    return rows.assign(**columns)


def _numbers(rows: pd.DataFrame, name: str, path: Path) -> np.ndarray:
    """A column as float64 or, where it is that, float32; NaN where there is nothing."""
    column = rows[name]
    if column.dtype == np.float32:
        return column.to_numpy()
    if getattr(column.dtype, "kind", "O") in "iufb":
        return column.to_numpy(np.float64)
    found = np.array([_float(value) for value in column])
    _require(np.isfinite(found) | column.isna(), rows, name, "a number", path)
    return found


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _whole(rows: pd.DataFrame, name: str, path: Path) -> np.ndarray:
    found = _numbers(rows, name, path)
    good = (found >= 0) & (found < WHOLE) & (found == np.floor(found))
    _require(good, rows, name, "a whole number from 0", path)
    return found.astype(np.int64)


def _require_text(rows: pd.DataFrame, name: str, path: Path) -> None:
    good = [isinstance(value, str) for value in rows[name]]
    _require(good, rows, name, "a text", path)


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
            f"pair {names[pair[at]]!r:.60}; expected positions one after another"
        )
    starts = np.flatnonzero(np.append(True, ~inside))
    lengths = np.diff(np.append(starts, len(rows)))
    for code, name in enumerate(SIDES):
        missing = np.setdiff1d(np.arange(len(names)), pair[side == code])
        if missing.size:
            raise DataError(
                f"{path}: pair {names[missing[0]]!r:.60} has no {name} response; "
                "expected both sides"
            )
    return _columns(
        rows, pair, np.arange(len(rows)) - np.repeat(starts, lengths), names
    )


def _columns(
    rows: pd.DataFrame, pair: np.ndarray, position: np.ndarray, names: Sequence[Any]
) -> pd.DataFrame:
    # Names that are numbers, and as large as an int64 can be, are rows of the source.
    whole = not any(isinstance(n, str) or abs(int(n)) >= 2**63 for n in names)
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
