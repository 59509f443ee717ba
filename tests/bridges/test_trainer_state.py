"""The log of a trainer as a tidy table, from a state written by hand."""

import json
import math

import pytest

from gradlab.bridges.trainer_state import metric_lines, read_trainer_state
from gradlab.errors import GradlabError
from gradlab.tables import read_table, write_table

HISTORY = [
    {
        "epoch": 0.5, "step": 1, "loss": 0.6931, "grad_norm": 2.5,
        "learning_rate": 1e-4,
        "logps/chosen": -10.0, "logps/rejected": -12.5, "rewards/margins": 0.0,
    },
    {"epoch": 0.5, "step": 1, "eval_loss": 0.7, "eval_logps/chosen": -9.0},
    {"epoch": 1.0, "step": 2, "loss": math.nan, "grad_norm": 1.0, "learning_rate": 0.0},
    {"step": 2, "train_runtime": 3.5, "train_loss": 0.68, "epoch": 1.0},
]  # fmt: skip


@pytest.fixture
def written(tmp_path):
    """Writes a state with a log and gives its path."""

    def write(history, **more):
        path = tmp_path / "trainer_state.json"
        path.write_text(json.dumps({"log_history": history, "global_step": 2, **more}))
        return path

    return write


def values(table, step, subset):
    rows = table[(table["step"] == step) & (table["subset"] == subset)]
    return dict(zip(rows["metric"], rows["value"], strict=True))


def test_every_number_has_its_row(written, tmp_path):
    table = read_trainer_state(written(HISTORY))
    assert list(table.columns) == ["step", "epoch", "subset", "metric", "value"]
    assert values(table, 1, "train") == {
        "loss": 0.6931,
        "grad_norm": 2.5,
        "learning_rate": 1e-4,
        "rewards/margins": 0.0,
        "logps/chosen": -10.0,
        "logps/rejected": -12.5,
        "logps_sum/chosen": -10.0,
        "logps_sum/rejected": -12.5,
        "logps_sum/margins": 2.5,
    }
    assert values(table, 1, "eval") == {
        "loss": 0.7,
        "logps/chosen": -9.0,
        "logps_sum/chosen": -9.0,
    }
    assert values(table, 2, "run") == {"train_runtime": 3.5, "train_loss": 0.68}
    assert math.isnan(values(table, 2, "train")["loss"])
    assert table["epoch"].tolist()[0] == 0.5
    write_table(table, tmp_path / "log.csv")
    assert read_table(tmp_path / "log.csv").equals(table)


def test_the_folder_of_a_checkpoint_will_do(written, tmp_path):
    assert read_trainer_state(written(HISTORY)).equals(read_trainer_state(tmp_path))


def test_a_number_logged_twice_is_there_as_it_was_last(written):
    table = read_trainer_state(written([*HISTORY, {"step": 1, "eval_loss": 0.5}]))
    assert values(table, 1, "eval")["loss"] == 0.5
    assert not table.duplicated(["step", "subset", "metric"]).any()


def test_lines_are_those_of_training_alone():
    lines = metric_lines(HISTORY)
    assert [line["step"] for line in lines] == [1, 2]
    assert lines[0]["logps_sum/margins"] == 2.5
    assert lines[0]["epoch"] == 0.5
    assert "train_runtime" not in lines[1]


def test_an_empty_log_is_an_empty_table(written):
    assert read_trainer_state(written([])).empty


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not readable as JSON"),
        ("[1]", "no list 'log_history'"),
        ('{"log_history": null}', "no list 'log_history'"),
        ('{"log_history": [3]}', r"log_history\[0\]: found 3"),
        ('{"log_history": [{"loss": 1}]}', r"log_history\[0\]: 'step' is None"),
        ('{"log_history": [{"step": 1.5}]}', "'step' is 1.5; expected the number"),
        (
            '{"log_history": [{"step": 1}, {"step": 4, "loss": "low"}]}',
            r"log_history\[1\] \(step 4\): 'loss' is 'low'; expected a number",
        ),
        ('{"log_history": [{"step": 4, "loss": true}]}', "'loss' is True"),
        (f'{{"log_history": [{{"step": 4, "loss": 1{"0" * 400}}}]}}', "'loss' is 10"),
        (f'{{"log_history": [{{"step": {2**63}}}]}}', "'step' is 9223372036854775808"),
        (r'{"log_history": [{"step": 4, "\ud800": 1}]}', r"found the key '\\ud800'"),
    ],
)
def test_what_is_no_state_is_refused(tmp_path, text, message):
    path = tmp_path / "trainer_state.json"
    path.write_text(text)
    with pytest.raises(GradlabError, match=message) as error:
        read_trainer_state(path)
    assert str(path) in str(error.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(GradlabError, match="no such file"):
        read_trainer_state(tmp_path)
