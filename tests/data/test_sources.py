"""Files, Parquet and hub data sets as sources of rows."""

import hashlib
import json
import sys
import types

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradlab.data import read_pairs
from gradlab.errors import DataError, MissingExtraError
from tests.data.samples import (
    ASK,
    GOOD,
    RIGHT,
    WRONG,
    quick,
    read_text,
    texts,
)


class TestFiles:
    def test_bom_carriage_returns_blank_lines_no_last_line_end(self):
        line = json.dumps(GOOD).encode()
        content = b"\xef\xbb\xbf" + line + b"\r\n\r\n  \t\n" + line
        assert [pair.row for pair in read_text(content)] == [1, 4]

    def test_lines_end_at_0x0a_only(self):
        odd = "a\u2028b\u2029c\x85d"
        row = json.dumps(GOOD | {"chosen": odd}, ensure_ascii=False)
        assert read_text(row.encode()).pairs[0].chosen == odd

    def test_equal_rows_are_all_kept(self, write_rows):
        assert len(read_pairs(write_rows([GOOD] * 3))) == 3

    def test_other_keys_are_ignored(self):
        row = b'{"chosen": "a", "rejected": "b", "score": NaN, "x": {"y": [1, 2]}}'
        assert read_text(row).pairs[0].chosen == "a"

    def test_limit_counts_good_pairs_and_stops(self, write_rows):
        path = write_rows([GOOD, "junk", GOOD, "junk", "junk"])
        found = read_pairs(path, limit=2, on_bad_row="skip")
        assert (len(found), found.skipped) == (2, {"not JSON": 1})
        assert len(read_pairs(path, limit=1)) == 1

    def test_digest_is_of_the_bytes(self, write_rows):
        path = write_rows([GOOD, GOOD])
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert read_pairs(path, limit=1).digest == digest

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "found an empty file"),
            (b"\n \n\n", "found no row, expected preference pairs"),
            (b"\x1f\x8b\x08\x00rest", "found a gzip archive, which is not supported"),
            (b"PK\x03\x04", "found a zip archive"),
            (b"\xff\xfe{\x00", "found UTF-16"),
            (b"PAR1 and no more", "Parquet can't be read"),
            (b"[\n" + json.dumps(GOOD).encode() + b"\n]", "expected one object a line"),
        ],
    )
    def test_unusable(self, content, message):
        with pytest.raises(DataError, match=message):
            read_text(content)

    def test_no_good_row(self, write_rows):
        path = write_rows(["junk", GOOD | {"chosen": ""}])
        with pytest.raises(
            DataError, match=r"no good row: 2 rows left out \(1 empty"
        ) as e:
            read_pairs(path, on_bad_row="skip")
        assert f"The first: {path}, line 1: not JSON" in str(e.value)

    def test_missing_file_directory_and_disguised_parquet(self, tmp_path, write_rows):
        with pytest.raises(DataError, match=r"none\.jsonl: no such file\. Expected"):
            read_pairs(tmp_path / "none.jsonl")
        with pytest.raises(DataError, match=r"a/none\.jsonl: no such file\. Expe"):
            read_pairs("a/none.jsonl")
        write_rows([GOOD])
        with pytest.raises(DataError, match=r"a directory.* It holds pairs\.jsonl"):
            read_pairs(tmp_path)
        with pytest.raises(DataError, match="not Parquet"):
            read_pairs(write_rows([GOOD], "pairs.parquet"))

    @pytest.mark.parametrize(
        "options",
        [{"limit": 0}, {"limit": 2.5}, {"max_chars": 0}, {"on_bad_row": "ignore"}],
    )
    def test_arguments(self, write_rows, options):
        (name,) = options
        with pytest.raises(DataError, match=f"{name}: found .*, expected"):
            read_pairs(write_rows([GOOD]), **options)


class TestParquet:
    def test_three_forms(self, tmp_path):
        rows = [[GOOD] * 300]
        rows.append([{"chosen": "ab", "rejected": "ac"}])
        rows.append([{"chosen": [ASK, RIGHT], "rejected": [ASK, WRONG | {"x": 1}]}])
        for number, (table, form) in enumerate(
            zip(rows, ("explicit", "implicit", "conversational"), strict=True)
        ):
            path = tmp_path / f"{number}.parquet"
            pq.write_table(pa.Table.from_pylist(table), path)
            found = read_pairs(path)
            assert {pair.form for pair in found} == {form}
            assert [pair.row for pair in found] == list(range(1, len(table) + 1))
            assert found.digest == hashlib.sha256(path.read_bytes()).hexdigest()
        assert found.pairs[0].prompt == [ASK]
        assert found.pairs[0].chosen == [RIGHT]  # without the null that Arrow puts in

    def test_bad_rows_and_columns(self, tmp_path):
        path = tmp_path / "pairs.parquet"
        pq.write_table(pa.Table.from_pylist([GOOD, GOOD | {"chosen": None}]), path)
        with pytest.raises(DataError, match="row 2: not a string: 'chosen' is null"):
            read_pairs(path)
        assert read_pairs(path, on_bad_row="skip").skipped == {"not a string": 1}
        pq.write_table(pa.Table.from_pylist([{"chosen": "a", "text": "b"}]), path)
        with pytest.raises(DataError, match="column rejected missing: found chosen"):
            read_pairs(path)

    def test_broken_utf8_is_a_bad_row(self, tmp_path):
        path = tmp_path / "pairs.parquet"
        raw = pa.array([b"good", b"\xff"]).cast(pa.binary())
        chosen = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
        table = pa.table({"chosen": chosen, "rejected": ["a", "b"]})
        pq.write_table(table, path)
        assert read_pairs(path, on_bad_row="skip").skipped == {"not UTF-8": 1}

    def test_cut_file(self, tmp_path):
        path = tmp_path / "pairs.parquet"
        pq.write_table(pa.Table.from_pylist([GOOD]), path)
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(DataError, match=r"pairs\.parquet: Parquet can't be read"):
            read_pairs(path)


class TestHub:
    @pytest.fixture
    def calls(self, monkeypatch):
        calls = []

        def load_dataset(*args, **options):
            calls.append((args, options))
            if args[0] == "nobody/nothing":
                raise FileNotFoundError("Dataset 'nobody/nothing' doesn't exist")
            return iter([GOOD | {"id": 1}, GOOD])

        module = types.ModuleType("datasets")
        module.__version__ = "4.1.0"  # pyright: ignore[reportAttributeAccessIssue]
        module.load_dataset = load_dataset  # pyright: ignore[reportAttributeAccessIssue]
        monkeypatch.setitem(sys.modules, "datasets", module)
        return calls

    @pytest.mark.parametrize(
        ("source", "args", "folder", "split"),
        [
            ("a/b", ("a/b", None), None, "train"),
            ("a/b:test", ("a/b", None), None, "test"),
            ("a/b:main:test", ("a/b", "main"), None, "test"),
            ("a/b/c-d:test", ("a/b", None), "c-d", "test"),
        ],
    )
    def test_ids(self, calls, source, args, folder, split):
        found = read_pairs(source, limit=1)
        assert found.pairs[0].chosen == " 4"
        assert len(found.digest) == 64
        options = {"data_dir": folder, "split": split, "streaming": True}
        assert calls == [(args, options)]

    def test_digest_is_of_the_rows_read(self, calls):
        first, both = read_pairs("a/b", limit=1), read_pairs("a/b")
        assert first.digest != both.digest == read_pairs("c/d").digest

    def test_unknown_set_and_old_package(self, calls):
        with pytest.raises(DataError, match=r"nobody/nothing: hub .* can't be read"):
            read_pairs("nobody/nothing")
        sys.modules["datasets"].__version__ = "2.14.0"  # pyright: ignore
        with pytest.raises(DataError, match=r"found version 2\.14\.0, expected 4"):
            read_pairs("a/b")

    def test_missing_extra_names_it(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "datasets", None)
        with pytest.raises(MissingExtraError, match=r"pip install 'gradlab\[hub\]'"):
            read_pairs("owner/name")

    def test_an_existing_path_wins(self, calls, write_rows, monkeypatch):
        path = write_rows([GOOD], "name")
        monkeypatch.chdir(path.parent.parent)
        assert len(read_pairs(f"{path.parent.name}/name")) == 1
        assert calls == []


class TestProperties:
    @quick
    @given(
        st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=5),
        st.booleans(),
        st.sampled_from(["\n", "\r\n", "\n\n"]),
    )
    def test_texts_come_back_unchanged(self, rows, ascii_only, end):
        rows = [(p, c + "c", r + "r") for p, c, r in rows]
        lines = [
            json.dumps(
                {"prompt": p, "chosen": c, "rejected": r}, ensure_ascii=ascii_only
            )
            for p, c, r in rows
        ]
        found = read_text(end.join(lines).encode())
        assert [(p.prompt, p.chosen, p.rejected) for p in found] == rows

    @quick
    @given(st.binary(max_size=200))
    def test_arbitrary_bytes_are_refused_in_words(self, content):
        with pytest.raises(DataError):
            read_text(content)

    @quick
    @given(st.integers(0, 2**32 - 1))
    def test_every_line_of_a_damaged_file_is_accounted_for(self, seed):
        rng = np.random.default_rng(seed)
        lines = [bytearray(json.dumps(GOOD | {"n": n}).encode()) for n in range(8)]
        for line in lines[1:]:
            for place in rng.integers(0, len(line), rng.integers(0, 3)):
                byte = int(rng.integers(0, 256))
                line[place] = byte if byte != 0x0A else 0x20
        found = read_text(b"\n".join(lines), on_bad_row="skip")
        assert len(found) + sum(found.skipped.values()) == len(lines)
