"""The study runs on a tiny folder of data, and its ways take the same step."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analyses.__main__ import TABLES, run
from analyses.training_speed import Config, study
from analyses.training_speed.child import ours as one_round
from analyses.training_speed.config import PAIRS, TOKENIZER
from analyses.training_speed.ours import OURS, SAVING, WAYS, Ours, load, reference
from analyses.training_speed.scene import made
from gradlab.data.arithmetic import pairs
from gradlab.data.bpe import train_tokenizer
from gradlab.errors import GradlabError
from gradlab.tables import check_study_table, read_table, select

CONFIG = replace(Config.smoke(), vocab_size=300)
SIZE = CONFIG.sizes[0]
TABLE = TABLES / "training_speed.csv"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A folder with pairs and a tokenizer where the study looks for them."""
    folder = tmp_path_factory.mktemp("data")
    made = pairs(12, 0, kinds=("last",), steps=(1, 1), style="terse")
    rows = [
        {n: getattr(pair, n) for n in ("prompt", "chosen", "rejected")} for pair in made
    ]
    (folder / PAIRS).write_text("\n".join(map(json.dumps, rows)))
    (folder / TOKENIZER).mkdir(parents=True)
    texts = [row["prompt"] + row["chosen"] for row in rows]
    train_tokenizer(texts, 300, folder / TOKENIZER)
    return folder


@pytest.fixture(scope="module")
def measured(data):
    """The table and the notes of a run where TRL isn't installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "trl_found", lambda: False)
        return study.run(CONFIG, data)


def test_every_way_is_measured_in_every_round(measured):
    table = measured.table
    check_study_table(table)
    seconds = select(table, metric="seconds")
    assert len(seconds) == len(WAYS) * SIZE.rounds * SIZE.batches
    assert (seconds["value"] > 0).all()
    rates = select(table, metric="pairs_per_second", method=OURS, round=1)
    own = select(seconds, method=OURS, round=1)["value"]
    pairs = SIZE.batches * CONFIG.batch_size
    assert rates["value"].item() == pytest.approx(pairs / own.sum())


def test_cost_is_the_median_of_the_ratios_of_the_rounds(measured):
    table = measured.table
    rates = select(table, metric="pairs_per_second")
    wide = rates.pivot(index="round", columns="method", values="value")
    ratios = wide[OURS] / wide["plain"]
    rows = select(table, method="plain").set_index("metric")["value"]
    assert rows["cost"] == pytest.approx(ratios.median())
    assert rows["cost_low"] == pytest.approx(ratios.min())
    assert rows["cost_high"] == pytest.approx(ratios.max())
    assert select(table, metric="ratio").empty


def test_each_part_saves_work(measured):
    wide = measured.table.pivot_table(index="method", columns="metric", values="value")
    assert wide.loc[OURS, "columns"] < wide.loc["without_packing", "columns"]
    assert wide.loc[OURS, "columns"] <= wide.loc["without_bucketing", "columns"]
    assert wide.loc[OURS, "positions"] < wide.loc["without_response_head", "positions"]
    assert wide.loc["plain", "columns"] == wide["columns"].max()
    assert wide.loc["without_bucketing", "shapes"] == 1


def test_what_is_skipped_is_said(measured, tmp_path):
    assert measured.manifest["skipped"] == {"trl": "trl is not installed"}
    assert select(measured.table, metric="skipped")["method"].item() == "trl"
    nothing = run("training_speed", "smoke", tmp_path)
    assert read_table(nothing)["metric"].tolist() == ["skipped"]
    manifest = json.loads(nothing.with_suffix(".json").read_text())
    assert "no folder of data given" in manifest["skipped"]["all"]
    found = study.run(CONFIG, tmp_path).manifest["skipped"]["all"]
    assert found == f"{tmp_path} lacks {PAIRS}"


def test_too_few_short_pairs_are_refused(data):
    size = replace(SIZE, batches=50)
    with (
        pytest.raises(GradlabError, match="12 pairs of at most 256 tokens, expected"),
        made(CONFIG, size, 0, data),
    ):
        pass


def test_all_ways_take_the_same_step(data):
    # One batch, so that its pairs are the same with and without bucketing.
    size = replace(SIZE, batches=1)
    losses, norms = {}, {}
    with made(CONFIG, size, 0, data) as scene:
        model, params = load(scene)
        table = None
        for name, way in WAYS.items():
            side = Ours(scene, way, model)
            table = table or reference(side, params)
            shifted = [
                [row[0] - 0.1 * place, row[1]] for place, row in enumerate(table)
            ]
            state = side.start(params)
            side.compile(state, shifted)
            _, report = side.step(0, state, shifted)
            places = side.order.batch(0).tolist()
            losses[name] = dict(zip(places, report.values.tolist(), strict=True))
            norms[name] = float(report.grad_norm)
    for name in WAYS:
        assert losses[name] == pytest.approx(losses[OURS], rel=1e-5)
        assert norms[name] == pytest.approx(norms[OURS], rel=1e-4)
    assert len(set(losses[OURS].values())) > 1


@pytest.mark.slow
@pytest.mark.parametrize("name", [OURS, SAVING])
def test_the_round_whose_memory_is_measured_runs(data, name):
    with made(CONFIG, SIZE, 0, data) as scene:
        one_round(scene, name)()


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")
def test_beside_trl(data):
    for name in ("torch", "transformers", "trl"):
        pytest.importorskip(name)
    result = study.run(replace(CONFIG, measure_peaks=True), data)
    table = result.table
    check_study_table(table)
    seconds = select(table, metric="seconds", method="trl")
    assert len(seconds) == SIZE.rounds * SIZE.batches
    rates = select(table, metric="pairs_per_second")
    wide = rates.pivot(index="round", columns="method", values="value")
    ratio = select(table, metric="ratio", method=OURS)["value"].item()
    assert ratio == pytest.approx((wide[OURS] / wide["trl"]).median())
    assert select(table, metric="difference")["value"].item() < 1e-5
    peaks = select(table, metric="peak_mib")
    assert set(peaks["method"]) == {OURS, SAVING, "trl", "trl_checkpointing"}
    assert result.manifest["trl"].startswith("trl ")


@pytest.mark.skipif(not TABLE.is_file(), reason="not measured yet")
def test_the_committed_table_is_that_of_the_code():
    table = read_table(TABLE)
    check_study_table(table)
    assert set(select(table, metric="seconds")["size"]) == {
        size.name for size in Config().sizes
    }
    assert np.isfinite(select(table, metric="ratio", method=OURS)["value"]).all()
