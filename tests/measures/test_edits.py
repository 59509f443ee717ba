"""Edit distances: by hand, against the textbook table, and their properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradlab.errors import GradlabError
from gradlab.measures.edits import normalised_distance, pair_edits


def textbook(one, two) -> int:
    """Wagner-Fischer."""
    row = list(range(len(two) + 1))
    for i, x in enumerate(one, 1):
        last, row = row, [i]
        for j, y in enumerate(two, 1):
            row.append(min(row[-1] + 1, last[j] + 1, last[j - 1] + (x != y)))
    return row[-1]


tokens = st.lists(st.integers(0, 3), max_size=9)


@given(tokens, tokens)
def test_distance_is_the_textbooks(one, two):
    longest = max(len(one), len(two))
    expected = textbook(one, two) / longest if longest else 0.0
    assert normalised_distance(one, two) == pytest.approx(expected)
    assert normalised_distance(two, one) == normalised_distance(one, two)


def test_units_differ():
    edits = pair_edits(
        [3, 4, 5],
        [3, 9, 5],
        chosen_text="it is four now",
        rejected_text="it is five now",
    )
    assert edits.token == pytest.approx(1 / 3)
    assert edits.word == 1 / 4
    assert edits.character == 3 / 14  # four -> five: o, u, r
    assert (edits.token_edits, edits.first, edits.suffix) == (1, 1, 1)
    assert not edits.one_sided


def test_without_text_and_one_sided():
    edits = pair_edits(np.array([1, 2]), np.array([1, 2, 3, 4]))
    assert edits.token == 0.5
    assert edits.character is None
    assert edits.word is None
    assert edits.one_sided
    assert edits.first == 2


def test_items_whose_hashes_collide_are_told_apart():
    """hash(-1) == hash(-2) in CPython, and a one-letter word hashes as its code."""
    assert normalised_distance([-1], [-2]) == 1.0
    assert normalised_distance([97], ["a"]) == 1.0


def test_identical_responses_are_refused():
    with pytest.raises(GradlabError, match="the same"):
        pair_edits([1, 2], [1, 2])
