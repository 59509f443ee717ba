"""The study runs, compares what it times, and its summaries are those of its rounds."""

import json
import math
import time
from dataclasses import asdict, replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from analyses.__main__ import TABLES, run
from analyses.speed import Config, study
from analyses.speed.logps import full_logps
from analyses.speed.memory import fresh_peak, host_peak
from analyses.speed.parts import PARTS
from analyses.speed.programs import Program, jax_program, same_numbers
from gradlab.errors import GradlabError
from gradlab.models.logps import token_logps
from gradlab.tables import check_study_table, read_table, select

TABLE = TABLES / "speed.csv"
QUICK = ("drift", "logps")  # the others take longer to compile
linux = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="peaks are read on Linux only"
)


@pytest.fixture(scope="module")
def without_torch(tmp_path_factory):
    """(table, manifest) of the quick parts where PyTorch isn't installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "torch_found", lambda: False)
        patch.setattr(study, "PARTS", {part: PARTS[part] for part in QUICK})
        path = run("speed", "smoke", tmp_path_factory.mktemp("tables"))
    return read_table(path), json.loads(path.with_suffix(".json").read_text())


def test_smoke_writes_a_study_table(without_torch):
    table, _ = without_torch
    check_study_table(table)
    assert set(table["part"]) == set(QUICK)
    seconds = select(table, metric="seconds")
    assert (seconds["value"] > 0).all()
    assert set(seconds["round"]) == set(range(Config.smoke().rounds))
    assert set(seconds["method"]) == {
        "gradlab", "forward_pass", "jax_backward", "jax_batch_backward", "jax_full",
    }  # fmt: skip
    gaps = select(table, metric="difference")["value"]
    assert len(gaps) == 4
    assert (gaps < 1e-4).all()


def test_absent_pytorch_is_said_in_table_and_manifest(without_torch):
    table, manifest = without_torch
    skipped = select(table, metric="skipped")
    assert set(skipped["method"]) == {
        "torch_backward", "torch_batch_backward", "torch_full",
    }  # fmt: skip
    assert set(table[table["method"].isin(skipped["method"])]["metric"]) == {"skipped"}
    assert manifest["pytorch"].startswith("not installed")


def test_manifest_states_the_machine(without_torch):
    here = without_torch[1]["machine"]
    assert here["processor"]
    assert here["cores"] >= 1
    assert here["device"] == without_torch[1]["device"]


def test_speedup_is_the_median_of_the_ratios_within_rounds(without_torch):
    seconds = select(without_torch[0], metric="seconds", part="drift")
    wide = seconds.pivot(index="round", columns="method", values="value")
    ratios = wide["jax_backward"] / wide["gradlab"]
    rows = select(without_torch[0], part="drift", method="jax_backward")
    rows = rows.set_index("metric")["value"]
    assert rows["speedup"] == pytest.approx(ratios.median())
    assert rows["speedup_low"] == pytest.approx(ratios.min())
    assert rows["speedup_high"] == pytest.approx(ratios.max())


def test_growth_is_over_the_smallest_size():
    keys = {"seed": 0, "part": "p", "setting": "s", "method": "m"}
    rows = [
        keys | {"size": size, "metric": "peak_mib", "value": value}
        for size, value in ((16, 30.0), (8, 20.0))
    ]
    (grown,) = (g for g in study._growths(pd.DataFrame(rows)) if len(g))
    assert dict(zip(grown["size"], grown["value"], strict=True)) == {8: 1.0, 16: 1.5}
    assert set(grown["metric"]) == {"peak_mib_growth"}


def test_sides_take_turns_and_fast_ones_are_called_more_often():
    order = []

    def side(name, seconds):
        def call():
            order.append(name)
            time.sleep(seconds)
            return ()

        return Program(call, "cpu")

    programs = {"slow": side("slow", 0.02), "fast": side("fast", 0.002)}
    config = replace(Config.smoke(), rounds=2, least_seconds=0.02)
    timed = list(study.alternate(programs, config))
    assert [name for _, name, _ in timed] == ["slow", "fast", "fast", "slow"]
    assert [number for number, _, _ in timed] == [0, 0, 1, 1]
    assert order.count("fast") > order.count("slow") == 3
    assert all(0.002 <= seconds < 0.2 for _, _, seconds in timed)


def test_sides_that_differ_are_refused():
    ours = [np.array([1.0, 2.0])]
    assert same_numbers({"gradlab": ours, "jax": [ours[0] + 1e-4]})["jax"] < 1e-4
    for wrong in (ours[0] + 1e-3, ours[0] * np.nan):
        with pytest.raises(GradlabError, match="jax and gradlab differ by"):
            same_numbers({"gradlab": ours, "jax": [wrong]})


def test_full_logps_equal_chunked_ones():
    rng = np.random.default_rng(0)
    hidden = jnp.asarray(rng.normal(size=(1, 7, 3)), jnp.float32)
    head = jnp.asarray(rng.normal(size=(3, 11)), jnp.float32)
    targets = jnp.asarray(rng.integers(11, size=(1, 7)))
    full = full_logps(hidden, head, targets)
    chunked = token_logps(hidden, head, targets, position_chunk=2)
    np.testing.assert_allclose(full, chunked, rtol=1e-5)


def test_compiled_program_knows_its_time_and_memory():
    program = jax_program(lambda x: (x @ x.T,), jnp.ones((3, 2)))
    np.testing.assert_array_equal(program.numbers()[0], np.full((3, 3), 2.0))
    assert program.compile_seconds > 0
    assert program.temp_mib >= 0


@linux
def test_host_peak_is_what_a_call_adds():
    held = np.ones(2**22)  # present before, so not counted
    peak = host_peak(lambda: float(np.ones(2**23).sum() + held[0]))
    assert 60 < peak < 80


@linux
def test_a_process_of_its_own_that_fails_says_why():
    config = Config.smoke()
    key = ("logps", "forward", config.lengths[0])
    with pytest.raises(GradlabError, match=r"code 1: KeyError: 'nothing'"):
        fresh_peak(config, 0, key, "nothing")


@linux
@pytest.mark.slow
def test_full_logps_hold_all_logits_and_chunks_do_not():
    config = replace(Config.smoke(), head_vocab_size=5000, lengths=(4096,))
    key = ("logps", "forward", 4096)
    logits = 4096 * 5000 * 4 / 2**20
    assert logits <= fresh_peak(config, 0, key, "jax_full") < 4 * logits
    assert 0 < fresh_peak(config, 0, key, "gradlab") < logits / 2


@pytest.mark.slow
def test_all_parts(monkeypatch):
    monkeypatch.setattr(study, "torch_found", lambda: False)
    table = study.run(Config.smoke()).table
    check_study_table(table)
    assert set(table["part"]) == set(PARTS)
    gaps = select(table, metric="difference")["value"]
    assert (gaps < 1e-4).all()


@pytest.mark.parity
def test_pytorch_computes_the_same():
    pytest.importorskip("torch")
    result = study.run(Config.smoke())
    table = result.table
    assert "skipped" not in set(table["metric"])
    gaps = select(table, metric="difference")
    theirs = gaps[gaps["method"].str.startswith("torch")]
    assert set(theirs["part"]) == {"drift", "pair_gradients", "logps"}
    assert (theirs["value"] < 1e-4).all()
    assert result.manifest["pytorch"][0].isdigit()


def test_the_committed_table_is_that_of_the_code():
    table = read_table(TABLE)
    check_study_table(table)
    manifest = json.loads(TABLE.with_suffix(".json").read_text())
    assert manifest["config"] == json.loads(json.dumps(asdict(Config())))
    assert set(table["part"]) == set(PARTS)
    assert select(table, metric="difference")["value"].max() < 1e-4
    ours = select(table, metric="peak_mib_growth", method="gradlab")["value"]
    assert all(map(math.isfinite, ours))
