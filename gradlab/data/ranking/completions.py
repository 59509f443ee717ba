"""Several completions for each prompt, from JSON Lines.

One object a line: `prompt` (a string), `completions` (a list of strings), and where a
judge needs them `scores` (one number for each completion, larger is better) and
`solution` (the true solution). Other keys are ignored.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gradlab.data.badrows import BadRow, BadRowLog, OnBadRow, RowError, require_count
from gradlab.data.fields import MAX_CHARS, check_text
from gradlab.data.sources import file_digest, file_kind, jsonl_rows, type_name
from gradlab.errors import DataError

MAX_LINE_BYTES = 1 << 26


@dataclass(frozen=True)
class Completions:
    """One prompt with what was answered to it.

    Attributes:
      row: its line in the file, from 1.
      prompt: may be empty; prompt + completion is the whole text.
      completions: n >= 2 distinct texts, none empty.
      scores: [n] larger is better, or None.
      solution: the true solution, or None.
    """

    row: int
    prompt: str
    completions: tuple[str, ...]
    scores: tuple[float, ...] | None = None
    solution: str | None = None

    def __len__(self) -> int:
        """How many distinct completions there are."""
        return len(self.completions)


@dataclass(frozen=True)
class CompletionFile:
    """The good rows of a file, and an account of the others.

    Attributes:
      rows: in the order of the file.
      repeated: completions left out because an earlier one of the row is the same.
      skipped: rows left out, by reason; empty unless on_bad_row="skip".
      digest: SHA-256 of the file's bytes in hexadecimal.
      examples: the first few rows left out.
    """

    rows: list[Completions]
    repeated: int
    skipped: dict[str, int]
    digest: str
    examples: list[BadRow] = field(default_factory=list)


def read_completions(
    source: str | Path,
    *,
    needs: Collection[str] = (),
    limit: int | None = None,
    on_bad_row: OnBadRow = "stop",
) -> CompletionFile:
    """Reads prompts with their completions.

    Args:
      source: a JSON Lines file.
      needs: "scores", "solution" or both: without them a row is bad.
      limit: stop after this many good rows.
      on_bad_row: "stop" raises at the first bad row; "skip" counts it and goes on.

    Returns:
      The rows with counts of what was left out.

    Raises:
      DataError: an unusable file, no good row, or (with "stop") a bad row.
    """
    path = Path(source)
    expected = "prompts with completions as JSON Lines"
    if not path.is_file():
        raise DataError(f"{source}: no such file, expected {expected}.")
    if file_kind(path, expected) != "jsonl":
        raise DataError(f"{source}: found Parquet, expected {expected}.")
    if limit is not None:
        require_count("limit", limit)
    log = BadRowLog(str(source), on_bad_row, "line")
    rows: list[Completions] = []
    repeated = 0
    for number, found in jsonl_rows(path, max_line_bytes=MAX_LINE_BYTES):
        try:
            if isinstance(found, RowError):
                raise found
            rows.append(_row(found, number, needs))
            repeated += len(found["completions"]) - len(rows[-1])
        except RowError as error:
            log.add(number, error)
        if len(rows) == limit:
            break
    log.require_some(len(rows), expected)
    return CompletionFile(rows, repeated, log.counts, file_digest(path), log.examples)


def _row(found: Mapping[str, Any], number: int, needs: Collection[str]) -> Completions:
    for key in ("prompt", "completions", *needs):
        if found.get(key) is None:
            keys = ", ".join(repr(str(k)[:40]) for k in list(found)[:8]) or "no key"
            raise RowError("key missing", f"found {keys}, expected {key!r} too")
    check_text("prompt", found["prompt"], MAX_CHARS)
    texts = _texts(found["completions"])
    first = {text: place for place, text in reversed(list(enumerate(texts)))}
    kept = [place for place, text in enumerate(texts) if first[text] == place]
    if len(kept) < 2:
        detail = f"{len(texts)} completions, {len(kept)} distinct, expected at least 2"
        raise RowError("too few completions", detail)
    scores = found.get("scores") if "scores" in needs else None
    if scores is not None:
        _check_scores(scores, len(texts))
        scores = tuple(float(scores[place]) for place in kept)
    solution = found.get("solution") if "solution" in needs else None
    if solution is not None:
        check_text("solution", solution, MAX_CHARS)
    kept_texts = tuple(texts[place] for place in kept)
    return Completions(number, found["prompt"], kept_texts, scores, solution)


def _texts(found: object) -> list[str]:
    if not isinstance(found, list):
        detail = f"'completions' is {type_name(found)}, expected a list of strings"
        raise RowError("not a list", detail)
    for place, text in enumerate(found, 1):
        check_text(f"completion {place}", text, MAX_CHARS)
        if not text:
            detail = f"completion {place} is empty, expected at least one character"
            raise RowError("empty completion", detail)
    return found


def _check_scores(found: object, count: int) -> None:
    if not isinstance(found, list) or len(found) != count:
        what = f"{len(found)} of them" if isinstance(found, list) else type_name(found)
        detail = f"'scores' is {what}, expected a list of {count} numbers"
        raise RowError("scores don't fit", detail)
    for place, score in enumerate(found, 1):
        if type(score) not in (int, float) or not _is_finite(score):
            what = type_name(score) if type(score) is not float else score
            detail = f"score {place} is {what}, expected a finite number"
            raise RowError("scores don't fit", detail)


def _is_finite(score: float) -> bool:
    try:
        return math.isfinite(score)
    except OverflowError:  # an integer beyond the largest float
        return False
