"""The folder that `gradlab train` writes is one that transformers reads."""

import importlib
import warnings
from dataclasses import replace

import jax
import numpy as np
import pytest

from gradlab.data import load_tokenizer
from gradlab.data.arithmetic import pairs
from gradlab.models import load_model
from gradlab.training.command import train
from gradlab.training.config import (
    DataSettings,
    ModelSettings,
    OptimiserSettings,
    ProbeSettings,
    TrainConfig,
)

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]

TOLERANCE = 1e-5  # in float32, of the largest logit
SHORT = TrainConfig(
    steps=3,
    data=DataSettings(batch_size=4, limit=12),
    optimiser=OptimiserSettings(learning_rate=1e-3),
    probes=ProbeSettings(kinds=""),
)


@pytest.fixture(scope="module", params=["embedded", "transformers"])
def exported(request, trl_live, tmp_path_factory):
    """(texts, model folder of a run); tied with BPE and BOS, or untied with words."""
    del trl_live
    folder = tmp_path_factory.mktemp("export")
    config = replace(SHORT, out=folder / "run")
    if request.param == "embedded":
        found = pairs(4, 0)
        texts = [pair.prompt + pair.chosen for pair in found]
        return texts, train(config) / "model"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = importlib.import_module("tests.parity.trajectories")
    module.write_model(folder / "model")
    module.write_pairs(folder / "pairs.jsonl")
    config = replace(
        config,
        model=ModelSettings(path=str(folder / "model")),
        data=replace(config.data, path=str(folder / "pairs.jsonl")),
    )
    return ["w1 w2 w39", "w5"], train(config) / "model"


def test_every_logit_is_the_same(exported):
    torch = importlib.import_module("torch")
    transformers = importlib.import_module("transformers")
    _, folder = exported
    theirs, report = transformers.AutoModelForCausalLM.from_pretrained(
        folder, output_loading_info=True
    )
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys"))
    assert theirs.dtype == torch.float32
    model, params = load_model(folder)
    rng = np.random.default_rng(0)
    ids = rng.integers(theirs.config.vocab_size, size=(3, 40))
    with torch.no_grad():
        expected = theirs.eval()(torch.tensor(ids)).logits.numpy()
    with jax.default_matmul_precision("highest"):
        found = jax.jit(model.apply)(params, ids)
    assert np.ptp(expected) > 1
    assert np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max()


def test_every_text_gives_the_same_ids(exported):
    transformers = importlib.import_module("transformers")
    texts, folder = exported
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    ours = load_tokenizer(folder)
    for text in texts:
        ids = ours.encode(text, add_bos=ours.adds_bos)
        assert theirs(text)["input_ids"] == ids
        assert theirs.decode(ids, skip_special_tokens=True) == ours.decode(
            ids[ours.adds_bos :]
        )
    for name in ("bos", "eos", "pad"):
        expected = getattr(theirs, f"{name}_token_id")
        assert getattr(ours, f"{name}_id") == expected
    config = transformers.AutoConfig.from_pretrained(folder)
    assert (config.bos_token_id, config.eos_token_id) == (ours.bos_id, ours.eos_id)
