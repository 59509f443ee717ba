"""Given token log-probabilities: what is read, and what is refused with its place."""

import json

import numpy as np
import pandas as pd
import pytest

from gradlab.errors import DataError
from gradlab.inputs.token_table import read_token_table

LENGTHS = {(7, "chosen"): 3, (7, "rejected"): 2, (2, "chosen"): 1, (2, "rejected"): 4}


def table(**columns) -> pd.DataFrame:
    """Two pairs, 7 and 2; ten tokens in all."""
    rng = np.random.default_rng(0)
    rows = [
        {"pair": pair, "side": side, "position": t}
        for (pair, side), length in LENGTHS.items()
        for t in range(length)
    ]
    frame = pd.DataFrame(rows)
    frame["token_id"] = np.arange(len(frame)) + 5
    frame["token"] = [f"t{i} " for i in frame["token_id"]]
    frame["logp"] = -rng.exponential(1.0, len(frame))
    frame["ref_logp"] = frame["logp"] - 0.25
    return frame.assign(**columns)


def written(frame, folder, suffix=".parquet"):
    path = folder / f"logps{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
    elif suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        lines = (json.dumps(row) for row in frame.to_dict("records"))
        path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_every_format_gives_the_same_rows(tmp_path, suffix):
    frame = table(prompt="Q?")
    shuffled = frame.sample(frac=1, random_state=1)
    shuffled = pd.concat([frame.iloc[:1], shuffled.drop(index=0)])  # pair 7 comes first
    found = read_token_table(written(shuffled, tmp_path, suffix))
    sorted_rows = frame.sort_values(["side", "pair"], ascending=[True, False])
    assert found.rows["row"].tolist() == sorted_rows["pair"].tolist()
    assert found.rows["pair"].tolist() == [0] * 3 + [1] + [0] * 2 + [1] * 4
    for name in ("side", "position", "token_id", "token", "logp", "ref_logp"):
        assert found.rows[name].tolist() == sorted_rows[name].tolist(), name
    assert found.prompts.to_dict("list") == {
        "pair": [0, 1],
        "row": [7, 2],
        "prompt": ["Q?", "Q?"],
    }
    assert found.notes == ["2 pairs, 10 tokens"]


def test_text_alone_tells_tokens_apart(tmp_path):
    frame = table(token=list("aababacadb")).drop(columns="token_id")
    rows = read_token_table(written(frame, tmp_path, ".csv")).rows
    codes = dict(zip(rows["token"], rows["token_id"], strict=True))
    assert len(codes) == len(set(codes.values())) == 4
    assert [codes[t] for t in rows["token"]] == rows["token_id"].tolist()


def test_ids_alone_are_shown_as_numbers(tmp_path):
    frame = table(pair=[f"p{pair}" for pair in table()["pair"]])
    rows = read_token_table(written(frame.drop(columns="token"), tmp_path)).rows
    assert rows["token"].iloc[0] == "⟨5⟩"
    assert rows["row"].unique().tolist() == [1, 2]  # names have no number
    assert set(rows["prompt"]) == {""}


def test_masked_rows_are_left_out_and_positions_begin_anew(tmp_path):
    frame = table()
    prompt = frame.assign(position=frame["position"] - 2, mask=0, logp=np.nan)
    frame = frame.assign(mask=1)
    frame["position"] += 2
    prompt["position"] += 2  # 0, 1, ...: overlaps are masked, so they don't matter
    found = read_token_table(written(pd.concat([prompt, frame]), tmp_path))
    assert len(found.rows) == 10
    assert found.rows["position"].min() == 0
    assert "10 rows with mask 0 left out" in found.notes


def test_a_column_of_nothing_is_no_column(tmp_path):
    frame = table(entropy=np.nan, ref_logp=np.nan, max_logp=-0.5)
    rows = read_token_table(written(frame, tmp_path)).rows
    assert "entropy" not in rows
    assert "ref_logp" not in rows
    assert set(rows["max_logp"]) == {-0.5}


def test_of_several_losses_the_first_is_read(tmp_path):
    frame = pd.concat([table(loss="dpo"), table(loss="ipo")])
    assert len(read_token_table(written(frame, tmp_path)).rows) == 10


def probes():
    """Two texts at two steps, as a training run writes them."""
    frame = table().rename(columns={"pair": "row", "side": "probe"})
    frame = frame.drop(columns=["ref_logp", "token"]).astype({"logp": "float32"})
    start = frame.assign(step=0, drift=np.float32(0))
    drift = np.linspace(-1, 0, 10, dtype=np.float32)
    later = frame.assign(step=8, drift=drift, logp=frame["logp"] + drift)
    other = later.assign(probe="random")
    return pd.concat([start, later, other], ignore_index=True)


def test_probes_are_pairs_with_their_start_as_the_reference(tmp_path):
    path = written(probes(), tmp_path)
    found = read_token_table(path)
    rows = found.rows
    assert rows["row"].tolist() == [7] * 3 + [2] + [7] * 2 + [2] * 4
    start = read_token_table(path, step=0).rows
    np.testing.assert_allclose(rows["ref_logp"], start["logp"], atol=1e-6)
    np.testing.assert_array_equal(start["ref_logp"], start["logp"])
    assert rows["logp"].dtype == np.float32
    assert found.reference == "the policy at step 0"
    assert "probes at step 8, with step 0 as the reference" in found.notes


def test_only_the_first_pairs_are_read_where_so_many_are_asked_for(tmp_path):
    found = read_token_table(written(table(), tmp_path), limit=1)
    assert found.rows["row"].unique().tolist() == [7]


def changed(row, column, value):
    frame = table().astype({column: object})
    frame.loc[row, column] = value
    return frame


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (table().drop(columns="side"), "no column 'side'; found pair, position"),
        (table().drop(columns=["token", "token_id"]), "neither 'token_id' nor 'token'"),
        (table().iloc[:0], "no row; expected at least one pair"),
        (
            changed(3, "side", "good"),
            "row 4, column 'side': 'good'; expected chosen",
        ),
        (
            changed(2, "logp", 0.5),
            "row 3, column 'logp': 0.5; expected a finite",
        ),
        (changed(2, "logp", None), "row 3, column 'logp'"),
        (changed(2, "logp", "low"), "row 3, column 'logp': 'low'; expected a number"),
        (changed(1, "ref_logp", 2.0), "row 2, column 'ref_logp': 2.0"),
        (
            changed(0, "token_id", 1.5),
            "row 1, column 'token_id': 1.5; expected a",
        ),
        (changed(0, "pair", 0.5), "row 1, column 'pair': 0.5; expected a whole number"),
        (
            changed(9, "position", 4),
            "row 10, column 'position': 4 follows a gap",
        ),
        (
            changed(9, "position", 2),
            "row 10, column 'position': 2 is there twice",
        ),
        (table().iloc[:6], "pair 2 has no rejected response"),
        (table(mask=[2, *[1] * 9]), "row 1, column 'mask': 2; expected 0 or 1"),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path, frame, message):
    path = written(frame, tmp_path, ".jsonl")
    if frame.empty:
        path = written(frame, tmp_path)
    with pytest.raises(DataError) as error:
        read_token_table(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("pair", 10**30, None),
        ("logp", -(10**400), r"column 'logp': -10+; expected a number"),
        ("position", 10**400, r"column 'position': 10+; expected a number"),
        ("mask", {}, "column 'mask': {}; expected a number"),
        ("loss", ["dpo"], r"column 'loss': \['dpo'\]; expected a text"),
        (
            "token",
            "\ud800",
            r"line 1, column 'token': found the lone surrogate U\+D800",
        ),
    ],
)
def test_what_json_alone_can_hold(tmp_path, column, value, message):
    path = written(table(**{column: pd.Series([value] * 10, dtype=object)}), tmp_path,
                   ".jsonl")  # fmt: skip
    if message is None:  # the names of the two pairs are now one
        message = "is there twice in the chosen response of pair 10000"
    with pytest.raises(DataError, match=message):
        read_token_table(path)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_rounding_carried_above_0_is_0(tmp_path, dtype):
    """Above 0 the log of 1 - p, which several losses take, is no number."""
    path = written(table(logp=5e-4, ref_logp=0.0).astype({"logp": dtype}), tmp_path)
    rows = read_token_table(path).rows
    assert rows["logp"].dtype == dtype
    assert set(rows["logp"]) == {0.0}


def test_names_of_pairs_may_be_too_large_for_rows(tmp_path):
    path = written(
        table(pair=[n + 10**30 for n in table()["pair"]]), tmp_path, ".jsonl"
    )
    assert read_token_table(path).rows["row"].unique().tolist() == [1, 2]


def test_numbers_that_are_dates_are_refused(tmp_path):
    path = written(table(logp=pd.Timestamp("1960-01-01")), tmp_path)
    with pytest.raises(DataError, match="column 'logp': Timestamp"):
        read_token_table(path)


def test_one_response_that_makes_all_arrays_huge_is_refused(tmp_path):
    count = 20_000
    sides = ["chosen"] * count + ["rejected"] * count + ["chosen"] * count
    pairs = [*range(count), *range(count), *[0] * count]
    positions = [*[0] * 2 * count, *range(1, count + 1)]
    frame = pd.DataFrame({"pair": pairs, "side": sides, "position": positions})
    path = written(frame.assign(token_id=1, logp=-1.0), tmp_path)
    with pytest.raises(DataError, match="20000 pairs with up to 20001 tokens"):
        read_token_table(path)
    assert len(read_token_table(path, limit=2).rows) == count + 4


@pytest.mark.parametrize("step", ["inf", "two"])
def test_steps_are_whole_numbers(tmp_path, step):
    path = written(probes().assign(step=step), tmp_path, ".csv")
    with pytest.raises(DataError, match=f"column 'step': .?{step}.?; expected"):
        read_token_table(path)


@pytest.mark.parametrize("value", [-np.inf, np.nan])
def test_numbers_are_finite(tmp_path, value):
    frame = table()
    frame.loc[1, "ref_logp"] = value
    with pytest.raises(DataError, match=rf"row 2, column 'ref_logp': {value};"):
        read_token_table(written(frame, tmp_path))


@pytest.mark.parametrize(
    ("step", "kept", "message"),
    [
        (3, ["chosen", "rejected"], "no probes at step 3; expected one of 0, 8"),
        (None, ["chosen", "random"], "no probes 'rejected' at step 8"),
    ],
)
def test_probes_that_are_no_pairs_are_refused(tmp_path, step, kept, message):
    frame = probes()
    path = written(frame[frame["probe"].isin(kept)], tmp_path)
    with pytest.raises(DataError, match=message):
        read_token_table(path, step=step)


def test_files_that_are_no_tables_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_token_table(tmp_path / "none.parquet")
    (tmp_path / "text.jsonl").write_text('{"pair": 1}\nno json\n')
    with pytest.raises(DataError, match="line 2: expected a JSON object"):
        read_token_table(tmp_path / "text.jsonl")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 cut off")
    with pytest.raises(DataError, match="not a readable table"):
        read_token_table(tmp_path / "cut.parquet")
    path = written(table(), tmp_path)
    with pytest.raises(DataError, match="a step is chosen from probes only"):
        read_token_table(path, step=1)
