"""Text is visible and literal, whatever it holds."""

import pytest

from gradlab.plotting.text import (
    MISSING,
    MONO,
    SANS,
    _glyphs,
    cut,
    label,
    number,
    visible,
)
from tests.plotting.synthetic import NASTY


@pytest.mark.parametrize("family", [SANS, MONO])
@pytest.mark.parametrize("text", NASTY)
def test_every_character_has_a_glyph(text, family):
    assert {ord(c) for c in visible(text, family=family)} <= _glyphs(family)


def test_marks():
    assert visible(" a b\n") == "·a b⏎"
    assert visible("   ") == "···"
    assert visible(" a ", spaces=False) == " a "
    assert visible("\t\r") == "⇥↵"
    assert visible("\u00a0x", spaces=False) == " x"


def test_what_cannot_be_shown_is_a_box_of_its_own():
    assert visible("\u202ea\u200b\x00\ufffd") == f"{MISSING}a{MISSING * 3}"
    assert visible("漢") == MISSING
    assert visible("q\u0323") == f"q{MISSING}"  # no composed form: the mark is shown


def test_composed_letters_stay_whole():
    assert visible("e\u0301") == "é"


def test_cut_says_that_something_is_missing():
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdefg", 6) == "abcde…"
    assert len(label("x" * 100)) == 32


def test_labels_that_a_legend_would_hide_get_a_space():
    assert label("_x") == " _x"
    assert label("") == " "
    assert label("a\nb") == "a⏎b"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (-0.05, "−0.05"),
        (531.2, "531"),
        (9999.0, "10⁴"),
        (3.2e-5, "3.2×10⁻⁵"),
        (-1e-7, "−10⁻⁷"),
        (0.0040, "0.004"),
        (float("nan"), "–"),
        (float("-inf"), "−∞"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text
