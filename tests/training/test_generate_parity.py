"""Greedy generation beside transformers on the same weights: the same ids."""

import warnings

import jax
import numpy as np
import pytest

from gradlab.models import DecoderConfig, build, load_model, save_model
from gradlab.training.generate import continuations

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore"),  # theirs are not ours to answer for
]
torch = pytest.importorskip("torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    transformers = pytest.importorskip("transformers")

CONFIG = DecoderConfig(
    vocab_size=61,
    width=32,
    layers=3,
    heads=4,
    kv_heads=2,
    ff_width=40,
    max_length=96,
)
PROMPTS = [[5], [7, 8, 9, 10], [3] * 17, list(range(10, 32))]
NEW = 40


def theirs(folder, prompts, **options):
    """Their continuations, in one batch padded on the left."""
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32
    ).eval()
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    options = {"max_new_tokens": NEW, "do_sample": False, "pad_token_id": 0} | options
    with torch.no_grad():
        rows = model.generate(ids, attention_mask=mask, **options)
    return [row[longest:].tolist() for row in rows]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_greedy_ids_are_theirs(tmp_path, seed):
    _, params = build(CONFIG, seed=seed)
    params = jax.tree.map(lambda leaf: 5 * leaf, params)  # texts that vary
    save_model(tmp_path, CONFIG, params)
    model, params = load_model(tmp_path)
    found = continuations(model, params, PROMPTS, max_new_tokens=NEW)
    assert [text.ids for text in found] == theirs(tmp_path, PROMPTS)
    assert len({token for text in found for token in text.ids}) > 8


def test_eos_ends_a_text_where_it_ends_theirs(tmp_path):
    _, params = build(CONFIG, seed=0)
    params = jax.tree.map(lambda leaf: 5 * leaf, params)
    save_model(tmp_path, CONFIG, params)
    free = continuations(*load_model(tmp_path), PROMPTS, max_new_tokens=NEW)
    eos = free[0].ids[len(free[0].ids) // 2]
    found = continuations(
        *load_model(tmp_path), PROMPTS, max_new_tokens=NEW, eos_id=eos
    )
    for ours, row in zip(
        found, theirs(tmp_path, PROMPTS, eos_token_id=eos), strict=True
    ):
        end = row.index(eos) + 1 if eos in row else NEW
        assert ours.ids == row[:end]
    assert any(text.ids[-1] == eos for text in found)


def test_stories_are_theirs(shared):
    """A trained model: fifty tokens of a story, with log-probabilities."""
    folder = shared / "data" / "models" / "stories260K"
    model, params = load_model(folder)
    prompts = [[1], [1, 403, 407, 261]]
    found = continuations(model, params, prompts, max_new_tokens=NEW)
    expected = theirs(folder, prompts, eos_token_id=None)
    assert [text.ids for text in found] == expected
    assert np.mean([text.logps.mean() for text in found]) > -1
