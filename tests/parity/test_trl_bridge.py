"""A torch run leaves the tables that `gradlab train` leaves, with the same numbers."""

import importlib
import json
import shutil
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from gradlab.bridges.trainer_state import read_trainer_state
from gradlab.data import load_tokenizer, read_pairs, tokenize_pairs
from gradlab.errors import GradlabError
from gradlab.models import load_model
from gradlab.tables import read_manifest, read_table
from gradlab.training.command import train
from gradlab.training.config import (
    DataSettings,
    ModelSettings,
    ProbeSettings,
    TrainConfig,
)
from gradlab.training.metriclog import read_metrics
from gradlab.training.probe_stats import token_columns

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]

TOLERANCE = 1e-5  # nats
KEYS = ["step", "probe", "row", "position"]


@pytest.fixture(scope="module")
def bridged(trl_live):
    """The module that runs TRL with the callback."""
    del trl_live
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("tests.parity.bridged")


@pytest.fixture(scope="module")
def data(bridged, tmp_path_factory):
    """A file of pairs, and the model's folder beside it."""
    del bridged
    module = importlib.import_module("tests.parity.trajectories")
    folder = tmp_path_factory.mktemp("bridge")
    module.write_model(folder / "model")
    module.write_pairs(folder / "pairs.jsonl", 16)
    return folder / "pairs.jsonl"


@pytest.fixture(scope="module")
def run(bridged, data, tmp_path_factory):
    """A finished run: trainer, folder of the probes, folder of the checkpoints."""
    folder = tmp_path_factory.mktemp("whole")
    callback = bridged.probes(data, folder / "probed", top_k=3)
    trainer = bridged.trainer(data, folder / "out", [callback])
    trainer.train()
    return trainer, folder / "probed", folder / "out"


@pytest.fixture(scope="module")
def plain(bridged, data, tmp_path_factory):
    """The same run without the callback."""
    trainer = bridged.trainer(data, tmp_path_factory.mktemp("plain"))
    trainer.train()
    return trainer


def tokenized(data):
    tokenizer = load_tokenizer(data.parent / "model")
    pairs = tokenize_pairs(read_pairs(data, limit=5), tokenizer, max_length=64)
    return pairs.pairs


@pytest.mark.parametrize("step", [0, 2, 6])
def test_statistics_are_those_of_the_same_weights_here(run, data, step):
    _, probed, out = run
    folder = out / f"checkpoint-{step}" if step else data.parent / "model"
    model, params = load_model(folder)
    table = read_table(probed / "probe_tokens.parquet")
    found = table[(table["step"] == step) & (table["probe"] == "chosen")]
    expected = token_columns(model, params, tokenized(data), batch_size=4, top_k=3)
    for name, values in expected.items():
        np.testing.assert_allclose(
            found[name], values, rtol=0, atol=TOLERANCE, err_msg=name
        )
    assert np.ptp(found["logp"]) > 1


def test_drift_is_measured_from_the_start(run):
    table = read_table(run[1] / "probe_tokens.parquet")
    wide = table.pivot_table(index=KEYS[1:], columns="step", values="logp")
    drift = table.pivot_table(index=KEYS[1:], columns="step", values="drift")
    assert list(wide.columns) == [0, 2, 4, 6]
    gap = wide.sub(wide[0], axis=0) - drift
    assert np.abs(gap.to_numpy()).max() <= 1e-6
    assert np.abs(drift[6]).max() > 0.1


def test_the_tables_have_the_schema_of_train(run, data, tmp_path):
    config = TrainConfig(
        out=tmp_path / "run",
        steps=2,
        model=ModelSettings(path=str(data.parent / "model")),
        data=DataSettings(path=str(data), batch_size=4),
        probes=ProbeSettings(pairs=5, every=2, top_k=3),
    )
    ours = train(config)
    for name in ("probe_tokens.parquet", "probes.parquet"):
        found, expected = (pq.read_schema(f / name) for f in (run[1], ours))
        assert found.equals(expected), name
    found, expected = (read_table(f / "probes.csv") for f in (run[1], ours))
    assert found.dtypes.equals(expected.dtypes)
    assert set(found["metric"]) == set(expected["metric"])
    # The same start: the same texts, cut alike, and the same numbers.
    here, there = (read_table(f / "probe_tokens.parquet") for f in (run[1], ours))
    here, there = here[here["step"] == 0], there[there["step"] == 0]
    same = [*KEYS, "token_id", "hit"]
    pd.testing.assert_frame_equal(here[same], there[same])
    np.testing.assert_allclose(here["logp"], there["logp"], rtol=0, atol=TOLERANCE)


def test_the_run_is_as_without_the_callback(run, plain):
    torch = importlib.import_module("torch")
    trainer = run[0]
    for one, other in zip(
        trainer.model.parameters(), plain.model.parameters(), strict=True
    ):
        assert torch.equal(one, other)
    timed = ("train_runtime", "train_samples_per_second", "train_steps_per_second")
    logs = [
        [{k: v for k, v in line.items() if k not in timed} for line in log]
        for log in (trainer.state.log_history, plain.state.log_history)
    ]
    assert logs[0] == logs[1]


def test_modes_are_restored(bridged):
    logps = importlib.import_module("gradlab.bridges.torch_logps")
    torch = importlib.import_module("torch")
    model = bridged.language_model(0).train()
    model.model.layers[0].eval()  # frozen by hand
    modes = [module.training for module in model.modules()]
    seen = []

    def interrupted():
        with logps.evaluating(model):
            seen.append(any(module.training for module in model.modules()))
            seen.append(torch.is_grad_enabled())
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert seen == [False, False]
    assert [module.training for module in model.modules()] == modes
    assert torch.is_grad_enabled()


def test_a_stopped_run_goes_on_in_its_tables(bridged, data, run, tmp_path):
    out, probed = tmp_path / "out", tmp_path / "probed"
    callbacks = [bridged.probes(data, probed, top_k=3), bridged.Stop(5)]
    bridged.trainer(data, out, callbacks).train()
    steps = set(read_table(probed / "probes.parquet")["step"])
    assert steps == {0, 2, 4, 5}
    shutil.rmtree(out / "checkpoint-5", ignore_errors=True)  # it goes on from 4
    callback = bridged.probes(data, probed, top_k=3)
    trainer = bridged.trainer(data, out, [callback])
    trainer.train(resume_from_checkpoint=True)
    found, expected = (
        read_table(folder / "probe_tokens.parquet") for folder in (probed, run[1])
    )
    assert not found.duplicated(KEYS).any()
    pd.testing.assert_frame_equal(found, expected, rtol=0, atol=TOLERANCE)
    assert [line["step"] for line in read_metrics(probed / "metrics.jsonl")] == [
        *range(1, 7)
    ]


def test_a_folder_of_another_run_is_refused(bridged, data, run, tmp_path):
    _, probed, out = run
    again = bridged.trainer(data, tmp_path / "a", [bridged.probes(data, probed)])
    with pytest.raises(GradlabError, match="holds the probes of a run already"):
        again.train()
    last = str(out / "checkpoint-4")
    other = bridged.probes(data, probed, limit=4)
    with pytest.raises(GradlabError, match="other probe texts"):
        bridged.trainer(data, tmp_path / "b", [other]).train(last)
    fresh = bridged.probes(data, tmp_path / "new")
    with pytest.raises(GradlabError, match="no probes of step 0 there"):
        bridged.trainer(data, tmp_path / "c", [fresh]).train(last)


def test_rows_that_the_trainer_has_cut_are_probed_as_they_are(
    bridged, data, run, tmp_path
):
    # Its own shuffling and cutting are done: these are the ids that it learns from.
    rows = run[0].train_dataset
    callback = bridged.probes(rows, tmp_path, kinds="chosen,truncated,random")
    assert callback.pairs.pairs[0].prompt == rows[0]["prompt_ids"]
    expected = [pair.chosen for pair in tokenized(data)]
    assert [pair.chosen for pair in callback.pairs.pairs] == expected


def test_the_log_is_read_back(run):
    trainer, probed, out = run
    table = read_trainer_state(out / "checkpoint-6")
    lines = read_metrics(probed / "metrics.jsonl")
    history = [line for line in trainer.state.log_history if "loss" in line]
    assert len(lines) == len(history) == 6
    for line, expected in zip(lines, history, strict=True):
        assert line.items() >= expected.items()
        rows = table[(table["step"] == line["step"]) & (table["subset"] == "train")]
        found = dict(zip(rows["metric"], rows["value"], strict=True))
        named = {k: v for k, v in line.items() if k not in ("step", "epoch")}
        assert found == named
        assert {"loss", "rewards/chosen", "logps_sum/margins", "grad_norm"} <= set(
            found
        )


def test_the_manifest_names_the_run(run, capsys):
    from gradlab.commands.catalogue import cite
    from gradlab.commands.config import CiteConfig

    manifest = read_manifest(run[1] / "manifest.json")
    assert manifest["loss"] == "dpo (sigmoid, beta=0.1)"
    cite(CiteConfig((str(run[1]),)))
    assert "2305.18290" in capsys.readouterr().out
    assert manifest["steps"] == 6
    assert manifest["config"]["probes"]["every"] == 2
    assert manifest["config"]["trainer"]["learning_rate"] == 1e-2
    assert {"torch", "transformers", "trl"} <= set(manifest["versions"])
    json.dumps(manifest, allow_nan=False)


def test_other_processes_write_nothing(bridged, data, tmp_path):
    callback = bridged.probes(data, tmp_path / "probed")
    model = bridged.language_model(0)
    state = SimpleNamespace(is_world_process_zero=False, global_step=0, max_steps=4)
    for event in ("train_begin", "step_end", "save", "train_end"):
        getattr(callback, f"on_{event}")(None, state, None, model=model)
    assert not (tmp_path / "probed").exists()


def test_sharded_parameters_are_refused_in_every_process(bridged, data, tmp_path):
    torch = importlib.import_module("torch")
    sharded = type("FullyShardedDataParallel", (torch.nn.Linear,), {})(2, 2)
    callback = bridged.probes(data, tmp_path)
    state = SimpleNamespace(is_world_process_zero=False, global_step=0, max_steps=4)
    with pytest.raises(GradlabError, match="sharded over processes"):
        callback.on_train_begin(None, state, None, model=sharded)


def test_ids_that_the_model_lacks_are_refused(bridged, tmp_path):
    row = {"prompt_ids": [1], "chosen_ids": [2], "rejected_ids": [3, 10**6]}
    callback = bridged.probes([row], tmp_path / "probed")
    state = SimpleNamespace(is_world_process_zero=True, global_step=0, max_steps=4)
    model = bridged.language_model(0)
    with pytest.raises(GradlabError, match=r"row 1: token id 1000000; expected 0 to"):
        callback.on_train_begin(None, state, None, model=model)
    assert not (tmp_path / "probed").exists()


def test_a_model_that_broke_is_refused(bridged, data):
    logps = importlib.import_module("gradlab.bridges.torch_logps")
    torch = importlib.import_module("torch")
    model = bridged.language_model(0)
    with torch.no_grad():
        model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(GradlabError, match="row 1, token 0, is nan"):
        logps.token_columns(model, tokenized(data), batch_size=2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kinds": "chosen,argmax"}, "kinds is 'chosen,argmax'; expected some of"),
        ({"kinds": ""}, "kinds is ''"),
        ({"every": 0}, "every is 0; expected at least 1"),
        ({"limit": 0}, "limit is 0; expected at least 1"),
    ],
)
def test_settings_are_checked_at_once(bridged, data, tmp_path, settings, message):
    with pytest.raises(GradlabError, match=message):
        bridged.probes(data, tmp_path, **settings)
