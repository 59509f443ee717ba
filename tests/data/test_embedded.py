import json
from hashlib import sha256

import pytest

from gradlab.data import embedded, load_tokenizer
from gradlab.data.arithmetic import pairs, problems, solution
from gradlab.data.embedded import embedded_model_folder
from gradlab.errors import DataError
from gradlab.models import load_model
from gradlab.training.accuracy import solved

FILES = {
    "config.json",
    "manifest.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
}


@pytest.fixture(scope="module")
def manifest():
    return json.loads((embedded_model_folder() / "manifest.json").read_text())


def test_the_folder_is_whole_and_small():
    folder = embedded_model_folder()
    assert {path.name for path in folder.iterdir()} == FILES
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 2_000_000


def test_the_manifest_speaks_of_these_files(manifest):
    folder = embedded_model_folder()
    for name, digest in manifest["sha256"].items():
        assert sha256((folder / name).read_bytes()).hexdigest() == digest
    assert set(manifest["sha256"]) == FILES - {"manifest.json"}


def test_the_manifest_claims_at_least_nine_tenths_on_fresh_problems(manifest):
    answers = manifest["accuracy"]["answer_right"]
    assert answers["of"] >= 1000
    assert answers["interval_95"][0] >= 0.9
    assert answers["right"] / answers["of"] == pytest.approx(answers["share"], abs=1e-4)
    assert manifest["parameters"] <= 1_000_000


def test_the_defaults_of_the_problems_are_those_of_the_training(manifest):
    config = manifest["config"]
    drawn = problems(500, seed=123)
    steps = {len(problem.steps) for problem in drawn}
    assert (min(steps), max(steps)) == (config["least_steps"], config["most_steps"])
    numbers = [step.result for problem in drawn for step in problem.steps]
    assert max(numbers) == config["max_value"]


def test_the_model_solves_problems_that_it_never_saw(manifest):
    folder = embedded_model_folder()
    config, count = manifest["config"], manifest["training_problems"]
    # A third seed. What few prompts it shares with the training set are left out.
    trained = {problem.prompt for problem in problems(count, config["seed"])}
    fresh = problems(32, seed=77, exclude=trained)
    found = solved(*load_model(folder), load_tokenizer(folder), fresh, batch_size=32)
    # 0.9 of the claim at least: far below it in standard errors, far above chance.
    assert (
        found["answer_right"]["share"]
        >= 0.9 * (manifest["accuracy"]["answer_right"]["share"])
    )


def test_digits_are_single_tokens_so_the_first_difference_is_a_token():
    tokenizer = load_tokenizer(embedded_model_folder())
    for pair in pairs(50, seed=0):
        chosen, rejected = map(tokenizer.encode, (pair.chosen, pair.rejected))
        place = len(tokenizer.encode(pair.chosen[: pair.char]))
        assert chosen[:place] == rejected[:place]
        assert chosen[place] != rejected[place]


def test_a_whole_problem_fits_the_context():
    tokenizer = load_tokenizer(embedded_model_folder())
    config = json.loads((embedded_model_folder() / "config.json").read_text())
    longest = max(
        len(tokenizer.encode(problem.prompt + solution(problem)))
        for problem in problems(500, seed=9, style="verbose", steps=(3, 3))
    )
    assert longest + 2 <= config["max_position_embeddings"]


def test_a_missing_model_is_an_error_that_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded.resources, "files", lambda package: tmp_path)
    with pytest.raises(
        DataError, match=r"arithmetic_lm: the embedded model is missing"
    ):
        embedded_model_folder()
