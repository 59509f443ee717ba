"""The file of judgements: found again, torn, damaged, foreign, in use."""

import json
import threading
from dataclasses import replace

import pytest

from gradlab.data.ranking import Answer, Judgements, Question
from gradlab.data.ranking.retry import Trial
from gradlab.errors import DataError, JudgeError
from tests.data.ranking.items import item

ME = {"name": "me", "seed": 0}
QUESTIONS = [Question(item(row, [0, 1]), 0, 1) for row in range(1, 6)]


def answered(preference=1.0, **settings):
    return Trial(Answer(preference, **settings))


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "judgements.jsonl"
    with Judgements(path, ME) as file:
        for number, question in enumerate(QUESTIONS[:3]):
            file.add(question, answered(number / 2))
    return path


def test_what_was_answered_is_found_again(path):
    with Judgements(path, ME) as file:
        found = [file.find(question) for question in QUESTIONS]
    assert found == [0, 0.5, 1, None, None]
    assert len(path.read_text().splitlines()) == 4


def test_other_texts_on_the_same_line_are_another_question(path):
    with Judgements(path, ME) as file:
        assert file.find(Question(item(1, [0, 2]), 0, 1)) is None
        assert file.find(Question(item(1, [0, 1]), 1, 0)) is None


@pytest.mark.parametrize("changed", [{"scores": (1.0, 0.0)}, {"solution": "1+1=2."}])
def test_what_a_judge_reads_besides_is_part_of_the_question(path, changed):
    with Judgements(path, ME) as file:
        assert file.find(Question(item(1, [0, 1]), 0, 1)) is not None
        assert file.find(Question(replace(item(1, [0, 1]), **changed), 0, 1)) is None


def test_cost_is_that_of_all_runs(path):
    with Judgements(path, ME) as file:
        failed = ("HTTP 429", "HTTP 429", "timeout")
        file.add(QUESTIONS[3], Trial(None, failed, "timeout: none", 5, 1))
        file.add(
            QUESTIONS[4], Trial(Answer(1.0, reply="[[A]]"), ("timeout",), "", 20, 2)
        )
    with Judgements(path, ME) as file:
        assert file.find(QUESTIONS[3]) is None
        assert file.cost.as_dict() == {
            "judgements": 4,
            "failed": 1,
            "attempts": 8,
            "unanswered": {"HTTP 429": 2, "timeout": 2},
            "prompt_tokens": 25,
            "completion_tokens": 3,
        }
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[4]["failed"] == "timeout: none"
    assert lines[5]["reply"] == "[[A]]"


@pytest.mark.parametrize("cut", [1, 2, 10, 60])
def test_a_torn_last_line_is_cut_off(path, cut):
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    with Judgements(path, ME) as file:
        assert len(file) == 2
        file.add(QUESTIONS[2], answered())
    assert path.read_bytes() == whole


def test_a_torn_first_line_is_written_anew(path):
    head = path.read_bytes().splitlines(keepends=True)[0]
    for size in (0, 5, len(head) - 1):
        path.write_bytes(head[:size])
        with Judgements(path, ME) as file:
            file.add(QUESTIONS[0], answered())
        assert path.read_bytes().startswith(head)


def test_a_damaged_line_in_the_middle_is_named(path):
    lines = path.read_text().splitlines()
    for damage in ("{", "{}", '{"first": 0, "second": 1, "digest": "x"}'):
        path.write_text("\n".join([*lines[:2], damage, *lines[3:]]) + "\n")
        with pytest.raises(DataError, match="line 3: not a judgement"):
            Judgements(path, ME)


@pytest.mark.parametrize("text", ["hello", "hello\nthere", '{"prompt": 1}\n', "{}"])
def test_a_file_of_something_else_is_left_alone(tmp_path, text):
    path = tmp_path / "mine.txt"
    path.write_text(text)
    with pytest.raises(DataError, match="found a file of something else"):
        Judgements(path, ME)
    assert path.read_text() == text


def test_another_judges_file_is_refused(path):
    with pytest.raises(JudgeError, match="judgements of another judge") as raised:
        Judgements(path, ME | {"seed": 1})
    assert '"seed": 1' in str(raised.value)


def test_one_process_at_a_time(path):
    with Judgements(path, ME), pytest.raises(DataError, match="another process"):
        Judgements(path, ME)
    with Judgements(path, ME) as file:
        assert len(file) == 3


def test_a_file_without_judgements_does_not_stay(tmp_path):
    path = tmp_path / "new" / "judgements.jsonl"
    with Judgements(path, ME):
        assert path.is_file()
    assert not path.exists()


def test_what_can_not_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "file" / "below"):
        with pytest.raises(DataError, match="can't be written"):
            Judgements(place, ME)


def test_threads_write_whole_lines(tmp_path):
    path = tmp_path / "judgements.jsonl"
    with Judgements(path, ME) as file:

        def add(part):
            for row in range(part, 400, 8):
                file.add(Question(item(row, [0, 1]), 0, 1), answered(reply="x" * 500))

        threads = [threading.Thread(target=add, args=(part,)) for part in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with Judgements(path, ME) as file:
        assert len(file) == 400
