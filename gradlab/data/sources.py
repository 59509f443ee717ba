"""Rows out of JSON Lines files, Parquet files and hub data sets, one at a time."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from gradlab.data.badrows import RowError
from gradlab.errors import DataError, MissingExtraError

COLUMNS = ("prompt", "chosen", "rejected")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(?:/[\w./-]+)?(?::[\w.-]+){0,2}")
FILE_SUFFIXES = {".jsonl", ".json", ".ndjson", ".parquet", ".csv", ".gz", ".txt"}
UTF8_MARK = b"\xef\xbb\xbf"
ARCHIVES = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
}
Row = tuple[
    int, Mapping[str, Any] | RowError
]  # number from 1, and the row or its fault


def open_kind(source: str | Path) -> str:
    """Tells what a source is: "jsonl", "parquet" or "hub".

    An existing path is a file; its first bytes decide between the formats. Any other
    string of the form owner/name is a hub data set.

    Raises:
      DataError: a missing file, a directory, an archive, an empty file, UTF-16.
    """
    path = Path(source)
    if not path.exists():
        if isinstance(source, str) and _looks_like_hub_id(source):
            return "hub"
        raise DataError(
            f"{source}: no such file. Expected a JSON Lines or Parquet file of"
            " preference pairs, or a hub data set owner/name[/folder][:config][:split]."
        )
    if not path.is_file():
        inside = sorted(p.name for p in path.glob("*.*") if p.is_file())[:5]
        hint = f" It holds {', '.join(inside)}." if path.is_dir() and inside else ""
        kind = "a directory" if path.is_dir() else "not a regular file"
        raise DataError(f"{source}: found {kind}, expected one file of pairs.{hint}")
    return file_kind(path)


def _looks_like_hub_id(source: str) -> bool:
    suffix = Path(source.partition(":")[0]).suffix.lower()
    return bool(HUB_ID.fullmatch(source)) and suffix not in FILE_SUFFIXES


def file_kind(path: Path, what: str = "preference pairs") -> str:
    """Tells by its first bytes what an existing file is: "jsonl" or "parquet".

    Args:
      path: the file.
      what: the expected content, for messages.

    Raises:
      DataError: as `open_kind`.
    """
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror}.") from error
    if not head:
        raise DataError(f"{path}: found an empty file, expected {what}.")
    for mark, name in ARCHIVES.items():
        if head.startswith(mark):
            raise DataError(
                f"{path}: found a {name} archive, which is not supported. Unpack it and"
                " give the JSON Lines or Parquet file inside."
            )
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{path}: found UTF-16, expected JSON Lines in UTF-8.")
    if head.startswith(b"PAR1"):
        return "parquet"
    if path.suffix.lower() == ".parquet":
        raise DataError(f"{path}: not Parquet: the file doesn't begin with PAR1.")
    return "jsonl"


def file_digest(path: str | Path) -> str:
    """SHA-256 of the file's bytes, as hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def jsonl_rows(path: str | Path, *, max_line_bytes: int) -> Iterator[Row]:
    """The objects of a JSON Lines file.

    Lines end at byte 0x0A only, so U+2028 and the like may stand in a text. A carriage
    return before it is white space to JSON and allowed, and so is a UTF-8 byte order
    mark at the start. Empty lines are passed over.

    Args:
      path: the file.
      max_line_bytes: a longer line is a fault; its bytes are read in pieces and not
        kept, so that memory stays bounded whatever the file holds.

    Yields:
      Line number, and the object or a RowError.
    """
    with Path(path).open("rb") as file:
        for number, line in _lines(file, max_line_bytes):
            if line is None:
                fault = f"found more than {max_line_bytes:,} bytes before a line end"
                yield number, RowError("too long", fault)
                continue
            if number == 1:
                line = line.removeprefix(UTF8_MARK)
            if not line.strip():
                continue
            try:
                yield number, parse_object(line)
            except RowError as error:
                yield number, error


def _lines(file: BinaryIO, most: int) -> Iterator[tuple[int, bytes | None]]:
    number = 0
    while line := file.readline(most + 1):
        number += 1
        if len(line) <= most or line.endswith(b"\n"):
            yield number, line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(1 << 20)
        yield number, None


def parse_object(line: bytes) -> dict[str, Any]:
    """Parses one line as a JSON object without duplicate keys."""
    try:
        text = line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        detail = f"byte 0x{line[error.start]:02X} at column {error.start + 1}"
        raise RowError("not UTF-8", f"found {detail}, expected UTF-8 text") from error
    try:
        found = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        whole = " (expected one object a line)" if text.lstrip()[:1] in "[{" else ""
        detail = f"{error.msg} at column {error.colno}{whole}"
        raise RowError("not JSON", detail) from error
    except (ValueError, RecursionError) as error:  # huge integers, deep nesting
        raise RowError("not JSON", f"can't be parsed: {error}") from error
    found = require_object(found)
    if isinstance(found, RowError):
        raise found
    return found


def require_object(found: Any) -> Any:
    """The row itself, or a RowError if it isn't an object."""
    if isinstance(found, Mapping):
        return found
    return RowError("not an object", f"found {type_name(found)}, expected an object")


def _unique(items: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(items)
    if len(found) != len(items):
        keys = [key for key, _ in items]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise RowError("duplicate key", f"found {twice[:40]!r} twice, expected it once")
    return found


def parquet_rows(
    path: str | Path, columns: Sequence[str], needs: Sequence[str] = ()
) -> Iterator[Row]:
    """The rows of a Parquet file.

    Args:
      path: the file.
      columns: those that are read, as far as they are there.
      needs: columns without which nothing is read.

    Yields:
      Row number from 1, and the row or a RowError.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(
            f"{path}: Parquet needs pyarrow: pip install pyarrow."
        ) from error
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names = [name for name in columns if name in file.schema_arrow.names]
            _require_columns(path, needs, file.schema_arrow.names)
            number = 0
            for batch in file.iter_batches(batch_size=256, columns=names):
                for row in range(batch.num_rows):
                    number += 1
                    yield number, _parquet_row(batch, row)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        message = (
            str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        )
        raise DataError(f"{path}: Parquet can't be read: {message}.") from error


def _parquet_row(batch: Any, row: int) -> dict[str, Any] | RowError:
    try:
        return {name: batch.column(name)[row].as_py() for name in batch.schema.names}
    except UnicodeDecodeError:
        return RowError("not UTF-8", "found other bytes in a string, expected UTF-8")


def _require_columns(source: object, needs: Sequence[str], found: list[str]) -> None:
    missing = [name for name in needs if name not in found]
    if missing:
        raise DataError(
            f"{source}: column {' and '.join(missing)} missing: found"
            f" {', '.join(found[:12]) or 'no column'}, expected chosen and rejected"
            " (and prompt, unless it is implicit)."
        )


def hub_rows(source: str) -> Iterator[Row]:
    """The rows of a hub data set, streamed by the optional package `datasets`.

    Args:
      source: owner/name[/folder], then nothing, :split, or :config:split. The folder is
        the data set's `data_dir`. Without a split, "train". For example
        Anthropic/hh-rlhf/helpful-base:test.

    Yields:
      Row number from 1, and the row.
    """
    try:
        import datasets  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingExtraError(
            f"{source}: no such file, so it is taken as a hub data set, and that needs"
            " the package datasets: pip install 'gradlab[hub]'."
        ) from error
    if int(datasets.__version__.partition(".")[0]) < 4:  # older ones run remote code
        raise DataError(
            f"datasets: found version {datasets.__version__}, expected 4 or later:"
            " pip install --upgrade 'gradlab[hub]'."
        )
    name, *options = source.split(":")
    owner, repository, *folder = name.split("/")
    split = options[-1] if options else "train"
    config = options[0] if len(options) == 2 else None
    try:
        stream = datasets.load_dataset(
            f"{owner}/{repository}",
            config,
            data_dir="/".join(folder) or None,
            split=split,
            streaming=True,
        )
        for number, row in enumerate(stream, 1):
            yield number, {key: row[key] for key in COLUMNS if key in row}
    except (OSError, ValueError, RuntimeError, LookupError) as error:
        message = " ".join(str(error).split())[:300]
        raise DataError(f"{source}: hub data set can't be read: {message}") from error


def type_name(found: object) -> str:
    """What a JSON user calls the type of a value."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    if found is None:
        return "null"
    if type(found) in (int, float):
        return "a number"
    return names.get(type(found), type(found).__name__)
