"""A first look at a GGUF file: that the sizes it states lie within the file.

The gguf package believes them, and then goes round a loop as often as a file says.
"""

import os
import struct
from pathlib import Path
from typing import BinaryIO

from gradlab.errors import CheckpointError

# type -> bytes of one value; then the types of strings and of arrays.
_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
_DEEPEST = 4  # arrays in arrays
_LEAST_TENSOR = 24  # bytes that describe a tensor: name, dimensions, type, place


def check_header(path: Path) -> None:
    """Walks through the metadata.

    Raises:
      CheckpointError: not GGUF (little-endian, version 2 or 3), or a size that leads
        out of the file.
    """
    with path.open("rb") as file:
        scan = _Scan(path, file)
        if file.read(4) != b"GGUF" or scan.number("<I") not in (2, 3):
            raise scan.refusal("expected GGUF of version 2 or 3, little-endian")
        tensors, fields = scan.number("<Q"), scan.number("<Q")
        for _ in range(scan.within(fields, 13)):  # a field has 13 bytes or more
            scan.skip(scan.number("<Q"))
            scan.value(scan.number("<I"))
        scan.within(tensors, _LEAST_TENSOR)


class _Scan:
    """Reads on, never beyond the end."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self.file = path, file
        self.size = os.fstat(file.fileno()).st_size

    def refusal(self, reason: str) -> CheckpointError:
        return CheckpointError(f"{self.path}: not a readable GGUF file: {reason}")

    def within(self, count: int, each: int) -> int:
        """The count, where so many things of that many bytes may still follow."""
        if count * each > self.size - self.file.tell():
            raise self.refusal(f"{count} entries are said to follow, and the file ends")
        return count

    def skip(self, count: int) -> None:
        self.file.seek(self.within(count, 1), os.SEEK_CUR)

    def number(self, form: str) -> int:
        width = struct.calcsize(form)
        self.within(width, 1)
        return struct.unpack(form, self.file.read(width))[0]

    def value(self, kind: int, depth: int = 0) -> None:
        """Passes over one value of metadata."""
        if kind == _STRING:
            self.skip(self.number("<Q"))
        elif kind == _ARRAY and depth < _DEEPEST:
            inner, count = self.number("<I"), self.number("<Q")
            if inner in _BYTES:
                self.skip(self.within(count, _BYTES[inner]) * _BYTES[inner])
                return
            for _ in range(self.within(count, 8)):
                self.value(inner, depth + 1)
        elif kind in _BYTES:
            self.skip(_BYTES[kind])
        else:
            raise self.refusal(f"a value of type {kind}")
