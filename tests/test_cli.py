"""The command line on the embedded model: results, and one message per refusal."""

import errno
import json
import os
import shutil
import subprocess
import sys

import jax
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from gradlab.cli import main
from gradlab.data.embedded import embedded_model_folder
from gradlab.losses import LOSSES
from gradlab.models.hub import load_model, save_model

LOSS = "mle,dpo,dpop(lam=5),dpo+0.5*exmate"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "demo"
    assert main(["compare", "--limit", "12", "--losses", LOSS, "--out", str(out)]) == 0
    return out


def refuse(capsys, *arguments):
    """Run a command that must be refused; gives its message."""
    assert main([*arguments]) == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message
    return message.strip().splitlines()[-1]


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "{}"],
        ["report", ".", "--out", "{}/page.html"],
        ["table", "{}"],
        ["table", ".", "--out", "{}"],
        ["cite", "{}"],
        ["compare", "--data", "{}"],
        ["compare", "--out", "{}"],
        ["compare", "--tokenizer", "{}"],
        ["doctor", "--data", "{}"],
    ],
    ids=" ".join,
)
def test_a_name_that_no_file_can_have(arguments, capsys):
    long = 300 * "a"
    message = refuse(capsys, *(part.format(long) for part in arguments))
    assert long in message
    assert "too long" in message


def test_a_path_without_permission(monkeypatch, capsys):
    def stat(self, **_):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr("pathlib.Path.stat", stat)
    assert refuse(capsys, "cite", "mine/x\x1b") == (
        "gradlab: mine/x\\x1b: Permission denied"
    )


def test_everything_is_written(run):
    names = {p.name for p in run.iterdir()}
    assert {"tokens.parquet", "summary.csv", "manifest.json"} <= names
    figures = ("mass", "token_weights", "token_heat", "penalty")
    for figure in figures:
        assert {f"{figure}.pdf", f"{figure}.png"} <= names
    assert not [n for n in names if n.startswith(".")]


def test_tokens_table_is_tidy(run):
    tokens = pd.read_parquet(run / "tokens.parquet")
    keys = ["pair", "side", "position", "loss"]
    assert not tokens.duplicated(keys).any()
    columns = (
        "pair row side position token_id token region logp ref_logp entropy max_logp "
        "log_sum_sq loss weight logit_grad_norm"
    )
    assert list(tokens.columns) == columns.split()
    assert tokens["loss"].nunique() == 4
    counts = tokens.groupby("loss", observed=True).size()
    assert counts.nunique() == 1
    assert pq.ParquetFile(run / "tokens.parquet").num_row_groups == 4
    assert (tokens["logp"] <= 0).all()
    assert (tokens["max_logp"] >= tokens["logp"]).all()
    assert np.isfinite(tokens.select_dtypes("number")).all().all()
    np.testing.assert_array_equal(tokens["logp"], tokens["ref_logp"])


def test_a_table_of_tokens_can_be_read_back(run, tmp_path, capsys):
    again = tmp_path / "again"
    known = ["--logps", str(run / "tokens.parquet"), "--losses", "dpop(lam=5),mle,wpo"]
    assert main(["compare", *known, "--out", str(again)]) == 0
    here, there = (pd.read_parquet(f / "tokens.parquet") for f in (run, again))
    assert list(here.columns) == list(there.columns)
    for loss in ("dpop(lam=5)", "mle"):
        one, other = (t[t["loss"] == loss].drop(columns="loss") for t in (here, there))
        other = other.reset_index(drop=True)
        pd.testing.assert_frame_equal(
            one.reset_index(drop=True), other, check_categorical=False
        )
    capsys.readouterr()


def test_weights_of_the_table_are_those_of_the_losses(run):
    """DPO at step 0 weighs beta/2 everywhere; the word problems differ in one step."""
    tokens = pd.read_parquet(run / "tokens.parquet")
    dpo = tokens[tokens["loss"] == "dpo"]
    sign = np.where(dpo["side"] == "chosen", -1, 1)
    np.testing.assert_allclose(dpo["weight"], 0.05 * sign, rtol=1e-12)
    shared = dpo[dpo["region"] == "prefix"].groupby(["pair", "position"])
    np.testing.assert_allclose(shared["weight"].sum(), 0, atol=1e-15)
    first = dpo[dpo["region"] == "first"]
    assert first["token"].str.fullmatch(r"\s*\d").all()


def test_summary_and_manifest(run):
    summary = pd.read_csv(run / "summary.csv").set_index("loss")
    assert list(summary.index) == ["mle", "dpo", "dpop(lam=5)", "dpo + 0.5*exmate"]
    assert (summary["closed_form_error"] < 1e-12).all()
    shares = summary[["share_before", "share_at", "share_after"]].sum(axis=1)
    np.testing.assert_allclose(shares, 1)
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["pairs"] == 12
    assert manifest["losses"]["dpop(lam=5)"] == {"beta": 0.3, "lam": 5}
    assert len(manifest["data_digest"]) == 64


def test_a_reference_of_its_own_moves_the_ratios(tmp_path, run, capsys):
    """A perturbed copy as reference: log-ratios differ, DPO's value leaves log 2."""
    other = tmp_path / "reference"
    shutil.copytree(embedded_model_folder(), other)
    model, params = load_model(other)
    moved = jax.tree.map(lambda x: x * 1.01, params)
    save_model(other, model.config, moved)
    out = tmp_path / "out"
    arguments = ["compare", "--limit", "6", "--losses", "dpo,kto,bpo"]
    assert main([*arguments, "--reference", str(other), "--out", str(out)]) == 0
    tokens = pd.read_parquet(out / "tokens.parquet")
    assert (tokens["logp"] != tokens["ref_logp"]).any()
    summary = pd.read_csv(out / "summary.csv").set_index("loss")
    assert abs(summary.loc["dpo", "value"] - np.log(2)) > 1e-6
    assert summary.loc["kto", "coupled"]


def test_an_earlier_result_is_not_replaced_unasked(run, capsys):
    message = refuse(capsys, "compare", "--limit", "3", "--out", str(run))
    assert "holds files already; expected a new or empty folder" in message
    assert (run / "summary.csv").is_file()


def test_a_refused_run_leaves_nothing_behind(tmp_path, capsys):
    out = tmp_path / "new"
    refuse(capsys, "compare", "--limit", "3", "--pair", "7", "--out", str(out))
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--losses", "dpoo"], "unknown loss 'dpoo'; did you mean"),
        (["--losses", "dpo,dpo"], "names 'dpo' twice"),
        (["--losses", ","], "names no loss"),
        (["--losses", "dpo(bta=1)"], "no hyperparameter 'bta'; expected beta"),
        (["--losses", "no_module:f"], "can't import the loss 'no_module:f'"),
        (["--seed", "-1"], "--seed is -1; expected 0 to 4294967295"),
        (["--batch-size", "0"], "--batch-size is 0; expected at least 1"),
        (["--limit", "0"], "--limit is 0; expected at least 1"),
        (["--max-length", "1"], "--max-length is 1; expected 2 to"),
        (["--max-length", "20", "--truncation", "error"], "20"),
        (["--pair", "3"], "--pair 3 does not exist; expected 0 to 2"),
        (["--data", "missing.jsonl"], "missing.jsonl"),
        (["--model", "no/such/folder", "--data", "x.jsonl"], "x.jsonl"),
        (["--model", "nowhere"], "--model without --data"),
        (["--reference", "no/such/folder"], "no such folder"),
        (["--tokenizer", "no/such/folder"], "no/such/folder"),
    ],
)
def test_refusals(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base = ["compare", "--out", str(tmp_path / "out")]
    if "--limit" not in arguments:
        base += ["--limit", "3"]
    assert message in refuse(capsys, *base, *arguments)
    assert not (tmp_path / "out").exists()


def bad_rows(tmp_path):
    rows = [
        {"prompt": "1 + 1 = ", "chosen": "2", "rejected": "3"},
        {"prompt": "1 + 2 = ", "chosen": "3"},
        {"prompt": "1 + 3 = ", "chosen": "4", "rejected": "4"},
        {"prompt": "1 + 4 = ", "chosen": "5", "rejected": "6"},
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n{broken\n")
    return path


def test_a_bad_row_stops_the_command_or_is_counted(tmp_path, capsys):
    data = str(bad_rows(tmp_path))
    model = str(embedded_model_folder())
    base = ["compare", "--model", model, "--data", data, "--losses", "dpo"]
    message = refuse(capsys, *base, "--out", str(tmp_path / "a"))
    assert "pairs.jsonl" in message
    assert "line 2" in message
    assert "rejected" in message
    skip = [*base, "--on-bad-row", "skip", "--out", str(tmp_path / "b")]
    assert main(skip) == 0
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    assert manifest["pairs"] == 2
    assert any("3" in note for note in manifest["notes"])
    tokens = pd.read_parquet(tmp_path / "b" / "tokens.parquet")
    assert sorted(tokens["row"].unique()) == [1, 4]


def test_a_loss_of_the_users_own_by_path(tmp_path, capsys, monkeypatch):
    (tmp_path / "losses_of_a_user.py").write_text(
        "import jax.numpy as jnp\n"
        "def pull(pairs, *, scale=1.0):\n"
        "    chosen = jnp.where(pairs.chosen_mask, pairs.chosen, 0)\n"
        "    return -scale * jnp.sum(chosen, -1)\n"
    )
    monkeypatch.chdir(tmp_path)
    spec = "mle,losses_of_a_user:pull(scale=2)"
    assert main(["compare", "--limit", "3", "--losses", spec, "--out", "out"]) == 0
    summary = pd.read_csv("out/summary.csv").set_index("loss")
    own = summary.loc["losses_of_a_user:pull(scale=2)"]
    assert own["mass_chosen"] == 2 * summary.loc["mle", "mass_chosen"]
    assert np.isnan(own["closed_form_error"])


def test_hostile_text_is_shown_not_obeyed(tmp_path, capsys):
    hostile = "\x1b[31m[red]<script>$x$\\alpha{}\u202e"
    path = tmp_path / "pairs.jsonl"
    row = {"prompt": "p", "chosen": hostile + "a", "rejected": hostile + "b"}
    path.write_text(json.dumps(row))
    arguments = ["--model", str(embedded_model_folder()), "--data", str(path)]
    out = ["--losses", "dpo", "--out", str(tmp_path / "out")]
    assert main(["compare", *arguments, *out]) == 0
    assert "\x1b[31m" not in capsys.readouterr().out


CACHE = """
import sys
from pathlib import Path
from gradlab.cli import main
assert main(["losses", "dpo"]) == 0
import jax, jax.numpy as jnp
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.jit(lambda x: x * 3 + 1)(jnp.ones(4)).block_until_ready()
kept = list(Path(sys.argv[1]).rglob("*-cache"))
assert bool(kept) is (sys.argv[2] == "kept"), kept
"""


@pytest.mark.parametrize(
    ("settings", "folder", "kept"),
    [
        ({"XDG_CACHE_HOME": "HERE"}, "gradlab/compiled", "kept"),
        ({"HOME": "HERE"}, ".cache/gradlab/compiled", "kept"),
        ({"JAX_COMPILATION_CACHE_DIR": "HERE"}, "", "kept"),
        ({"HOME": "HERE", "JAX_ENABLE_COMPILATION_CACHE": "0"}, "", "nothing"),
    ],
)
def test_what_is_compiled_is_kept_for_later_runs(settings, folder, kept, tmp_path):
    unset = ("JAX_COMPILATION_CACHE_DIR", "XDG_CACHE_HOME")
    environment = {k: v for k, v in os.environ.items() if k not in unset}
    environment |= {k: v.replace("HERE", str(tmp_path)) for k, v in settings.items()}
    command = [sys.executable, "-c", CACHE, str(tmp_path / folder), kept]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_all_means_every_loss_without_required_settings():
    from gradlab.inputs.choices import chosen_losses

    names = {loss.label for loss in chosen_losses("all")}
    assert names <= set(LOSSES)
    assert {n for n in LOSSES if not LOSSES[n].required} == names


@pytest.mark.parametrize(
    "arguments",
    [
        ["compare", "--data"],
        ["compare", "--logps"],
        ["doctor", "--model"],
        ["rank", "--judge", "scores", "--out", "pairs.jsonl"],
        ["report"],
        ["table"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_path_that_can_not_be_looked_at(arguments, capsys, tmp_path, monkeypatch):
    """Like one in a folder of somebody else, which root could read all the same."""
    monkeypatch.chdir(tmp_path)
    assert "File name too long" in refuse(capsys, *arguments, "x" * 300)
    assert not list(tmp_path.iterdir())


def test_a_user_without_a_home(monkeypatch, capsys):
    def nowhere(cls):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("pathlib.Path.home", classmethod(nowhere))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert main(["losses", "dpo"]) == 0


def test_a_seed_is_looked_at_beside_given_log_probabilities(run, capsys):
    known = ["compare", "--logps", str(run / "tokens.parquet")]
    assert "--seed is -1; expected 0 to" in refuse(capsys, *known, "--seed", "-1")
