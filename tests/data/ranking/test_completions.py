"""Files of completions: what is read, and what is refused with its line."""

import json

import pytest

from gradlab.data.ranking import read_completions
from gradlab.errors import DataError

GOOD = {"prompt": "2 + 2 =", "completions": [" 4", " 5"]}


@pytest.fixture
def write(tmp_path):
    def write(*rows):
        path = tmp_path / "completions.jsonl"
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


def test_rows_keep_their_line_and_lose_repeated_texts(write):
    path = write(GOOD, "", GOOD | {"completions": ["a", "b", "a"], "scores": [1, 2, 3]})
    found = read_completions(path)
    assert [row.row for row in found.rows] == [1, 3]
    assert found.rows[1].completions == ("a", "b")
    assert found.rows[1].scores is None
    assert found.repeated == 1
    assert len(found.digest) == 64
    path = write(GOOD | {"completions": ["a", "b", "a"], "scores": [1, 2, 3]})
    assert read_completions(path, needs=["scores"]).rows[0].scores == (1.0, 2.0)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "not JSON"),
        ("[]", "not an object: found a list, expected an object"),
        ({"prompt": "p"}, "key missing: found 'prompt', expected 'completions' too"),
        (GOOD | {"prompt": [1]}, "not a string: 'prompt' is a list"),
        (GOOD | {"completions": "ab"}, "not a list: 'completions' is a string"),
        (GOOD | {"completions": ["a", 3]}, "not a string: 'completion 2' is a number"),
        (GOOD | {"completions": ["a", ""]}, "empty completion: completion 2 is empty"),
        (GOOD | {"completions": ["a", "a\0"]}, "NUL character"),
        (GOOD | {"completions": ["a", "a"]}, "2 completions, 1 distinct"),
        (GOOD | {"completions": []}, "too few completions: 0 completions"),
    ],
)
def test_bad_rows_are_refused_or_counted(row, message, write):
    path = write(GOOD, row, GOOD)
    with pytest.raises(DataError, match="line 2") as raised:
        read_completions(path)
    assert message in str(raised.value)
    found = read_completions(path, on_bad_row="skip")
    assert [row.row for row in found.rows] == [1, 3]
    assert sum(found.skipped.values()) == 1


@pytest.mark.parametrize(
    "scores", [None, 3, [1], [1, 2, 3], [1, "2"], [1, True], [1, float("nan")]]
)
def test_scores_must_fit(scores, write):
    path = write(GOOD | {"scores": scores})
    with pytest.raises(DataError, match=r"line 1: (scores don't fit|key missing)"):
        read_completions(path, needs=["scores"])
    assert len(read_completions(path).rows) == 1


def test_a_solution_is_read_where_it_is_needed(write):
    path = write(GOOD | {"solution": "2 + 2 = 4"})
    found = read_completions(path, needs=["solution"])
    assert found.rows[0].solution == "2 + 2 = 4"
    with pytest.raises(DataError, match="expected 'solution' too"):
        read_completions(write(GOOD), needs=["solution"])


def test_unusable_files(write, tmp_path):
    with pytest.raises(DataError, match="no such file, expected prompts with"):
        read_completions(tmp_path / "missing.jsonl")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(DataError, match="empty file, expected prompts with"):
        read_completions(tmp_path / "empty.jsonl")
    (tmp_path / "pairs.parquet").write_bytes(b"PAR1xxxx")
    with pytest.raises(DataError, match="found Parquet"):
        read_completions(tmp_path / "pairs.parquet")
    path = write(GOOD, "{")
    assert len(read_completions(path, limit=1).rows) == 1
    with pytest.raises(DataError, match="limit: found 0"):
        read_completions(path, limit=0)
