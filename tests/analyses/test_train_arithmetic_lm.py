import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from analyses.train_arithmetic_lm import (
    SHIPPED,
    Config,
    draw_problems,
    make_optimiser,
    make_update,
    run,
    training_batches,
)
from gradlab.data import embedded, load_tokenizer
from gradlab.models import build, load_model


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "lm"
    return folder, run(Config.smoke(), folder)


def test_a_smoke_run_leaves_a_model_that_loads(smoke):
    folder, manifest = smoke
    model, params = load_model(folder)
    tokenizer = load_tokenizer(folder)
    logits = model.apply(params, jnp.array([[tokenizer.bos_id, 5, 6]]))
    assert logits.shape == (1, 3, Config.smoke().vocab_size)
    assert bool(jnp.isfinite(logits).all())
    assert sum(x.size for x in jax.tree.leaves(params)) == manifest["parameters"]
    assert json.loads((folder / "config.json").read_text())["eos_token_id"] == 2


def test_the_manifest_is_written_and_says_how(smoke):
    folder, manifest = smoke
    config, written = Config.smoke(), json.loads((folder / "manifest.json").read_text())
    assert written["config"]["updates"] == config.updates
    assert written["seed"] == config.seed
    assert written["training_problems"] == config.updates * config.batch_size
    assert written["accuracy"]["answer_right"]["of"] == config.fresh_problems
    assert written["cpu_seconds"] > 0
    assert written["loss"] == manifest["loss"]
    assert set(written["sha256"]) == {
        path.name for path in folder.iterdir() if path.name != "manifest.json"
    }


def test_training_lowers_the_loss(smoke):
    # An untrained model starts near log 512 = 6.24 nats.
    assert smoke[1]["loss"] < 5.8


def test_nothing_is_left_beside_the_folder(smoke):
    assert [path.name for path in smoke[0].parent.iterdir()] == ["lm"]


def test_the_shipped_folder_is_the_embedded_one():
    assert embedded.embedded_model_folder() == SHIPPED


def test_fresh_problems_share_no_prompt_with_training():
    train, fresh = draw_problems(Config.smoke())
    assert not {p.prompt for p in train} & {p.prompt for p in fresh}
    assert len(fresh) == Config.smoke().fresh_problems


def test_batches_hold_each_example_once_and_mask_exactly_the_solution():
    rng = np.random.default_rng(0)
    # Every token is different, so that it tells where it came from.
    ids = iter(range(1, 10_000))
    take = lambda n: [next(ids) for _ in range(n)]  # noqa: E731
    prompts = [take(int(n)) for n in rng.integers(1, 40, 48)]
    answers = [take(int(n)) for n in rng.integers(1, 30, 48)]
    seen = []
    for tokens, mask in training_batches(prompts, answers, 8, rng):
        assert tokens.shape == (8, mask.shape[1] + 1)
        assert mask.shape[1] % 16 == 0
        for row, marks in zip(tokens, mask, strict=True):
            seen.append((row[0], row[1:][marks > 0].tolist()))
    expected = [(p[0], a) for p, a in zip(prompts, answers, strict=True)]
    assert sorted(seen) == sorted(expected)


def test_only_solution_tokens_move_the_parameters():
    config = Config.smoke()
    model, params = build(config.decoder())
    optimiser = make_optimiser(config)
    update = make_update(model, optimiser)
    tokens = np.arange(24, dtype=np.int32).reshape(2, 12) + 3
    mask = np.zeros((2, 11), np.float32)
    mask[:, 4:7] = 1
    other = tokens.copy()
    other[:, 8:] = 2  # beyond the last target: causality hides it
    losses = []
    for batch in (tokens, other):
        copy = jax.tree.map(jnp.array, params)
        losses.append(float(update(copy, optimiser.init(copy), batch, mask)[2]))
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    other[:, 6] = 2  # a target
    copy = jax.tree.map(jnp.array, params)
    changed = float(update(copy, optimiser.init(copy), other, mask)[2])
    assert abs(changed - losses[0]) > 1e-4
