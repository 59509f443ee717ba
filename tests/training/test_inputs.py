"""The embedded problems, as each stage learns from them."""

import pytest
from rich.console import Console

from gradlab.data.arithmetic import problems, solution
from gradlab.inputs.loading import embedded_pairs
from gradlab.training.config import DataSettings, TrainConfig
from gradlab.training.inputs import load_inputs


@pytest.mark.parametrize(
    ("every_length", "steps"), [(True, {1, 2, 3}), (False, {2, 3})]
)
def test_steps_of_the_embedded_pairs(every_length, steps):
    pairs = embedded_pairs(60, 0, every_length=every_length).pairs
    assert {str(pair.chosen).count(" = ") for pair in pairs} == steps
    assert all(pair.chosen != pair.rejected for pair in pairs)


@pytest.mark.parametrize("stage", ["sft", "selfplay"])
def test_demonstrations_are_the_solutions_of_the_embedded_domain(stage):
    config = TrainConfig(stage=stage, data=DataSettings(limit=20))
    inputs = load_inputs(config, Console(quiet=True))
    wanted = [problem.prompt + solution(problem) for problem in problems(20, 0)]
    read = [
        inputs.tokenizer.decode([*row.prompt, *row.chosen], skip_special=True)
        for row in inputs.rows
    ]
    assert read == wanted
    assert not any(row.rejected for row in inputs.rows)
    assert all(row.rejected for row in inputs.probe_rows)
