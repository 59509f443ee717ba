"""Chains of additions: what is drawn is true, what is corrupted is not."""

import itertools

import numpy as np
import pytest

from analyses.self_imitation.chains import (
    PROMPT,
    corrupt,
    draw_chains,
    source_entropy,
    true_chains,
)
from analyses.self_imitation.config import Config, Runs

MODULUS = 10


@pytest.fixture
def chains() -> np.ndarray:
    return draw_chains(200, 3, MODULUS, np.random.default_rng(0))


def test_a_chain_reads_as_additions(chains):
    signs = "0123456789+=;^"
    text = "".join(signs[token] for token in chains[0])
    first, second, third, rest = text[1:].split(";")
    carried = None
    for addition in (first, second, third):
        left, right = addition.split("=")
        a, b = map(int, left.split("+"))
        assert int(right) == (a + b) % MODULUS
        assert carried in (None, a)
        carried = int(right)
    assert text[0] == "^"
    assert rest == ""
    assert text[PROMPT - 1] == "="
    assert len(text) - PROMPT == Runs(chain=3).response_tokens


def test_the_checker_knows_every_kind_of_mistake(chains):
    assert true_chains(chains, MODULUS).all()
    for place in range(1, chains.shape[1]):  # no token can be replaced
        wrong = chains.copy()
        wrong[:, place] = (wrong[:, place] + 1) % MODULUS
        assert not true_chains(wrong, MODULUS).any(), place


def test_corruption_changes_one_result(chains):
    wrong = corrupt(chains, MODULUS, np.random.default_rng(1))
    assert ((wrong != chains).sum(axis=1) == 1).all()
    places = np.flatnonzero((wrong != chains).any(axis=0))
    assert set(places) <= {5, 11, 17}
    assert len(places) == 3
    assert not true_chains(wrong, MODULUS).any()


def test_entropy_is_that_of_equally_likely_responses():
    many = draw_chains(4000, 3, 3, np.random.default_rng(0))
    responses: dict[tuple, set] = {}
    for row in many:
        responses.setdefault(tuple(row[:PROMPT]), set()).add(tuple(row[PROMPT:]))
    counts = {len(found) for found in responses.values()}
    assert counts == {9}
    assert source_entropy(3, 3) == pytest.approx(np.log(9))
    assert len(responses) == len(list(itertools.product(range(3), repeat=2)))


def test_the_full_size_is_larger():
    full, standard = Config.full(), Config()
    assert len(full.seeds) == 10
    assert full.runs.layers > standard.runs.layers
    assert full.runs.iterations == full.tabular.iterations == 4
    assert set(full.runs.own_rates) == set(standard.learners)
