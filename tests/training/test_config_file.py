import dataclasses
import json

import pytest

from gradlab.errors import GradlabError
from gradlab.training.config import DataSettings, TrainConfig
from gradlab.training.config_checks import RANGES, check, value_of
from gradlab.training.config_file import differences, read_config, to_mapping


def written(tmp_path, text):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return path


def test_a_file_fills_what_it_names_and_nothing_else(tmp_path):
    path = written(
        tmp_path,
        "stage: sft\nsteps: 7\noptimiser: {learning_rate: 1e-4, clip_norm: null}\n"
        "loss_schedule: ['f=linear(0,1)']\nmodel: {config: a/config.json}\n",
    )
    found = read_config(path, TrainConfig)
    assert found.optimiser.learning_rate == 1e-4
    assert found.optimiser.clip_norm is None
    assert found.loss_schedule == ("f=linear(0,1)",)
    assert str(found.model.config) == "a/config.json"
    assert (
        dataclasses.replace(
            TrainConfig(),
            stage="sft",
            steps=7,
            optimiser=found.optimiser,
            loss_schedule=found.loss_schedule,
            model=found.model,
        )
        == found
    )


def test_a_written_configuration_reads_back(tmp_path):
    config = TrainConfig(stage="selfplay", data=DataSettings(limit=5, window=3))
    path = tmp_path / "config.json"
    path.write_text(json.dumps(to_mapping(config)))
    assert read_config(path, TrainConfig) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lr: 1", "unknown key 'lr'"),
        ("data: {batchsize: 1}", "'data.batchsize'; did you mean batch_size"),
        ("data: {batch_size: many}", "data.batch_size is 'many'; expected int"),
        ("data: {batch_size: 1.5}", "data.batch_size is 1.5; expected int"),
        ("resume: 1", "resume is 1; expected bool"),
        ("optimiser: {learning_rate: fast}", "learning_rate is 'fast'; expected a num"),
        ("optimiser: {name: adam}", "optimiser.name is 'adam'; expected one of adamw"),
        ("data: 3", "data is 3; expected keys with values"),
        ("trackers: wandb", "trackers is 'wandb'; expected a list"),
        ("- 1", "expected keys with values"),
        ("a: [", "not readable as YAML"),
    ],
)
def test_refusals_name_file_and_key(tmp_path, text, message):
    with pytest.raises(GradlabError) as refused:
        read_config(written(tmp_path, text), TrainConfig)
    assert message in str(refused.value)
    assert "run.yaml" in str(refused.value)


def test_every_key_with_a_range_exists():
    for key in RANGES:
        value_of(TrainConfig(), key)


def test_the_default_configuration_is_in_range():
    check(TrainConfig())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (DataSettings(batch_size=0), "data.batch_size is 0; expected at least 1"),
        (DataSettings(batch_size=6, micro_batches=4), "data.micro_batches is 4"),
    ],
)
def test_settings_out_of_range_are_refused(data, message):
    with pytest.raises(GradlabError, match=message):
        check(TrainConfig(data=data))


def test_differences_leave_out_where_a_run_lies():
    one = to_mapping(TrainConfig())
    other = to_mapping(TrainConfig(resume=True, seed=2))
    assert differences(one, other) == ["seed: 0 there, 2 here"]
