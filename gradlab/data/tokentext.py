"""What each token contributes to a text, for tables and figures."""

import json
import re

import tokenizers

BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")


class TokenTexts:
    """Maps ids to legible pieces of text; see `Tokenizer.token_texts`.

    Three families of tokenizers are known by their decoder: byte-level (GPT-2),
    SentencePiece (a mark for the space, and byte tokens), and all others, whose pieces
    are what decoding a pair of tokens adds to decoding the first.
    """

    def __init__(self, inner: tokenizers.Tokenizer) -> None:
        """Reads the tokenizer's decoder and its special tokens."""
        layout = json.loads(inner.to_str())
        self._inner = inner
        self._added = {t["id"]: t["content"] for t in layout["added_tokens"]}
        self._kind = _decoder_kind(layout["decoder"])
        self._bytes = {char: byte for byte, char in byte_characters().items()}

    def __call__(self, ids: list[int]) -> list[str]:
        """One string for each id."""
        if self._kind == "other":
            return [self._by_difference(ids, place) for place in range(len(ids))]
        return legible([self._piece(token) for token in ids])

    def _piece(self, token: int) -> bytes:
        if token in self._added:
            return self._added[token].encode()
        name = self._inner.id_to_token(token)
        if name is None:
            return f"⟨id {token}⟩".encode()
        if self._kind == "bytes":
            if all(char in self._bytes for char in name):
                return bytes(self._bytes[char] for char in name)
            return name.encode()
        if match := BYTE_TOKEN.fullmatch(name):
            return bytes([int(match[1], 16)])
        return name.replace("▁", " ").encode()

    def _by_difference(self, ids: list[int], place: int) -> str:
        token = ids[place]
        if token in self._added:
            return self._added[token]
        if place and ids[place - 1] not in self._added:
            before = self._decode(ids[place - 1 : place])
            both = self._decode(ids[place - 1 : place + 1])
            if both.startswith(before):
                return both[len(before) :]
        return self._decode([token]) or self._inner.id_to_token(token) or ""

    def _decode(self, ids: list[int]) -> str:
        return self._inner.decode(ids, skip_special_tokens=False)


def _decoder_kind(decoder: dict | None) -> str:
    parts = [] if decoder is None else decoder.get("decoders", [decoder])
    types = {part["type"] for part in parts}
    marks = [part for part in parts if part.get("pattern") == {"String": "▁"}]
    if "ByteLevel" in types:
        return "bytes"
    if marks or types & {"Metaspace", "ByteFallback"}:
        return "marks"
    return "other"


def byte_characters() -> dict[int, str]:
    """GPT-2's table: the printable character that stands for each byte."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    table = {byte: chr(byte) for byte in printable}
    return table | {byte: chr(256 + place) for place, byte in enumerate(others)}


def legible(pieces: list[bytes]) -> list[str]:
    """Decodes each piece as UTF-8, writing ⟨0xE2⟩ for bytes of incomplete characters.

    A character counts as complete only where one piece holds all of it, so that no
    token claims a character to which another one contributed.

    Example:
      >>> legible([b"a", b" \\xc3\\xa9", b"\\xc3", b"\\xa9"])
      ['a', ' é', '⟨0xC3⟩', '⟨0xA9⟩']
    """
    return [_escape(piece) for piece in pieces]


def _escape(piece: bytes) -> str:
    text = piece.decode("utf-8", errors="surrogateescape")
    return re.sub(
        "[\udc80-\udcff]", lambda match: f"⟨0x{ord(match[0]) - 0xDC00:02X}⟩", text
    )
