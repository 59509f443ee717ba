"""Untrusted text in figures: every character visible, nothing interpreted.

Tokens and loss labels come from outside. They may hold line feeds, control and
bidirectional marks, dollar signs, or characters that the figure's font lacks. `visible`
turns them into text that draws as itself, without a warning from matplotlib.
"""

import functools
import unicodedata

from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font

from gradlab.escapes import is_hidden

SANS = "DejaVu Sans"
MONO = "DejaVu Sans Mono"
MISSING = "\N{WHITE VERTICAL RECTANGLE}"
_MARKS = {
    "\n": "\N{RETURN SYMBOL}",
    "\r": "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}",
    "\t": "\N{RIGHTWARDS ARROW TO BAR}",
}
_DOT = "\N{MIDDLE DOT}"
_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


@functools.cache
def _glyphs(family: str) -> frozenset[int]:
    path = findfont(FontProperties(family=family))
    return frozenset(FT2Font(path).get_charmap())


def visible(text: str, *, family: str = SANS, spaces: bool = True) -> str:
    """Text in which each character has a glyph and takes its own place.

    Line feeds become a return symbol, tabs an arrow; control, format (bidirectional,
    zero-width), unassigned characters and those the font lacks become a hollow box.

    Args:
      text: anything.
      family: the font in which the text will be drawn.
      spaces: show leading and trailing spaces as middle dots.
    Example:
      >>> visible(" a\\nb")
      '·a⏎b'
    """
    text = unicodedata.normalize("NFC", str(text))
    shown = "".join(_visible_one(c, family) for c in text)
    if not spaces:
        return shown
    inner = shown.strip(" ")
    left = len(shown) - len(shown.lstrip(" "))
    return _DOT * left + inner + _DOT * (len(shown) - left - len(inner))


def _visible_one(character: str, family: str) -> str:
    if character in _MARKS:
        return _MARKS[character]
    category = unicodedata.category(character)
    if category == "Zs":
        return " "
    # Marks that combine would change the width of the character before them.
    unplaced = is_hidden(character) or category[0] == "M" or character == "\ufffd"
    if unplaced or ord(character) not in _glyphs(family):
        return MISSING
    return character


def cut(text: str, length: int) -> str:
    """At most `length` characters, the last one an ellipsis when some are left out."""
    return text if len(text) <= length else text[: max(length - 1, 0)] + _ELLIPSIS


def label(text: str, length: int = 32) -> str:
    """A loss label for a legend, title or tick: visible, cut, never taken for hidden.

    Matplotlib leaves out legend entries that begin with an underscore; a thin space
    before it keeps them.
    """
    shown = cut(visible(text, spaces=False), length)
    return " " + shown if shown.startswith("_") or not shown.strip() else shown


def number(value: float, digits: int = 2) -> str:
    """A number in few characters: 0.05, 12, 3.2e-5 as 3.2×10⁻⁵; a dash for NaN."""
    if value != value:
        return "\N{EN DASH}"
    if value in (0, float("inf"), float("-inf")):
        return {0: "0", float("inf"): "∞"}.get(value, "\N{MINUS SIGN}∞")
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    power = int(exponent)
    if -3 <= power < 4:
        shown = _strip(f"{value:.{max(digits - 1 - power, 0)}f}")
    elif _strip(mantissa) in ("1", "-1"):
        shown = _strip(mantissa)[:-1] + power_of_ten(power)
    else:
        shown = f"{_strip(mantissa)}\N{MULTIPLICATION SIGN}{power_of_ten(power)}"
    return shown.replace("-", "\N{MINUS SIGN}")


def _strip(digits: str) -> str:
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power_of_ten(power: int) -> str:
    """10 with a superscript of Unicode characters, since math text is switched off."""
    return "10" + str(power).translate(_SUPERSCRIPTS)
