"""The fields of a row: strings and lists of messages that can be used as they are."""

from typing import Any

from gradlab.data.badrows import RowError
from gradlab.data.sources import type_name

Message = dict[str, Any]
MAX_CHARS = 1_000_000


def check_text(key: str, text: object, max_chars: int) -> None:
    """Raises RowError unless the value is a string that a tokenizer takes whole."""
    if not isinstance(text, str):
        detail = f"{key!r} is {type_name(text)}, expected a string"
        raise RowError("not a string", detail)
    if len(text) > max_chars:
        detail = f"{key!r} has {len(text):,} characters, expected at most {max_chars:,}"
        raise RowError("too long", detail)
    # Software in C takes U+0000 for the end of a text, so a later cut would be silent.
    if (place := text.find("\0")) >= 0:
        detail = f"{key!r} holds U+0000 at character {place + 1}, expected text without"
        raise RowError("NUL character", detail)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        detail = (
            f"{key!r} holds the lone surrogate U+{ord(text[error.start]):04X} at"
            f" character {error.start + 1}, expected whole code points"
        )
        raise RowError("not encodable as UTF-8", detail) from error


def check_messages(key: str, found: object, max_chars: int) -> list[Message]:
    """The messages without null entries; RowError unless each has role and content."""
    if not isinstance(found, list):
        detail = f"{key!r} is {type_name(found)}, expected a list of messages"
        raise RowError("malformed message", detail)
    messages = []
    for place, message in enumerate(found, 1):
        where = f"{key} message {place}"
        if not isinstance(message, dict):
            detail = f"{where} is {type_name(message)}, expected an object"
            raise RowError("malformed message", detail)
        # Parquet fills keys that other messages have with null.
        message = {name: value for name, value in message.items() if value is not None}
        for name in ("role", "content"):
            if name not in message:
                detail = f"{where} lacks {name!r}, expected role and content"
                raise RowError("malformed message", detail)
            check_text(f"{where} {name}", message[name], max_chars)
        messages.append(message)
    total = sum(len(message["content"]) for message in messages)
    if total > max_chars:
        detail = f"{key!r} has {total:,} characters, expected at most {max_chars:,}"
        raise RowError("too long", detail)
    return messages
