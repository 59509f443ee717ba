"""The grammar of forked dialogues: what fits, what does not, and who says it."""

import numpy as np
import pytest

from analyses.gradient_framework.config import Config, Dialogue, Setting
from analyses.gradient_framework.dialogue import (
    END,
    make_contexts,
    make_grammar,
    make_pairs,
    training_contexts,
)
from analyses.gradient_framework.scene import make_scene

SETTING = Setting(rho=0.3)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def grammar(rng):
    return make_grammar(Dialogue(), SETTING, rng)


def test_responses_stay_inside_their_support(grammar, rng):
    contexts = make_contexts(grammar.config, 200, rng)
    said = grammar.respond(contexts, rng)
    inside = np.arange(grammar.width) <= grammar.lengths(contexts)[:, None]
    support = grammar.support(contexts)
    fits = np.take_along_axis(support, said[:, :, None].astype(int), axis=2)[:, :, 0]
    assert (fits == inside).all()  # past END nothing fits, before it everything does
    assert (said[np.arange(200), grammar.lengths(contexts)] == END).all()
    sizes = support.sum(-1)[inside]
    assert set(sizes) == {1, 2, 4}  # END, slots, frames


def test_slots_tell_the_utterances_apart(grammar, rng):
    contexts = make_contexts(grammar.config, 400, rng)
    own, other = (
        grammar.slot_share(contexts, grammar.respond(given, rng))
        for given in (contexts, contexts.swapped())
    )
    assert (own == 1).all()
    # Two of 24 words fit: by chance about one wrong slot in twelve is right.
    assert 0.02 < other.mean() < 0.2


@pytest.mark.parametrize("rho", [0.1, 0.3, 0.6, 1.0])
def test_a_share_rho_of_the_positions_are_slots(rho, rng):
    grammar = make_grammar(Dialogue(shortest=20, longer=0), Setting(rho), rng)
    assert grammar.is_slot.mean() == pytest.approx(rho, abs=0.03)


def test_false_negatives_are_good_answers(grammar, rng):
    contexts = make_contexts(grammar.config, 500, rng)
    start = grammar.prompt_length
    shares = []
    for share in (0.0, 0.5, 1.0):
        pairs = make_pairs(grammar, contexts, rng, share)
        filled = grammar.slot_share(contexts, np.asarray(pairs.rejected)[:, start:])
        shares.append((filled == 1).mean())
    assert shares[0] < 0.1
    assert shares[2] == 1
    assert shares[1] == pytest.approx(0.5, abs=0.1)


def test_utterances_of_a_context_share_no_symbol(rng):
    contexts = make_contexts(Dialogue(), 300, rng)
    assert (contexts.utterance != contexts.other).all()


def test_a_context_has_one_to_four_responses(rng):
    contexts = training_contexts(Dialogue(), 2000, rng)
    keys = np.concatenate([contexts.history, contexts.utterance], axis=1)
    _, starts = np.unique(keys, axis=0, return_counts=True)
    assert 2.2 < starts.mean() < 2.8


def test_held_out_contexts_are_new():
    config = Config.smoke()
    scene = make_scene(config, SETTING, (3,), 2000)
    prompts = {
        tuple(row)
        for row in scene.train.chosen[0, :, : scene.grammars[0].prompt_length].tolist()
    }
    held = scene.held.chosen[0, :, : scene.grammars[0].prompt_length].tolist()
    assert len(held) == config.held
    assert not prompts & {tuple(row) for row in held}
