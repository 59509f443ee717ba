"""Rows of preference pairs: forms and faults."""

import json
from typing import ClassVar

import pytest

from gradlab.data import read_pairs
from gradlab.errors import DataError
from tests.data.samples import (
    ASK,
    GOOD,
    RIGHT,
    WRONG,
    read_text,
)


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
