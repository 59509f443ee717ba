"""The generators: what differs in a pair, and what stays the same."""

import numpy as np
import pytest

from analyses.drift_prediction.config import Source
from analyses.drift_prediction.synthetic import (
    BEGIN,
    answer_pairs,
    continue_texts,
    edited_pairs,
    fitting_texts,
    make_text,
    related_columns,
    suffix_pairs,
)
from gradlab.data.boundary import shared_length
from gradlab.measures import pair_edits

CONFIG = Source(letters=12, answers=4)


@pytest.fixture(scope="module")
def text():
    return make_text(CONFIG, np.random.default_rng(0))


def test_text_follows_the_source(text):
    """Frequencies after a context, within five binomial standard errors."""
    start = np.tile([[3, 7]], (20_000, 1))
    drawn = continue_texts(text, start, 2, np.random.default_rng(1))
    found = np.bincount(drawn[:, 0] - 1, minlength=12) / len(drawn)
    p = text.next[2, 6]
    assert np.all(np.abs(found - p) <= 5 * np.sqrt(p * (1 - p) / len(drawn)) + 1e-9)
    first = drawn[0, 0]
    after = drawn[drawn[:, 0] == first, 1]
    found = np.bincount(after - 1, minlength=12) / len(after)
    np.testing.assert_allclose(found, text.next[6, first - 1], atol=0.05)
    assert 0.5 < text.entropy < np.log(12)


def test_fitting_texts_hold_the_answer_of_the_last_letter(text):
    rows = fitting_texts(text, 2000, np.random.default_rng(2))
    assert rows.shape == (2000, 1 + CONFIG.prompt + CONFIG.width)
    assert set(rows[:, 0]) == {BEGIN}
    last, answer = rows[::2, CONFIG.prompt], rows[::2, CONFIG.prompt + 1]
    usual = np.array([text.answer(int(t), False) for t in last])
    share = np.mean(answer == usual)
    assert abs(share - 0.8) < 5 * np.sqrt(0.16 / 1000)
    assert np.all((answer == usual) | (answer == usual + 1))
    assert rows[1::2].max() <= CONFIG.letters


def test_edits_are_as_large_as_asked_and_keep_the_rest(text):
    pairs = edited_pairs(text, 60, np.random.default_rng(3))
    sizes = [*CONFIG.edits, CONFIG.response]
    for number, pair in enumerate(pairs):
        edits = pair_edits(pair.chosen, pair.rejected)
        size = sizes[number % len(sizes)]
        assert 1 <= edits.token_edits <= size
        assert len(pair.chosen) == CONFIG.response
        assert len(pair.rejected) <= CONFIG.width
        change = abs(len(pair.rejected) - len(pair.chosen))
        assert change in (0, size)
        # Outside the edited stretch both sides are the same.
        behind = shared_length(pair.chosen[::-1], pair.rejected[::-1])
        assert edits.first + behind >= CONFIG.response - size
    assert {len(p.rejected) - len(p.chosen) > 0 for p in pairs} == {True, False}


def test_suffixes_are_shared(text):
    pairs = suffix_pairs(text, 14, np.random.default_rng(4))
    for number, pair in enumerate(pairs):
        length = CONFIG.suffixes[number % len(CONFIG.suffixes)]
        assert pair.chosen[0] != pair.rejected[0]
        assert pair.chosen[1:] == pair.rejected[1:]
        assert len(pair.chosen) == 1 + length


def test_answers_are_one_token(text):
    for pair in answer_pairs(text, 10, np.random.default_rng(5)):
        assert pair.chosen == [text.answer(pair.prompt[-1], False)]
        assert pair.rejected == [pair.chosen[0] + 1]


def test_rivals_are_related_as_asked(text):
    rng = np.random.default_rng(6)
    head = rng.normal(size=(16, text.vocab_size))
    changed = related_columns(text, head, rng)
    cosines = []
    for number in range(CONFIG.answers):
        usual, rival = (changed[:, text.answer(number, r)] for r in (False, True))
        np.testing.assert_allclose(np.linalg.norm(rival), np.linalg.norm(usual))
        cosines.append(usual @ rival / (usual @ usual))
    np.testing.assert_allclose(cosines, np.linspace(-0.5, 0.95, CONFIG.answers))
    letters = slice(0, 1 + CONFIG.letters)
    np.testing.assert_array_equal(changed[:, letters], head[:, letters])


def test_the_same_seed_gives_the_same_pairs(text):
    one, two = (edited_pairs(text, 8, np.random.default_rng(7)) for _ in range(2))
    assert one == two
    assert edited_pairs(text, 8, np.random.default_rng(8)) != one
