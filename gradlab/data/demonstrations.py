"""Demonstrations: texts to be learned as they are, read and tokenised.

Three forms, told apart row by row: `prompt` with `completion` (two strings, or two
lists of messages), of which the completion is learned; `messages`, of which the last is
learned; and `text`, of which everything but the first token is. A long text is cut into
pieces, each of which is a row; a long completion loses its end. A chat template marks
the end of its answers itself, so EOS is put behind the other forms alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradlab.data.badrows import BadRowLog, OnBadRow, RowError
from gradlab.data.boundary import answer_start, shared_length
from gradlab.data.encoding import Tokenizer
from gradlab.data.fields import MAX_CHARS, Message, check_messages, check_text
from gradlab.data.sources import (
    Row,
    file_digest,
    jsonl_rows,
    open_kind,
    parquet_rows,
)
from gradlab.data.tokenized import TokenizedPair
from gradlab.errors import DataError

COLUMNS = ("prompt", "completion", "messages", "text", "chosen")


@dataclass(frozen=True)
class Demonstrations:
    """Demonstrations as ids.

    Attributes:
      pairs: each with an empty rejected response.
      digest: SHA-256 of the file.
      notes: what was left out or cut, one line each.
    """

    pairs: list[TokenizedPair]
    digest: str
    notes: list[str]


def holds_pairs(source: str | Path) -> bool:
    """Whether a source holds preference pairs, by its first row."""
    kind = open_kind(source)
    if kind == "hub":
        return True
    first = next(iter(_rows(source, kind)), None)
    return first is not None and isinstance(first[1], Mapping) and "chosen" in first[1]


def read_demonstrations(
    source: str | Path,
    tokenizer: Tokenizer,
    *,
    max_length: int,
    append_eos: bool = True,
    limit: int | None = None,
    on_bad_row: OnBadRow = "stop",
) -> Demonstrations:
    """Reads and tokenises a JSON Lines or Parquet file.

    Args:
      source: rows with prompt and completion, messages, or text.
      tokenizer: BOS goes in front where its convention puts it, EOS behind.
      max_length: most tokens of prompt and response together.
      append_eos: end each completion and each text with EOS, but for what a chat
        template ends.
      limit: stop after this many good rows.
      on_bad_row: "stop" raises at the first bad row; "skip" counts it and goes on.

    Raises:
      DataError: an unusable source, no good row, or (with "stop") a bad row.
    """
    kind = open_kind(source)
    if kind == "hub":
        raise DataError(f"{source}: found a hub data set, expected a file for sft")
    log = BadRowLog(str(source), on_bad_row, "line" if kind == "jsonl" else "row")
    eos = [tokenizer.eos_id] if append_eos and tokenizer.eos_id is not None else []
    pairs: list[TokenizedPair] = []
    good = cut = 0
    for number, row in _rows(source, kind):
        try:
            if isinstance(row, RowError):
                raise row
            texts = _texts(row, tokenizer)
            prompt, response = _ids(texts, tokenizer)
            response += [] if texts.ended else eos
            pieces = list(_pieces(prompt, response, "text" in row, max_length))
        except RowError as error:
            log.add(number, error)
            continue
        good += 1
        cut += sum(len(part) for _, part in pieces) < len(response)
        pairs += [TokenizedPair(number, *piece, rejected=[]) for piece in pieces]
        if good == limit:
            break
    log.require_some(good, "demonstrations")
    notes = [f"{good} demonstrations, {len(pairs)} sequences, {cut} cut to fit"]
    notes += [log.summary()] if log.counts else []
    return Demonstrations(pairs, file_digest(source), notes)


def _rows(source: str | Path, kind: str) -> Iterator[Row]:
    if kind == "jsonl":
        yield from jsonl_rows(source, max_line_bytes=12 * MAX_CHARS)
        return
    yield from parquet_rows(source, COLUMNS)


@dataclass(frozen=True)
class _Texts:
    """What is given, all of it, and whether its end is marked already."""

    prompt: str
    whole: str
    ended: bool = False


def _texts(row: Mapping[str, Any], tokenizer: Tokenizer) -> _Texts:
    if "text" in row:
        return _Texts("", _text(row, "text"))
    if "messages" in row:
        messages = check_messages("messages", row["messages"], MAX_CHARS)
        return _conversation(messages[:-1], messages[-1:], tokenizer)
    for key in ("prompt", "completion"):
        if key not in row:
            found = ", ".join(map(repr, list(row)[:8])) or "no key"
            wanted = "expected text, messages, or prompt and completion"
            raise RowError("key missing", f"found {found}, {wanted}")
    if isinstance(row["prompt"], list):
        before = check_messages("prompt", row["prompt"], MAX_CHARS)
        answer = check_messages("completion", row["completion"], MAX_CHARS)
        return _conversation(before, answer, tokenizer)
    prompt = _text(row, "prompt")
    return _Texts(prompt, prompt + _text(row, "completion"))


def _text(row: Mapping[str, Any], key: str) -> str:
    check_text(key, row[key], MAX_CHARS)
    return row[key]


def _conversation(
    prompt: list[Message], answer: list[Message], tokenizer: Tokenizer
) -> _Texts:
    if not answer or answer[0]["role"] != "assistant":
        role = repr(answer[0]["role"][:40]) if answer else "nothing"
        detail = f"the prompt is followed by {role}, expected role 'assistant'"
        raise RowError("no answer", detail)
    try:
        whole = tokenizer.render_chat([*prompt, *answer], add_generation_prompt=False)
        front = answer_start(prompt, [whole], tokenizer) if prompt else ""
    except DataError as error:
        raise RowError("chat template", str(error)) from error
    return _Texts(front, whole, ended=tokenizer.chat_template is not None)


def _ids(texts: _Texts, tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Prompt, with BOS, and response, without EOS."""
    prompt, whole = tokenizer.encode_batch([texts.prompt, texts.whole])
    if shared_length(prompt, whole) == len(prompt):
        response = whole[len(prompt) :]
    else:  # a token would straddle the boundary
        response = tokenizer.encode_batch([texts.whole[len(texts.prompt) :]])[0]
    bos = tokenizer.bos_id
    wanted = tokenizer.adds_bos or not prompt
    if bos is not None and wanted and prompt[:1] != [bos]:
        prompt = [bos, *prompt]
    if not prompt:
        prompt, response = response[:1], response[1:]
    if not response:
        raise RowError("empty response", "nothing to learn, expected a token or more")
    return prompt, response


def _pieces(
    prompt: list[int], response: list[int], is_text: bool, most: int
) -> Iterator[tuple[list[int], list[int]]]:
    """Prompt and response of each sequence; only a text gives more than one."""
    prompt = prompt[-(most - 1) :]
    room = most - len(prompt)
    yield prompt, response[:room]
    rest = response[room:] if is_text else []
    for start in range(0, len(rest), most - 1):
        # A later piece is predicted from the token before it.
        before = (response[:room] + rest)[room + start - 1]
        yield [before], rest[start : start + most - 1]
