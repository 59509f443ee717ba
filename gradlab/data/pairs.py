"""Preference pairs: read, validated, never cut and never dropped silently.

Three forms, as in TRL, told apart row by row:

* explicit: strings `prompt`, `chosen`, `rejected`. The full text of a side is the
  prompt followed directly by the response. The prompt may be empty.
* implicit: strings `chosen`, `rejected`, each with the prompt in front. The prompt is
  what both share; it is taken apart on token ids, when the pair is tokenised.
* conversational: lists of messages {"role": ..., "content": ...}. Either `prompt` is a
  list too, or the messages that both sides begin with are the prompt. Responses begin
  with an assistant message. A string `prompt` beside two lists is allowed where it
  repeats the content of one of the shared messages (UltraFeedback does this).

Other keys of a row are ignored.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gradlab.data.badrows import (
    BadRow,
    BadRowLog,
    OnBadRow,
    RowError,
    require_count,
    summarise,
)
from gradlab.data.fields import MAX_CHARS, Message, check_messages, check_text
from gradlab.data.sources import (
    COLUMNS,
    Row,
    file_digest,
    hub_rows,
    jsonl_rows,
    open_kind,
    parquet_rows,
    require_object,
)
from gradlab.errors import DataError

Form = Literal["explicit", "implicit", "conversational"]


@dataclass(frozen=True)
class Pair:
    """One preference pair as text.

    Attributes:
      prompt: a string (explicit), a list of messages (conversational), or None where
        the two responses still hold the prompt (implicit).
      chosen: the preferred response: a string or a list of messages.
      rejected: the dispreferred response, of the same type.
      row: its line (JSON Lines) or row in the source, from 1.
      form: "explicit", "implicit" or "conversational".
    """

    prompt: str | list[Message] | None
    chosen: str | list[Message]
    rejected: str | list[Message]
    row: int
    form: Form


@dataclass(frozen=True)
class PairFile:
    """The good pairs of a source, and an account of the others.

    Attributes:
      pairs: in the order of the source; equal pairs are all kept.
      skipped: rows left out, by reason; empty unless on_bad_row="skip".
      source: the path or hub id as given.
      digest: SHA-256 of the file's bytes in hexadecimal; for a hub data set or rows in
        memory, of the three fields of the rows that were read.
      examples: the first few rows left out, with number, reason and detail.
      unit: what a row is called: "line" (JSON Lines) or "row".
    """

    pairs: list[Pair]
    skipped: dict[str, int]
    source: str
    digest: str
    examples: list[BadRow] = field(default_factory=list)
    unit: str = "row"

    def __len__(self) -> int:
        """How many good pairs there are."""
        return len(self.pairs)

    def __iter__(self) -> Iterator[Pair]:
        """The good pairs in order."""
        return iter(self.pairs)

    def summary(self) -> str:
        """'1198 pairs; 2 rows left out (2 empty response)'."""
        left_out = f"; {summarise(self.skipped)}" if self.skipped else ""
        return f"{len(self.pairs)} pair{'s'[: len(self.pairs) != 1]}{left_out}"


def read_pairs(
    source: str | Path | Iterable[Mapping[str, Any]],
    *,
    limit: int | None = None,
    on_bad_row: OnBadRow = "stop",
    max_chars: int = MAX_CHARS,
) -> PairFile:
    """Reads preference pairs from JSON Lines, Parquet, a hub data set or memory.

    Args:
      source: a path, a hub id owner/name[/folder][[:config]:split] (see `hub_rows`), or
        rows in memory. A path that exists wins. Archives are not unpacked.
      limit: stop after this many good pairs; rows behind them are not looked at.
      on_bad_row: "stop" raises at the first bad row; "skip" counts it and goes on.
        Empty lines are no rows and not counted.
      max_chars: most characters (code points) in each of prompt, chosen and rejected. A
        longer text is a bad row; nothing is cut.

    Returns:
      The pairs with counts of what was left out.

    Raises:
      DataError: an unusable source, no good row, or (with "stop") a bad row.
      MissingExtraError: a hub id without the package `datasets`.

    Guarantees:
      Every row of the file up to the limit is a pair, is counted in `skipped`, or has
      raised. Texts are passed on unchanged. A text is not accepted if it is empty (but
      for an explicit prompt), holds U+0000 or a lone surrogate.

    Example:
      >>> import json, tempfile, pathlib
      >>> path = pathlib.Path(tempfile.mkdtemp(), "pairs.jsonl")
      >>> row = {"prompt": "2 + 2 =", "chosen": " 4", "rejected": " 5"}
      >>> _ = path.write_text(json.dumps(row))
      >>> read_pairs(path).pairs[0].chosen
      ' 4'
    """
    require_count("max_chars", max_chars)
    if limit is not None:
        require_count("limit", limit)
    if isinstance(source, str | Path):
        kind, name = open_kind(source), str(source)
    else:
        kind, name = "rows", "rows in memory"
    log = BadRowLog(name, on_bad_row, "line" if kind == "jsonl" else "row")
    digest = hashlib.sha256()
    pairs: list[Pair] = []
    for number, row in _rows(source, kind, max_chars):
        try:
            if isinstance(row, RowError):
                raise row
            if kind in ("hub", "rows"):
                digest.update(_canonical(row))
            pairs.append(make_pair(row, number, max_chars=max_chars))
        except RowError as error:
            log.add(number, error)
        if len(pairs) == limit:
            break
    log.require_some(len(pairs), "preference pairs")
    sha = file_digest(name) if kind in ("jsonl", "parquet") else digest.hexdigest()
    return PairFile(pairs, log.counts, name, sha, log.examples, log.unit)


def _rows(source: Any, kind: str, max_chars: int) -> Iterator[Row]:
    if kind == "rows":
        if isinstance(source, Mapping) or not isinstance(source, Iterable):
            found = type(source).__name__
            raise DataError(
                f"source: found {found}, expected a path or a list of rows."
            )
        return ((number, require_object(row)) for number, row in enumerate(source, 1))
    if kind == "hub":
        return hub_rows(source)
    if kind == "parquet":
        return parquet_rows(source, COLUMNS, needs=COLUMNS[1:])
    # A character takes at most 6 bytes as a JSON escape (12 beyond the BMP).
    return jsonl_rows(source, max_line_bytes=12 * len(COLUMNS) * max_chars + (1 << 20))


def _canonical(row: Mapping[str, Any]) -> bytes:
    known = {key: row[key] for key in COLUMNS if key in row}
    return json.dumps(known, skipkeys=True, default=str).encode() + b"\n"


def make_pair(
    row: Mapping[str, Any], number: int, *, max_chars: int = MAX_CHARS
) -> Pair:
    """Validates one row and tells its form.

    Args:
      row: an object with `chosen`, `rejected` and perhaps `prompt`.
      number: the row's number in its source, from 1.
      max_chars: most characters of each text.

    Raises:
      RowError: with a reason and what was found.
    """
    missing = [key for key in ("chosen", "rejected") if key not in row]
    if missing:
        found = ", ".join(repr(str(key)[:40]) for key in list(row)[:8]) or "no key"
        detail = f"found {found}, expected {' and '.join(map(repr, missing))} too"
        raise RowError("key missing", detail)
    texts = {key: row[key] for key in COLUMNS if key in row}
    if isinstance(row["chosen"], list) or isinstance(row["rejected"], list):
        pair = _conversation(texts, number, max_chars)
    else:
        for key, text in texts.items():
            check_text(key, text, max_chars)
        form: Form = "explicit" if "prompt" in texts else "implicit"
        pair = Pair(row.get("prompt"), row["chosen"], row["rejected"], number, form)
    for key, response in (("chosen", pair.chosen), ("rejected", pair.rejected)):
        if not any(
            part if isinstance(part, str) else part["content"] for part in response
        ):
            where = " after the prompt" if pair.form == "conversational" else ""
            detail = f"{key!r} is empty{where}, expected at least one character"
            raise RowError("empty response", detail)
    if pair.chosen == pair.rejected:
        raise RowError("identical pair", "'chosen' and 'rejected' are the same")
    return pair


def _conversation(texts: dict[str, Any], number: int, max_chars: int) -> Pair:
    sides = [
        check_messages(key, texts[key], max_chars) for key in ("chosen", "rejected")
    ]
    prompt = texts.get("prompt")
    if isinstance(prompt, list):
        prompt = check_messages("prompt", prompt, max_chars)
    else:
        shared = _shared_messages(*sides)
        named = texts.get("prompt")
        if "prompt" in texts:
            check_text("prompt", named, max_chars)
            if named not in [message["content"] for message in sides[0][:shared]]:
                detail = "'prompt' is a string that no shared message repeats"
                raise RowError("prompts differ", detail)
        prompt, *sides = sides[0][:shared], *(side[shared:] for side in sides)
    chosen, rejected = sides
    if chosen != rejected:
        for key, side in zip(("chosen", "rejected"), sides, strict=True):
            if side and side[0]["role"] != "assistant":
                detail = (
                    f"after the prompt {key!r} goes on with role"
                    f" {side[0]['role'][:40]!r}, expected 'assistant'"
                )
                raise RowError("prompts differ", detail)
    return Pair(prompt, chosen, rejected, number, "conversational")


def _shared_messages(chosen: list[Message], rejected: list[Message]) -> int:
    pairs = zip(chosen, rejected, strict=False)
    shared = next((n for n, (one, other) in enumerate(pairs) if one != other), None)
    if shared is None:
        shared = min(len(chosen), len(rejected))
    return shared if chosen != rejected else shared - 1
