"""The page on bridges: its Python runs, its columns and files exist."""

import importlib
import json
import re
import warnings
from pathlib import Path

import pandas as pd
import pytest

from gradlab.inputs import token_table

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "bridges.md").read_text()
BLOCKS = re.findall(r"(<!-- needs the trl extra -->\n)?```python\n(.*?)```", PAGE, re.S)
TORCH = [code for mark, code in BLOCKS if mark]
PLAIN = [code for mark, code in BLOCKS if not mark]


def run(code: str, names: dict):
    exec(compile(code, "bridges.md", "exec"), names)


def test_loops_of_ones_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    loop, linen, sums, table = PLAIN
    run(loop, names)
    assert f"# {capsys.readouterr().out.strip()}, from log 2" in PAGE
    run(linen, names)
    assert names["value"].shape == ()
    leaves = importlib.import_module("jax").tree.leaves(names["gradient"])
    assert any(abs(leaf).max() > 0 for leaf in leaves)
    run(sums, names)
    listed = capsys.readouterr().out
    assert "'dpo'" in listed
    assert "'simpo'" not in listed
    run(table, names)
    found = token_table.read_token_table(tmp_path / "logps.parquet")
    assert found.rows["logp"].tolist() == [-0.1, -2.3, -0.1, -4.0, -0.7]


def test_every_column_is_described():
    for name in (*token_table.NEEDED, *token_table.STATISTICS, "mask", "row", "prompt"):
        assert f"`{name}`" in PAGE


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")
def test_a_run_of_trl(tmp_path, monkeypatch):
    for package in ("torch", "transformers", "trl"):
        pytest.importorskip(package)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        real = importlib.import_module("tests.parity.real_trainers")
    monkeypatch.chdir(tmp_path)
    rows = list(real.pairs())
    Path("held_out.jsonl").write_text("\n".join(map(json.dumps, rows)))
    training, log = TORCH
    real.language_model(0).save_pretrained("model")
    names = {
        "model": "model",
        "tokenizer": real.tokenizer(),
        "pairs": real.pairs(),
        "settings": {
            "max_steps": 100,
            "save_steps": 100,
            "logging_steps": 50,
            "per_device_train_batch_size": 1,
            "use_cpu": True,
            "bf16": False,
        },
    }
    run(training, names)
    run(log, names)
    assert set(names["log"]["subset"]) == {"train"}
    texts = pd.read_parquet("runs/torch-1/probes.parquet")
    assert sorted(texts["step"].unique()) == [0, 50, 100]
    columns = pd.read_parquet("runs/torch-1/probe_tokens.parquet").columns
    (row,) = re.findall(r"\| `probe_tokens.parquet` \| per token: (.*) \|", PAGE)
    assert row.split(", ") == list(columns)
    files = re.findall(r"^\| `(\S+\.\w+)` \| per|^\| `(manifest.json)`", PAGE, re.M)
    assert len(files) == 5
    for parts in files:
        assert Path("runs/torch-1", "".join(parts)).is_file()
