"""From sweep files to runs, and refusals that name the key."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gradlab.errors import GradlabError
from gradlab.training.sweep.grid import LONGEST, read_sweep, run_names


def written(tmp_path, content):
    path = tmp_path / "sweep.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def test_every_combination_the_last_key_fastest(tmp_path):
    text = """
    steps: 7
    data: {limit: 50, batch_size: 8}
    sweep:
      loss: [dpo, "dpop(lam=5)"]
      optimiser.learning_rate: [1e-5, 0.1]
      data.limit: [10, null]
    """
    runs = read_sweep(written(tmp_path, text))
    found = [
        (r.config.loss, r.config.optimiser.learning_rate, r.config.data.limit)
        for r in runs
    ]
    losses, rates, limits = ("dpo", "dpop(lam=5)"), (1e-5, 0.1), (10, None)
    assert found == [(a, b, c) for a in losses for b in rates for c in limits]
    assert all(r.config.steps == 7 and r.config.data.batch_size == 8 for r in runs)
    assert runs[0].name == "loss=dpo_learning_rate=1e-05_limit=10"
    assert runs[-1].name == "loss=dpop-lam=5_learning_rate=0.1_limit=null"
    assert runs[0].settings == {
        "loss": "dpo",
        "optimiser.learning_rate": 1e-5,
        "data.limit": 10,
    }


def test_a_json_file_and_lists_as_values(tmp_path):
    courses = [[], ["f=linear(0.5,1)"]]
    path = tmp_path / "sweep.json"
    path.write_text(json.dumps({"sweep": {"loss_schedule": courses}}))
    found = [run.config.loss_schedule for run in read_sweep(path)]
    assert found == [(), ("f=linear(0.5,1)",)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("steps: 3", "sweep is None; expected keys with lists"),
        ("sweep: []", "sweep is []; expected keys with lists"),
        ("sweep: {seed: 3}", "sweep.seed is 3; expected a list"),
        ("sweep: {seed: []}", "sweep.seed is []; expected a list"),
        ("sweep: {seed: [0, 1, 0]}", "sweep.seed holds 0 twice"),
        ("sweep: {seed: [0, x]}", "seed is 'x'; expected int"),
        ("sweep: {sead: [0]}", "unknown key 'sead'; did you mean seed"),
        (
            "sweep: {optimiser.learning_rat: [1]}",
            "unknown key 'optimiser.learning_rat'; did you mean learning_rate",
        ),
        ("sweep: {optimiser: [{b1: 0.5}]}", "sweep.optimiser names a group"),
        ("sweep: {seed.x: [0]}", "seed is {'x': 0}; expected int"),
        ("sweep: {seed: [0]}\nstep: 3", "unknown key 'step'; did you mean steps"),
        ("sweep: {seed: [0]}\nout: x", "out is set by the sweep"),
        ("sweep: {resume: [true]}", "resume is set by the sweep"),
        (
            "sweep: {data.batch_size: [4, 0]}",
            "in the run batch_size=0, data.batch_size is 0; expected at least 1",
        ),
    ],
)
def test_refusals_name_file_and_key(tmp_path, content, message):
    path = written(tmp_path, content)
    with pytest.raises(GradlabError) as error:
        read_sweep(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_names_never_clash():
    points = [{"loss": loss} for loss in ("dpo+mle", "dpo + mle", "DPO+mle", "x" * 999)]
    names = run_names(points)
    assert len({name.lower() for name in names}) == 4
    assert max(map(len, names)) <= LONGEST + 9
    assert all(name.startswith("loss=") and "/" not in name for name in names)
    both = {"optimiser.name": "sgd", "other.name": "a/../b"}
    assert run_names([both]) == ["optimiser.name=sgd_other.name=a-..-b"]


@given(st.lists(st.text(min_size=1, max_size=6), unique=True, max_size=6))
def test_any_texts_make_names_of_one_folder_each(texts):
    names = run_names([{"data.path": text} for text in texts])
    assert len(set(names)) == len(texts)
    assert all("/" not in name and name not in (".", "..") for name in names)
