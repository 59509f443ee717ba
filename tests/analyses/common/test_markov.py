"""The Markov source and the edits that studies share."""

import numpy as np
import pytest

from analyses.common import markov

LETTERS = [2, 4, 6, 8]


def test_text_goes_on_as_the_source_says():
    rng = np.random.default_rng(0)
    after = markov.transitions(3, 0.5, rng)
    np.testing.assert_allclose(after.sum(-1), 1)
    start = np.tile([[1, 2]], (20_000, 1))
    third = markov.continue_texts(after, start, 2, rng)[:, 0]
    shares = np.bincount(third, minlength=4)[1:] / len(third)
    np.testing.assert_allclose(shares, after[0, 1], atol=0.015)


@pytest.mark.parametrize("seed", range(5))
def test_edits_touch_what_they_should(seed):
    rng, text = np.random.default_rng(seed), [2, 4, 6, 8, 2, 4]
    changed = markov.edit(text, "substitute", 2, 3, LETTERS, rng, longest=8)
    assert (changed[:2], changed[5:]) == (text[:2], text[5:])
    assert all(a != b for a, b in zip(changed[2:5], text[2:5], strict=True))
    longer = markov.edit(text, "insert", 2, 2, LETTERS, rng, longest=8)
    assert (longer[:2], longer[4:]) == (text[:2], text[2:])
    assert markov.edit(text, "delete", 2, 2, LETTERS, rng, longest=8) == [2, 4, 2, 4]


def test_edits_that_do_not_fit_are_substitutions():
    rng, text = np.random.default_rng(0), [2, 4]
    for operation, size in (("insert", 1), ("delete", 2)):
        found = markov.edit(text, operation, 0, size, LETTERS, rng, longest=2)
        assert len(found) == 2
        assert found[0] != text[0]
