"""Numbers and text in few, harmless bytes inside a page.

Floats keep sign, exponent and 15 bits of the fraction: three bytes. The bytes are laid
out in planes (all first bytes, then all second ones, ...), in which neighbours are
alike, and deflated. A browser undoes it without any library.
"""

import base64
import json
import math
import zlib
from typing import Any

import numpy as np

from gradlab.errors import GradlabError

FLOAT_ERROR = 2.0**-16  # relative, of a float that `pack_floats` rounded


def pack_floats(values: np.ndarray) -> str:
    """Base64 of floats, rounded to 24 bits (half to even), in deflated byte planes.

    Args:
      values: any shape, flattened in C order. What float32 can't hold becomes infinite.

    Guarantees: a finite value v within float32's normal range is off by at most
      `FLOAT_ERROR` |v|; 0, NaN, infinities and signs stay.
    """
    with np.errstate(over="ignore"):
        floats = np.asarray(values, dtype=np.float64).ravel().astype(np.float32)
    floats = np.where(np.isnan(floats), np.float32("nan"), floats)
    bits = floats.view(np.uint32).astype(np.uint64)
    return _pack((bits + 0x7F + ((bits >> 8) & 1)) >> 8)


def pack_ints(values: np.ndarray) -> str:
    """Base64 of integers from 0 to 2^24 - 1, likewise.

    Raises:
      GradlabError: one lies outside.
    """
    ints = np.asarray(values).ravel().astype(np.int64)
    if ints.size and not 0 <= ints.min() <= ints.max() < 2**24:
        raise GradlabError(
            f"integers from {ints.min()} to {ints.max()}; expected 0 to {2**24 - 1}"
        )
    return _pack(ints.astype(np.uint64))


def _pack(values: np.ndarray) -> str:
    planes = [(values >> shift & 0xFF).astype(np.uint8) for shift in (16, 8, 0)]
    return base64.b64encode(zlib.compress(np.concatenate(planes).tobytes(), 9)).decode()


def page_json(value: Any) -> str:
    """JSON that may stand inside a script element: ASCII only, and no `<`, `>` or `&`.

    Example:
      >>> page_json("</script>")
      '"\\\\u003c/script\\\\u003e"'
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def plain_number(value: Any) -> Any:
    """A cell of a table as JSON has it: NaN becomes None, infinity its name.

    JavaScript's `Number` reads the names back.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else f"{'-' * (value < 0)}Infinity"
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)
