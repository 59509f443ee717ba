"""The page's data equal the run's tables."""

import numpy as np
import pytest

from gradlab.plotting.scales import finite
from gradlab.report.payload import run_payload
from gradlab.report.runs import make_run
from tests.report.material import (
    DRIFTS,
    LOSSES,
    SIDES,
    summary_table,
    tokens_table,
)
from tests.report.test_packing import rounded, unpack, unpack_floats


@pytest.fixture(scope="module")
def table():
    return tokens_table()


@pytest.fixture(scope="module")
def payload(table):
    return run_payload(make_run(table, summary=summary_table()))


def test_every_number_is_there_in_order(table, payload):
    for loss, packed in zip(LOSSES, payload["losses"], strict=True):
        rows = table[table["loss"] == loss].sort_values(["pair", "side", "position"])
        assert packed["label"] == loss
        for key, block in packed["blocks"].items():
            got = unpack_floats(payload["blocks"], block, 4)
            sums = rows.groupby(["side", "pair"])[key].sum()
            sums = [sums[side, pair] for side in SIDES for pair in range(4)]
            want = [rounded(float(value), 4) for value in (*rows[key], *sums)]
            assert got.tolist() == want


def test_texts_and_ids(table, payload):
    rows = table[table["loss"] == LOSSES[0]].sort_values(["pair", "side", "position"])
    tokens = payload["tokens"]
    texts = [tokens["texts"][i] for i in unpack(tokens["which"])]
    assert texts == rows["token"].tolist()
    ids = [tokens["ids"][i] for i in unpack(tokens["which"])]
    assert ids == rows["token_id"].tolist()
    kinds = set(zip(tokens["texts"], tokens["ids"], strict=True))
    assert len(kinds) == len(tokens["ids"])


def test_pairs(payload):
    pairs = payload["pairs"]
    assert pairs["first"] == [1, 2, 3, 4]
    assert pairs["lengths"] == {"chosen": [12] * 4, "rejected": [13] * 4}
    assert pairs["row"] == [1, 2, 3, 4]
    assert all(0 < edit <= 1 for edit in pairs["edit"])


def test_edit_distance_by_hand():
    table = tokens_table(1).query("position < 2 & loss == 'dpo'")
    table = table.assign(token_id=[7, 8, 7, 9])
    pairs = run_payload(make_run(table))["pairs"]
    assert pairs["edit"] == [0.5]
    assert pairs["first"] == [1]


def test_only_what_the_run_holds(payload):
    keys = [q["key"] for q in payload["quantities"]]
    assert "logit_grad_norm" not in keys
    assert {"weight", "predicted", "realised", "logp"} <= set(keys)
    compared = run_payload(make_run(tokens_table(drift=False)))
    keys = [q["key"] for q in compared["quantities"]]
    assert keys == ["weight", "logit_grad_norm", "logp"]
    still = make_run(tokens_table().assign(by_chosen=np.nan, own=0.0))
    keys = [q["key"] for q in run_payload(still)["quantities"]]
    assert "by_chosen" not in keys
    assert "own" not in keys


def test_scales_are_those_of_the_figures(table, payload):
    rows = table[table["loss"] == LOSSES[1]]
    sizes = np.abs(finite(rows["predicted"]))
    want = [sizes.max(), np.quantile(sizes, 0.05)]
    np.testing.assert_allclose(payload["losses"][1]["scales"]["predicted"], want)
    every = np.abs(table["predicted"])
    assert payload["scales"]["predicted"][0] == every.max()


def test_summary(payload):
    summary = payload["summary"]
    columns = [column["key"] for column in summary["columns"]]
    assert columns == list(summary_table().columns)
    ratio = columns.index("ratio_bad_good")
    assert [row[ratio] for row in summary["rows"]] == [None, "Infinity", 0.0]
    known = {c["key"]: c["main"] for c in summary["columns"]}
    assert known["value"]
    assert not known["update_norm"]


def test_numbers_take_few_bytes():
    """Per token, loss and quantity, of numbers that have nothing in common."""
    table = tokens_table(50, losses=[f"loss {n}" for n in range(4)], length=60)
    for digits, most in ((4, 3.5), (3, 2.9), (2, 2.4)):
        payload = run_payload(make_run(table), digits=digits)
        numbers = sum(len(block) for block, _ in payload["blocks"])
        assert numbers / (len(table) * 6) < most, digits


def test_losses_that_do_the_same_take_no_room():
    table = tokens_table(50, losses=("a", "b"), length=60)
    half = len(table) // 2
    columns = ["weight", *DRIFTS]
    table.loc[half:, columns] = table.loc[: half - 1, columns].to_numpy()
    blocks = run_payload(make_run(table))["blocks"]
    sizes = [len(packed) for packed, _ in blocks]
    assert sum(sizes[6:12]) < 0.02 * sum(sizes[:6])
