"""What is hidden is spelt out, in terminals as in documents."""

import sys
import unicodedata

import pytest

from gradlab.escapes import code_point, is_hidden, plain


@pytest.mark.parametrize(
    "character",
    [*"\x00\x07\x1b\x7f\x85\n\t\r", *"\u202e\u2066\u200f\u061c", *"\u200b\u2060\xad",
     *"\u2028\u2029\xa0\u3000", *"\u3164\u115f\u2800\ufeff", *"\ud800\ue000\uffff",
     "\U000e0041", "\U000e0100"],
)  # fmt: skip
def test_hidden(character):
    assert is_hidden(character)
    assert character not in plain(f"a{character}b")
    assert plain(f"a{character}b").isprintable()
    assert plain(character, keep=character) == character
    assert code_point(character).isascii()


@pytest.mark.parametrize("character", [*" aé漢Σ[]$<&\\", "👩", "\u0301", "\ufe0f"])
def test_seen(character):
    assert not is_hidden(character)
    assert plain(character) == character


def test_no_terminal_control_survives():
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    kinds = {unicodedata.category(c) for c in plain(every)}
    assert not kinds & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
