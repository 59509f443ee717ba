"""Every check of the numbers passes on a sound model, and fails on the fault it names.

The models are tables of bigrams, each with one fault.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.data import TokenizedPair
from gradlab.doctor.gradients import loss_findings, step_zero
from gradlab.doctor.numbers import Subject, number_findings, padding
from gradlab.inputs.scoring import Scorer, score_pairs
from gradlab.losses import resolve
from gradlab.models.functional import LanguageModel
from gradlab.models.scoring import score_batches

VOCAB = 11


def slow(*case):
    return pytest.param(*case, marks=pytest.mark.slow)


def sound(params, tokens):
    return params[tokens]


def reads_what_follows(params, tokens):
    return params[tokens] + 0.1 * params[tokens].mean(1, keepdims=True)


def reads_its_neighbours(params, tokens):
    return params[tokens] + 0.1 * params[tokens[:, :1]].mean(0, keepdims=True)


def rounds(params, tokens):
    if params.dtype == jnp.float64:
        return params[tokens]
    rounded = params.astype(jnp.bfloat16).astype(params.dtype)
    return (params + jax.lax.stop_gradient(rounded - params))[tokens]


def ignores_its_parameters(params, tokens):
    return jnp.sin(jnp.arange(VOCAB) * tokens[..., None]) + 0 * params[tokens]


def examined(apply):
    rng = np.random.default_rng(0)
    pairs = [
        TokenizedPair(
            row=number + 1,
            prompt=rng.integers(0, VOCAB, 2 + number).tolist(),
            chosen=rng.integers(0, VOCAB, 3 + number).tolist(),
            rejected=rng.integers(0, VOCAB, 5).tolist(),
        )
        for number in range(3)
    ]
    params = jax.random.normal(jax.random.key(0), (VOCAB, VOCAB))
    scorer = Scorer(LanguageModel(apply=apply), params, 4)
    return Subject(scorer, pairs, score_pairs(scorer, pairs, scorer), 64)


@pytest.mark.parametrize(
    ("apply", "faults"),
    [
        (sound, {}),
        (reads_what_follows, {"padding": "FAIL"}),
        slow(reads_its_neighbours, {"batch size": "FAIL", "padding": "FAIL"}),
        slow(rounds, {"dtype": "warn"}),
        slow(ignores_its_parameters, {"gradient": "FAIL"}),
    ],
    ids=lambda case: getattr(case, "__name__", ""),
)
def test_a_fault_is_found_where_it_is(apply, faults):
    found = {f.name: f for f in number_findings(examined(apply))}
    assert list(found) == ["padding", "batch size", "dtype", "gradient"]
    verdicts = {name: f.verdict for name, f in found.items() if f.verdict != "ok"}
    assert verdicts == faults
    for finding in found.values():
        if finding.limits is not None:
            assert (finding.value <= finding.limits.ok) == (finding.verdict == "ok")


def test_another_padding_is_another_where_0_ends_the_texts(monkeypatch):
    """As in SmolLM2 and GPT-NeoX, whose end-of-sequence token is 0."""
    subject = examined(sound)
    pairs = [replace(pair, chosen=[*pair.chosen, 0]) for pair in subject.pairs]
    scored = score_pairs(subject.scorer, pairs, subject.scorer)
    seen = []

    def watched(model, params, made):
        seen.extend(made)
        return score_batches(model, params, made)

    monkeypatch.setattr("gradlab.doctor.numbers.score_batches", watched)
    assert padding(replace(subject, pairs=pairs, scored=scored)).verdict == "ok"
    assert (seen[0].tokens[:, -13:] == 1).all()


def test_no_padding_is_asked_beyond_the_context():
    subject = examined(sound)
    longest = max(pair.length for pair in subject.pairs)
    found = next(number_findings(replace(subject, context=longest)))
    assert "under 0 more columns" in found.text
    assert found.verdict == "ok"


def test_another_reference_is_no_step_zero():
    subject = examined(sound)
    assert step_zero(subject.scored).verdict == "ok"
    assert step_zero(subject.scored).value < 1e-12
    moved = replace(subject.scorer, params=subject.scorer.params * 1.01)
    scored = score_pairs(subject.scorer, subject.pairs, moved)
    assert step_zero(scored).verdict == "FAIL"


def reads_padding(pairs):
    return -pairs.chosen.sum(-1) + (1e-3 + pairs.rejected).sum(-1)


def not_finite(pairs):
    return jnp.log(pairs.chosen.sum(-1))


def slope_not_finite(pairs):
    return jnp.sqrt(jnp.abs(pairs.chosen - pairs.ref_chosen)).sum(-1)


def test_losses_are_judged_one_by_one():
    given = ["dpo", reads_padding, not_finite, slope_not_finite]
    losses = [resolve(loss) for loss in given]
    found = list(loss_findings(examined(sound).scored, losses))
    assert [f.verdict for f in found] == ["ok", "FAIL", "FAIL", "FAIL"]
    assert found[0].value < 1e-12
    assert "outside the mask" in found[1].text
    assert "expected finite values" in found[2].text
    assert "a weight on chosen tokens that is inf" in found[3].text
