"""Pairs, demonstrations and completions from files that may hold anything."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st

from gradlab.data import load_tokenizer, read_pairs, tokenize_pairs
from gradlab.data.demonstrations import holds_pairs, read_demonstrations
from gradlab.data.embedded import embedded_model_folder
from gradlab.data.ranking import read_completions
from tests.fuzz.cases import (
    TEXTS,
    VALUES,
    as_lines,
    damaged,
    fuzz,
    loads_or_refuses,
    objects,
    sizes,
)

MESSAGE = objects({"role": st.sampled_from(["user", "assistant"]), "content": TEXTS})
SIDE = TEXTS | st.lists(MESSAGE, max_size=3)
PAIR = objects({"prompt": SIDE, "chosen": SIDE, "rejected": SIDE})
LEARNED = objects({"prompt": SIDE, "completion": SIDE, "messages": SIDE, "text": TEXTS})
RANKED = objects(
    {
        "prompt": TEXTS,
        "completions": st.lists(TEXTS, max_size=4),
        "scores": st.lists(st.floats() | st.integers(), max_size=4),
        "solution": TEXTS,
    }
)
HI, YES, NO = (
    {"role": role, "content": text}
    for role, text in (("user", "hi"), ("assistant", "yes"), ("assistant", "no"))
)
GOOD = [
    {"prompt": "2 + 2 =", "chosen": " 4", "rejected": " 5"},
    {"chosen": "2 + 2 = 4", "rejected": "2 + 2 = 5"},
    {"chosen": [HI, YES], "rejected": [HI, NO]},
    {"prompt": [HI], "chosen": [YES], "rejected": [NO]},
]
GOOD_LEARNED = [
    {"prompt": "2 + 2 =", "completion": " 4"},
    {"messages": [HI, YES]},
    {"text": "two and two"},
]
GOOD_RANKED = [{"prompt": "p", "completions": ["a", "b"], "scores": [1, 0.5]}]


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(embedded_model_folder())


def parquet(columns: dict) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def lines_of(row: st.SearchStrategy, good: list[dict]) -> st.SearchStrategy[bytes]:
    """Files of drawn rows, and good files with damage."""
    drawn = st.lists(row | VALUES | st.sampled_from(good), min_size=1, max_size=4)
    return drawn.map(as_lines) | damaged(as_lines(good))


def columns_of(names: list[str]) -> st.SearchStrategy[bytes]:
    """Parquet files with columns of any type, and good files with damage."""
    kinds = st.sampled_from(
        [
            pa.string(),
            pa.binary(),
            pa.int64(),
            pa.float32(),
            pa.list_(pa.string()),
            pa.struct([("role", pa.string()), ("content", pa.string())]),
            pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())])),
            pa.timestamp("ns"),
            pa.decimal128(8, 2),
            pa.dictionary(pa.int32(), pa.string()),
        ]
    )

    def file(drawn: dict) -> bytes:
        return parquet({name: pa.nulls(2, kind) for name, kind in drawn.items()})

    texts = {name: [f"{name} 1", f"{name} 2"] for name in names}
    turns = {name: [[HI, YES], [HI, NO]] for name in names}
    some = st.dictionaries(st.sampled_from(names), kinds, max_size=len(names))
    return some.map(file) | damaged(parquet(texts)) | damaged(parquet(turns))


def read_all(path, tokenizer, on_bad_row):
    pairs = loads_or_refuses(lambda: read_pairs(path, on_bad_row=on_bad_row), path)
    if pairs is None:
        return
    assert all(pair.chosen != pair.rejected for pair in pairs)
    made = loads_or_refuses(
        lambda: tokenize_pairs(pairs, tokenizer, max_length=16, on_bad_row=on_bad_row),
        path,
    )
    for pair in made or ():
        assert pair.prompt
        assert pair.chosen != pair.rejected
        assert pair.length <= 16


@sizes(60, 2300)
def test_pairs_as_json_lines(most, tmp_path, tokenizer):
    path = tmp_path / "pairs.jsonl"

    def check(content, on_bad_row):
        path.write_bytes(content)
        read_all(path, tokenizer, on_bad_row)

    fuzz(most, check, lines_of(PAIR, GOOD), st.sampled_from(["stop", "skip"]))


@sizes(40, 1200)
def test_pairs_as_parquet(most, tmp_path, tokenizer):
    path = tmp_path / "pairs.parquet"

    def check(content, on_bad_row):
        path.write_bytes(content)
        read_all(path, tokenizer, on_bad_row)

    file = columns_of(["prompt", "chosen", "rejected"])
    fuzz(most, check, file, st.sampled_from(["stop", "skip"]))


@sizes(40, 1300)
def test_demonstrations(most, tmp_path, tokenizer):
    lines = st.tuples(st.just("d.jsonl"), lines_of(LEARNED, GOOD_LEARNED))
    names = ["prompt", "completion", "messages", "text"]
    columns = st.tuples(st.just("d.parquet"), columns_of(names))

    def check(file, on_bad_row):
        path = tmp_path / file[0]
        path.write_bytes(file[1])
        loads_or_refuses(lambda: holds_pairs(path), path)
        found = loads_or_refuses(
            lambda: read_demonstrations(
                path, tokenizer, max_length=16, on_bad_row=on_bad_row
            ),
            path,
        )
        for row in found.pairs if found else ():
            assert row.prompt
            assert row.chosen
            assert row.length <= 16

    fuzz(most, check, lines | columns, st.sampled_from(["stop", "skip"]))


@sizes(40, 1200)
def test_completions(most, tmp_path):
    path = tmp_path / "completions.jsonl"

    def check(content, needs, on_bad_row):
        path.write_bytes(content)
        found = loads_or_refuses(
            lambda: read_completions(path, needs=needs, on_bad_row=on_bad_row), path
        )
        for row in found.rows if found else ():
            assert len(set(row.completions)) >= 2

    needs = st.sampled_from([(), ("scores",), ("solution",), ("scores", "solution")])
    modes = st.sampled_from(["stop", "skip"])
    fuzz(most, check, lines_of(RANKED, GOOD_RANKED), needs, modes)


@pytest.mark.parametrize(
    "line",
    [
        b'{"prompt": "p", "completions": ["a", "b"], "scores": [1e999, 1]}',
        b'{"prompt": "p", "completions": ["a", "b"], "scores": [1'
        + b"0" * 400
        + b", 1]}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"prompt": ' + b"1" * 10_000 + b"}",
    ],
    ids=["infinite", "huge", "deep list", "deep object", "long number"],
)
def test_what_was_once_accepted_or_raised_something_else(line, tmp_path):
    path = tmp_path / "completions.jsonl"
    path.write_bytes(line)
    read = lambda: read_completions(path, needs=("scores",))  # noqa: E731
    assert loads_or_refuses(read, path) is None


def test_good_files_are_read(tmp_path, tokenizer):
    """The drawn files are near to these, which load: the fuzz reaches the readers."""
    path = tmp_path / "f"
    path.write_bytes(as_lines(GOOD))
    assert len(read_pairs(path)) == 4
    path.write_bytes(as_lines(GOOD_LEARNED))
    assert len(read_demonstrations(path, tokenizer, max_length=64).pairs) == 3
    path.write_bytes(as_lines(GOOD_RANKED))
    assert len(read_completions(path, needs=("scores",)).rows) == 1
    path.write_bytes(parquet({k: [json.dumps(k)] for k in ("chosen", "rejected")}))
    assert len(read_pairs(path)) == 1
