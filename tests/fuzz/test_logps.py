"""Token log-probabilities and trainers' logs from files that may hold anything."""

import io
import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st

from gradlab.bridges.trainer_state import metric_lines, read_trainer_state
from gradlab.comparison.frames import regions_of, token_frame
from gradlab.comparison.sources import scored_pairs
from gradlab.inputs.token_rows import KNOWN
from gradlab.inputs.token_table import STATISTICS, read_token_table
from gradlab.tables import write_table
from tests.fuzz.cases import (
    HUGE,
    SCALARS,
    TEXTS,
    VALUES,
    as_lines,
    changed,
    damaged,
    fuzz,
    loads_or_refuses,
    objects,
    sizes,
)
from tests.inputs.test_token_table import probes, table

GOOD = table(mask=1, row=3, prompt="Q?", loss="dpo", entropy=0.5, log_sum_sq=-0.1)
PROBES = probes()
NUMBERS = [math.nan, math.inf, -math.inf, 1e308, -1e308, 0.5, -0.0, -3.0, 2.0**62]
KINDS = [
    pa.float16(), pa.float32(), pa.float64(), pa.int8(), pa.int64(), pa.uint64(),
    pa.bool_(), pa.string(), pa.binary(), pa.large_string(), pa.timestamp("ns"),
    pa.duration("s"), pa.date32(), pa.decimal128(8, 2), pa.list_(pa.float64()),
    pa.dictionary(pa.int32(), pa.string()), pa.struct([("a", pa.int64())]), pa.null(),
]  # fmt: skip


def no_utf8(length: int) -> pa.Array:
    return pa.array([b"\xff\xfe"] * length, pa.binary()).view(pa.string())


def arrays(length: int) -> st.SearchStrategy[pa.Array]:
    """Columns of any type, and of numbers that are none."""

    def of(values: st.SearchStrategy, kind: pa.DataType) -> st.SearchStrategy:
        lists = st.lists(values, min_size=length, max_size=length)
        return lists.map(lambda found: pa.array(found, kind))

    return (
        st.sampled_from(KINDS).map(lambda kind: pa.nulls(length, kind))
        | of(st.sampled_from(NUMBERS) | st.floats(), pa.float64())
        | of(st.integers(-(2**63), 2**63 - 1) | st.integers(-1, 3), pa.int64())
        | of(st.integers(0, 2**64 - 1), pa.uint64())
        | of(st.booleans() | st.none(), pa.bool_())
        | of(st.text(st.characters(codec="utf-8"), max_size=4), pa.string())
        | of(st.sampled_from(["chosen", "rejected", "-0.5", "1"]), pa.string())
        | of(st.lists(st.floats(-2, 0), max_size=3), pa.list_(pa.float64()))
        | of(st.integers(-(2**40), 0), pa.timestamp("s"))
        | st.just(no_utf8(length))
    )


def parquet(good) -> st.SearchStrategy[bytes]:
    """A good table with columns changed, taken away, put in and doubled."""
    length = len(good)
    columns = [(name, pa.array(good[name])) for name in good]

    def file(new: dict, doubled: list, gone: set, rows: int) -> bytes:
        made = [(n, new.get(n, c)) for n, c in columns if n not in gone]
        made += [(n, c) for n, c in new.items() if n not in good] + doubled
        names, held = zip(*made, strict=True) if made else ((), ())
        written = io.BytesIO()
        pq.write_table(pa.table(list(held), names=list(names))[:rows], written)
        return written.getvalue()

    names = st.sampled_from([*KNOWN, "other"])
    return st.builds(
        file,
        st.dictionaries(names, arrays(length), max_size=2),
        st.lists(st.tuples(names, arrays(length)), max_size=1),
        st.sets(st.sampled_from(list(good)), max_size=1),
        st.just(length) | st.integers(0, length),
    )


def cells(good) -> st.SearchStrategy[list[dict]]:
    """The rows of a good table, a few of them changed."""
    rows = json.loads(good.to_json(orient="records"))
    change = st.tuples(st.integers(0, len(rows) - 1), changed(rows[0]))

    def spoilt(changes: list) -> list[dict]:
        found = list(rows)
        for place, row in changes:
            found[place] = rows[place] | {
                k: v for k, v in row.items() if v != rows[0].get(k)
            }
        return found

    return st.lists(change, min_size=1, max_size=2).map(spoilt)


def csvs(good) -> st.SearchStrategy[bytes]:
    text = good.to_csv(index=False)
    head, *rows = text.splitlines()
    row = st.lists(SCALARS.map(str), max_size=12).map(",".join) | st.sampled_from(rows)
    drawn = st.lists(row, max_size=3).map(lambda more: "\n".join([head, *rows, *more]))
    heads = st.lists(st.sampled_from(KNOWN), max_size=12).map(
        lambda names: "\n".join([",".join(names), *rows])
    )
    texts = (drawn | heads).map(lambda t: t.encode(errors="surrogatepass"))
    return texts | damaged(text.encode())


def check(path, content, limit=None):
    path.write_bytes(content)
    found = loads_or_refuses(lambda: read_token_table(path, limit=limit), path)
    if found is None:
        return
    for name in {"logp", *STATISTICS} & set(found.rows):
        assert np.isfinite(found.rows[name]).all()
    assert (found.rows["logp"] <= 0).all()
    scored = scored_pairs(found.rows)
    assert scored.chosen.mask.sum() + scored.rejected.mask.sum() == len(found.rows)
    regions = loads_or_refuses(lambda: regions_of(scored), "")
    if regions is not None:
        tokens = token_frame(scored, regions, lambda ids: [""] * len(ids))
        write_table(tokens, path.with_name("tokens.parquet"))
        write_table(found.prompts, path.with_name("prompts.parquet"))


@sizes(40, 900)
def test_log_probabilities_as_parquet(most, tmp_path):
    path = tmp_path / "logps.parquet"
    drawn = parquet(GOOD) | parquet(PROBES)
    for good in (GOOD, PROBES):
        good.to_parquet(path)
        drawn |= damaged(path.read_bytes())
        assert len(read_token_table(path).rows) == 10
    limit = st.none() | st.just(1)
    fuzz(most, lambda content, limit: check(path, content, limit), drawn, limit)


@sizes(30, 600)
@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_log_probabilities_as_text(most, suffix, tmp_path):
    path = tmp_path / f"logps.{suffix}"
    if suffix == "csv":
        drawn = csvs(GOOD) | csvs(PROBES)
    else:
        known = objects(dict.fromkeys(KNOWN, SCALARS))
        drawn = st.lists(known | VALUES, max_size=3).map(as_lines)
        drawn |= (cells(GOOD) | cells(PROBES)).map(as_lines)
        drawn |= damaged(as_lines(json.loads(GOOD.to_json(orient="records"))))
    fuzz(most, lambda content: check(path, content), drawn)


ENTRY = {"step": 1, "epoch": 0.5, "loss": 0.7, "logps/chosen": -2.0}


@sizes(30, 500)
def test_logs_of_trainers(most, tmp_path):
    path = tmp_path / "trainer_state.json"
    numbers = st.dictionaries(TEXTS, st.floats() | st.integers() | HUGE, max_size=3)
    entries = changed(ENTRY) | numbers.map(lambda more: {"step": 3} | more) | VALUES
    states = st.lists(entries, max_size=3).map(lambda log: {"log_history": log})
    good = json.dumps({"log_history": [ENTRY]}).encode()
    drawn = (states | VALUES).map(lambda state: json.dumps(state).encode())

    def read(content):
        path.write_bytes(content)
        found = loads_or_refuses(lambda: read_trainer_state(path), path)
        if found is not None:
            assert found["value"].dtype == float
            write_table(found, tmp_path / "log.parquet")
            metric_lines(json.loads(content)["log_history"])

    fuzz(most, read, drawn | damaged(good))
    path.write_bytes(good)
    assert len(read_trainer_state(path)) == 3
