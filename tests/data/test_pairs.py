import hashlib
import json
import sys
import tempfile
import types
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradlab.data import read_pairs
from gradlab.data.pairs import PairFile
from gradlab.errors import DataError, MissingExtraError

GOOD = {"prompt": "2 + 2 =", "chosen": " 4", "rejected": " 5"}
ASK = {"role": "user", "content": "2 + 2?"}
RIGHT = {"role": "assistant", "content": "4"}
WRONG = {"role": "assistant", "content": "5"}
quick = settings(max_examples=60, derandomize=True, deadline=None)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def read_text(content: bytes, **options) -> PairFile:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pairs.jsonl")
        path.write_bytes(content)
        return read_pairs(path, **options)


class TestForms:
    def test_explicit(self, write_rows):
        (pair,) = read_pairs(write_rows([GOOD])).pairs
        assert (pair.prompt, pair.chosen, pair.rejected) == ("2 + 2 =", " 4", " 5")
        assert (pair.row, pair.form) == (1, "explicit")

    def test_an_explicit_prompt_may_be_empty(self, write_rows):
        pair = read_pairs(write_rows([GOOD | {"prompt": ""}])).pairs[0]
        assert (pair.prompt, pair.form) == ("", "explicit")

    def test_implicit(self, write_rows):
        row = {"chosen": "2 + 2 = 4", "rejected": "2 + 2 = 5"}
        pair = read_pairs(write_rows([row])).pairs[0]
        assert (pair.prompt, pair.form) == (None, "implicit")

    def test_conversation_with_prompt(self, write_rows):
        row = {"prompt": [ASK], "chosen": [RIGHT], "rejected": [WRONG]}
        pair = read_pairs(write_rows([row])).pairs[0]
        assert (pair.prompt, pair.chosen, pair.rejected) == ([ASK], [RIGHT], [WRONG])
        assert pair.form == "conversational"

    def test_shared_leading_messages_are_the_prompt(self, write_rows):
        row = {"chosen": [ASK, WRONG, ASK, RIGHT], "rejected": [ASK, WRONG, ASK, WRONG]}
        pair = read_pairs(write_rows([row])).pairs[0]
        assert pair.prompt == [ASK, WRONG, ASK]
        assert (pair.chosen, pair.rejected) == ([RIGHT], [WRONG])

    def test_a_string_prompt_beside_messages_must_repeat_one(self, write_rows):
        row = {"prompt": "2 + 2?", "chosen": [ASK, RIGHT], "rejected": [ASK, WRONG]}
        assert read_pairs(write_rows([row])).pairs[0].prompt == [ASK]
        with pytest.raises(DataError, match="prompts differ: 'prompt' is a string"):
            read_pairs(write_rows([row | {"prompt": "another"}]))

    def test_rows_in_memory(self):
        made = read_pairs([GOOD, GOOD])
        assert [pair.row for pair in made] == [1, 2]
        assert len(made.digest) == 64
        assert made.digest != read_pairs([GOOD]).digest
        with pytest.raises(DataError, match="row 2: not an object: found a number"):
            read_pairs([GOOD, 3])  # pyright: ignore[reportArgumentType]
        for wrong in (GOOD, 3, None):
            with pytest.raises(DataError, match="expected a path or a list"):
                read_pairs(wrong)  # pyright: ignore[reportArgumentType]


# Each row with a part of its message, which names what was found and expected.
BAD_ROWS = [
    ('{"prompt": "a", ', "not JSON: .* at column 17"),
    ("nonsense", "not JSON: Expecting value at column 1"),
    ("[" * 100_000, "not JSON"),
    ('{"chosen": %s}' % ("9" * 5000), "not JSON: can't be parsed"),
    (b'{"chosen": "\xff"}', "not UTF-8: found byte 0xFF at column 13"),
    ('["a"]', "not an object: found a list, expected an object"),
    ("null", "not an object: found null"),
    (
        '{"chosen": "a", "chosen": "b", "rejected": "c"}',
        "duplicate key: found",
    ),
    ({"prompt": "a", "chosen": "b"}, "key missing: found 'prompt', 'chosen', expected"),
    ({}, "key missing: found no key, expected 'chosen' and 'rejected'"),
    (GOOD | {"chosen": 4}, "not a string: 'chosen' is a number, expected a string"),
    (GOOD | {"prompt": None}, "not a string: 'prompt' is null"),
    (GOOD | {"rejected": True}, "not a string: 'rejected' is a boolean"),
    (GOOD | {"rejected": {}}, "not a string: 'rejected' is an object"),
    (GOOD | {"chosen": ""}, "empty response: 'chosen' is empty"),
    (GOOD | {"rejected": ""}, "empty response: 'rejected' is empty"),
    (GOOD | {"chosen": " 5"}, "identical pair"),
    (GOOD | {"chosen": "\ud83d"}, r"UTF-8: 'chosen' holds the lone surrogate U\+D83D"),
    (
        GOOD | {"prompt": "ab\0"},
        r"NUL character: 'prompt' holds U\+0000 at character 3",
    ),
    ('{"chosen": "a\0", "rejected": "b"}', "not JSON: Invalid control character"),
    (GOOD | {"chosen": "x" * 1_000_001}, "too long: 'chosen' has 1,000,001 characters"),
    (GOOD | {"chosen": [RIGHT]}, "malformed message: 'rejected' is a string"),
    (
        {"chosen": ["a"], "rejected": []},
        "chosen message 1 is a string, expected",
    ),
    ({"chosen": [{"role": "a"}], "rejected": []}, "message 1 lacks 'content'"),
    (
        {"chosen": [RIGHT | {"content": []}], "rejected": [WRONG]},
        "'chosen message 1 content' is a list, expected a string",
    ),
    (
        {"chosen": [ASK, RIGHT], "rejected": [ASK]},
        "'rejected' is empty after",
    ),
    ({"chosen": [], "rejected": []}, "empty response"),
    ({"chosen": [ASK, RIGHT], "rejected": [ASK, RIGHT]}, "identical pair"),
    (
        {"chosen": [ASK, RIGHT | {"content": ""}], "rejected": [ASK, WRONG]},
        "'chosen' is empty after the prompt",
    ),
    (
        {"chosen": [ASK, RIGHT], "rejected": [ASK | {"content": "3?"}, WRONG]},
        "prompts differ: after the prompt 'chosen' goes on with role 'user'",
    ),
    ({"prompt": "", "chosen": [RIGHT], "rejected": [WRONG]}, "no shared message"),
    (
        {"prompt": [ASK], "chosen": [ASK, RIGHT], "rejected": [ASK, WRONG]},
        "goes on with role 'user', expected 'assistant'",
    ),
]


class TestBadRows:
    @pytest.mark.parametrize(("row", "message"), BAD_ROWS)
    def test_stop_names_file_line_and_reason(self, write_rows, row, message):
        path = write_rows([GOOD, "", row, GOOD])
        with pytest.raises(DataError, match=message) as caught:
            read_pairs(path)
        assert str(caught.value).startswith(f"{path}, line 3: ")
        assert "--on-bad-row skip" in str(caught.value)

    def test_skip_counts_each_and_goes_on(self, write_rows):
        found = read_pairs(
            write_rows([*(row for row, _ in BAD_ROWS), GOOD]), on_bad_row="skip"
        )
        assert sum(found.skipped.values()) == len(BAD_ROWS)
        assert [pair.row for pair in found.pairs] == [len(BAD_ROWS) + 1]
        assert found.examples[0].row == 1
        assert found.examples[0].reason == "not JSON"
        assert len(found.examples) == 5

    def test_messages_never_quote_the_texts(self, write_rows):
        row = {"prompt": "SECRET", "chosen": "SECRET", "rejected": 3}
        with pytest.raises(DataError) as caught:
            read_pairs(write_rows([row]))
        assert "SECRET" not in str(caught.value)

    def test_length_limit_is_inclusive_and_cuts_nothing(self, write_rows):
        path = write_rows([GOOD | {"chosen": "x" * 10}])
        assert read_pairs(path, max_chars=10).pairs[0].chosen == "x" * 10
        with pytest.raises(DataError, match="has 10 characters, expected at most 9"):
            read_pairs(path, max_chars=9)

    def test_a_conversation_is_measured_as_a_whole(self, write_rows):
        row = {"chosen": [ASK, RIGHT, ASK, RIGHT], "rejected": [ASK, WRONG]}
        with pytest.raises(DataError, match="'chosen' has 14 characters"):
            read_pairs(write_rows([row]), max_chars=13)

    def test_a_line_without_end_is_not_held_in_memory(self, tmp_path):
        path = tmp_path / "endless.jsonl"
        with path.open("wb") as file:
            file.write(b"x" * 3_000_000 + b"\n" + json.dumps(GOOD).encode())
        found = read_pairs(path, on_bad_row="skip", max_chars=100)
        assert found.skipped == {"too long": 1}
        assert found.pairs[0].row == 2


class TestSharedBrokenFile:
    EXPECTED: ClassVar = {
        2: "not JSON",
        3: "key missing",
        4: "not a string",
        5: "not a string",
        6: "empty response",
        7: "identical pair",
        8: "not encodable as UTF-8",
        10: "not JSON",
        11: "NUL character",
        12: "not an object",
    }

    def test_line_by_line(self, shared):
        path = shared / "data" / "broken" / "mixed_bad_rows.jsonl"
        for number, line in enumerate(path.read_bytes().split(b"\n")[:14], 1):
            content = b"\n" * (number - 1) + line + b"\n"
            if number in self.EXPECTED:
                reason = f"line {number}: {self.EXPECTED[number]}"
                with pytest.raises(DataError, match=reason):
                    read_text(content)
            elif line:
                assert read_text(content).pairs[0].row == number

    def test_skip(self, shared):
        path = shared / "data" / "broken" / "mixed_bad_rows.jsonl"
        found = read_pairs(path, on_bad_row="skip")
        assert [pair.row for pair in found.pairs] == [1, 9, 14]
        assert len(found.pairs[1].chosen) == 199_999
        reasons = list(self.EXPECTED.values())
        assert found.skipped == {r: reasons.count(r) for r in set(reasons)}
        assert found.summary().startswith("3 pairs; 10 rows left out (2 not JSON, ")


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


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("arc_challenge", 1500),
        ("blimp", 2000),
        ("gsm8k_corrupt_one_step", 2000),
        ("hh_harmless_base_test", 1200),
        ("hh_helpful_base_test", 1200),
        ("persona_yesno", 1000),
    ],
)
def test_real_files_load_whole(shared, name, rows):
    suffix = "" if name.startswith("hh") else "_pairs"
    path = shared / "data" / f"{name}{suffix}.jsonl"
    found = read_pairs(path)
    assert (len(found), found.skipped) == (rows, {})
    raw = [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
    assert [p.prompt for p in found] == [row["prompt"] for row in raw]
    assert [p.chosen for p in found] == [row["chosen"] for row in raw]
    assert [p.rejected for p in found] == [row["rejected"] for row in raw]
