"""Beginnings, ends and masks: what is doubtful is said, with its rows."""

import pytest

from gradlab.data import TokenizedPair, load_tokenizer
from gradlab.data.embedded import embedded_model_folder
from gradlab.doctor.texts import text_findings
from gradlab.models.functional import LanguageModel


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(embedded_model_folder())


def pair(row, tokenizer, *, prompt=(7,), chosen=(8,), end=True, dropped=0):
    tail = [tokenizer.eos_id] if end else []
    return TokenizedPair(
        row, [tokenizer.bos_id, *prompt], [*chosen, *tail], [9, *tail],
        prompt_dropped=dropped,
    )  # fmt: skip


def findings(pairs, tokenizer, append_eos=True):
    model = LanguageModel(apply=lambda params, tokens: params)
    found = text_findings(pairs, tokenizer, model, append_eos=append_eos)
    return {finding.name: finding for finding in found}


def test_sound_pairs(tokenizer):
    found = findings([pair(1, tokenizer), pair(2, tokenizer)], tokenizer)
    assert {f.verdict for f in found.values()} == {"ok"}
    assert "4 of 4 responses end with EOS" in found["ends"].text
    assert "exactly the 8 tokens" in found["masks"].text


def test_what_is_doubtful_names_its_rows(tokenizer):
    sound = pair(1, tokenizer)
    bos, eos = tokenizer.bos_id, tokenizer.eos_id
    cases = [
        (pair(5, tokenizer, prompt=(bos, 7)), "prompts", "BOS stands twice"),
        (pair(5, tokenizer, dropped=3), "prompts", "the start is cut"),
        (pair(5, tokenizer, chosen=(8, eos, 8)), "ends", "within a response"),
        (pair(5, tokenizer, end=False), "ends", "no EOS ends a response"),
    ]
    for doubtful, name, message in cases:
        found = findings([sound, doubtful], tokenizer)[name]
        assert found.verdict == "warn"
        assert message in found.text
        assert "1 of 2 pairs (rows 5)" in found.text
    without = findings([pair(5, tokenizer, end=False)], tokenizer, append_eos=False)
    assert without["ends"].verdict == "ok"
