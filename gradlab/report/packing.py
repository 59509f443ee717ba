"""Numbers and text in few, harmless bytes inside a page.

A number is rounded to a few decimal digits, those that the page shows, and kept as its
rank among all such decimals: an integer that grows with the number. A block of ranks,
or of their differences from a similar block, is laid out in planes (all high bytes,
then all middle ones, ...), in which neighbours are alike, and deflated. A browser
undoes it without any library.
"""

import base64
import json
import math
import zlib
from typing import Any

import numpy as np

from gradlab.errors import GradlabError

DIGITS = (4, 3, 2)  # significant ones; a page takes the first that keeps it small
LARGEST_POWER = 60  # of ten: smaller numbers become 0, larger ones infinite
SAMPLE = 8192  # numbers by which similar blocks are found


def decimal_ranks(values: np.ndarray, digits: int) -> np.ndarray:
    """Ranks among 0 and the decimals ±d.dd × 10^p of so many digits, -60 <= p <= 60.

    Args:
      values: any shape, flattened in C order.
      digits: significant ones.

    Returns:
      Integers that grow with the values: 0 for 0, negative for negative ones.
      Infinities have the outermost ranks and NaN comes behind them.

    Guarantees: the decimal of a value's rank is the value rounded to `digits` digits,
      where 10^-60 <= |v| < 10^60.
    Example:
      >>> decimal_ranks(np.array([-2e-60, 0, 1e-60, 1.1e-60, 2e-60]), 2).tolist()
      [-11, 0, 1, 2, 11]
    """
    values = np.asarray(values, dtype=np.float64).ravel()
    sizes, lead = np.abs(values), 10 ** (digits - 1)
    inside = (sizes >= 10.0**-LARGEST_POWER) & (sizes < 10.0**LARGEST_POWER)
    safe = np.where(inside, sizes, 1.0)
    power = np.floor(np.log10(safe)).astype(np.int64)
    mantissa = np.rint(safe / 10.0 ** (power - digits + 1)).astype(np.int64)
    rounded_up = mantissa == 10 * lead  # 9.99... is 10.0, one power up
    power, mantissa = power + rounded_up, np.where(rounded_up, lead, mantissa)
    outermost = _outermost(digits)
    ranks = (power + LARGEST_POWER) * 9 * lead + mantissa - lead + 1
    ranks = np.where(inside, ranks, np.where(sizes > 1, outermost, 0))
    ranks = np.where(values < 0, -ranks, ranks)
    return np.where(np.isnan(values), outermost + 1, ranks)


def _outermost(digits: int) -> int:
    """The rank of infinity."""
    return (2 * LARGEST_POWER + 1) * 9 * 10 ** (digits - 1) + 1


class Blocks:
    """Packed blocks of equally many ranks, each one after the block it resembles most.

    Attributes:
      packed: [base64 of the integers, number of the block they are added to or -1].
    """

    def __init__(self) -> None:
        """Begins without a block."""
        self.packed: list[tuple[str, int]] = []
        self._ranks: list[np.ndarray] = []

    def add(self, ranks: np.ndarray, like: list[int]) -> int:
        """Packs a block and returns its number.

        Args:
          ranks: from `decimal_ranks`.
          like: numbers of earlier blocks that may resemble it.
        """
        sample = ranks[:SAMPLE]
        best, least = -1, len(_deflated(_unsigned(sample), 1))
        for number in like:
            difference = _unsigned(sample - self._ranks[number][:SAMPLE])
            if (size := len(_deflated(difference, 1))) < least:
                best, least = number, size
        rest = ranks if best < 0 else ranks - self._ranks[best]
        self.packed.append((pack_ints(_unsigned(rest)), best))
        self._ranks.append(ranks)
        return len(self.packed) - 1


def _unsigned(ranks: np.ndarray) -> np.ndarray:
    """0, -1, 1, -2, 2, ... as 0, 1, 2, 3, 4, ..."""
    return np.where(ranks < 0, -2 * ranks - 1, 2 * ranks)


def pack_ints(values: np.ndarray) -> str:
    """Base64 of integers from 0 to 2^24 - 1, in deflated byte planes.

    Raises:
      GradlabError: one lies outside.
    """
    ints = np.asarray(values).ravel().astype(np.int64)
    if ints.size and not 0 <= ints.min() <= ints.max() < 2**24:
        raise GradlabError(
            f"integers from {ints.min()} to {ints.max()}; expected 0 to {2**24 - 1}"
        )
    return base64.b64encode(_deflated(ints, 9)).decode()


def _deflated(ints: np.ndarray, level: int) -> bytes:
    planes = [(ints >> shift & 0xFF).astype(np.uint8) for shift in (16, 8, 0)]
    return zlib.compress(np.concatenate(planes).tobytes(), level)


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
