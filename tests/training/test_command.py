"""`gradlab train` as a user calls it."""

import json
import shutil

import jax
import numpy as np
import pytest

from gradlab.cli import main
from gradlab.models import load_model
from gradlab.training.metriclog import read_metrics


def lines(folder):
    return read_metrics(folder / "metrics.jsonl")


def refuse(capsys, arguments):
    """Run a command that must be refused; gives its message."""
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message
    return message[message.rindex("gradlab: ") :]


@pytest.fixture(scope="module")
def run(place, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "dpo"
    assert main(place.arguments(out, "--epochs", "2", "--log-every", "3")) == 0
    return out


def test_a_run_leaves_everything(run, place):
    names = {path.name for path in run.iterdir()}
    expected = {"config.json", "metrics.jsonl", "manifest.json", "checkpoints", "model"}
    assert expected <= names
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["steps"] == 12
    assert manifest["loss"] == "dpo"
    assert [line["step"] for line in lines(run)] == [3, 6, 9, 12]
    assert lines(run)[-1]["epoch"] == 2
    model, params = load_model(run / "model")
    before = load_model(place.model)[1]
    assert jax.tree.structure(params) == jax.tree.structure(before)
    moved = jax.tree.map(lambda a, b: float(abs(a - b).max()), params, before)
    assert max(jax.tree.leaves(moved)) > 1e-3
    assert (run / "model" / "tokenizer.json").is_file()
    assert model.config is not None


def test_a_finished_run_is_not_trained_again(run, place, capsys):
    before = (run / "metrics.jsonl").read_bytes()
    settings = ["--epochs", "2", "--log-every", "3"]
    assert main(place.arguments(run, *settings, "--resume")) == 0
    assert "this run is finished" in capsys.readouterr().err
    assert (run / "metrics.jsonl").read_bytes() == before
    message = refuse(capsys, place.arguments(run, *settings))
    assert "holds this run already; --resume" in message


def test_another_configuration_is_refused_with_a_difference(run, place, capsys):
    more = ["--epochs", "2", "--log-every", "3", "--seed", "7", "--resume"]
    message = refuse(capsys, place.arguments(run, *more))
    assert "another configuration" in message
    assert "\n  seed: 0 there, 7 here" in message
    assert "log_every" not in message


def test_a_file_of_settings_and_flags_over_it(run, place, tmp_path, capsys):
    config = json.loads((run / "config.json").read_text())
    assert config["data"]["batch_size"] == 4
    file, out = run / "config.json", tmp_path / "again"
    again = ["train", "--config", str(file), "--out", str(out)]
    assert main([*again, "--steps", "2", "--log-every", "1"]) == 0
    assert len(lines(out)) == 2
    assert lines(out)[0]["loss"] == pytest.approx(np.log(2), abs=1e-5)
    (tmp_path / "bad.yaml").write_text("data: {batchsize: 2}")
    message = refuse(capsys, ["train", "-c", str(tmp_path / "bad.yaml")])
    assert "unknown key 'data.batchsize'" in message


def test_demonstrations_and_texts_are_learned(place, tmp_path):
    more = ["--stage", "sft", "--data.path", str(place.texts), "--epochs", "8"]
    out = tmp_path / "sft"
    assert main(place.arguments(out, *more, "--no-save-model")) == 0
    assert lines(out)[-1]["loss"] < 0.8 * lines(out)[0]["loss"]
    assert not (out / "model").exists()
    assert not any("rejected" in name for name in lines(out)[0])


def test_self_play_samples_and_renews_its_reference(place, tmp_path):
    more = ["--stage", "selfplay", "--selfplay.rounds", "2", "--steps", "3"]
    more += ["--selfplay.max-new-tokens", "12"]
    out = tmp_path / "selfplay"
    assert main(place.arguments(out, *more)) == 0
    found = lines(out)
    assert len(found) == 6
    # At the first step of each round the policy is the reference.
    for step in (0, 3):
        assert found[step]["loss"] == pytest.approx(np.log(2), abs=1e-5)
    assert found[2]["loss"] < 0.6931
    samples = [
        [json.loads(line)["sample"] for line in path.read_text().splitlines()]
        for path in sorted((out / "selfplay").iterdir())
    ]
    assert [len(part) for part in samples] == [24, 24]
    assert samples[0] != samples[1]


def test_a_folder_that_is_no_run_is_refused(place, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    message = refuse(capsys, place.arguments(tmp_path))
    assert "holds files that are no run" in message
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--loss", "dpoo"], "unknown loss 'dpoo'; did you mean"),
        (["--loss-schedule", "f=linear(0,1)"], "no hyperparameter 'f'"),
        (["--loss-schedule", "f"], "loss_schedule is 'f'"),
        (["--steps", "0"], "steps is 0; expected at least 1"),
        (["--data.path", "missing.jsonl"], "missing.jsonl: no such file"),
        (["--data.max-length", "1000"], "data.max_length is 1000; expected 2 to 160"),
        (["--data.micro-batches", "3"], "data.micro_batches is 3; expected a divisor"),
        (["--optimiser.no-decay", "("], "optimiser.no_decay is '('"),
        (["--model.path", "nowhere"], "nowhere"),
        (["--stage", "sft", "--loss", "dpo"], "loss is 'dpo'; expected one without"),
    ],
)
def test_refusals_name_the_key_and_leave_nothing(
    place, tmp_path, capsys, more, message
):
    out = tmp_path / "out"
    assert message in refuse(capsys, place.arguments(out, *more))
    assert not out.exists()


def test_a_run_that_lost_its_last_steps_ends_the_same(run, place, tmp_path):
    settings = ["--epochs", "2", "--log-every", "3", "--checkpoint.every", "5"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert main(place.arguments(whole, *settings)) == 0
    shutil.copytree(whole, broken)
    (broken / "manifest.json").unlink()
    shutil.rmtree(broken / "model")
    shutil.rmtree(broken / "checkpoints" / "12")
    assert main(place.arguments(broken, *settings, "--resume")) == 0
    for name in ("metrics.jsonl", "model/model.safetensors"):
        expected = (whole / name).read_bytes()
        assert (broken / name).read_bytes() == expected
    assert (run / "model" / "model.safetensors").read_bytes() == expected
