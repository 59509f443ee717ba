"""Judges: their noise, bias and ties, the exact checker, and a user's own."""

import numpy as np
import pytest
from scipy.special import expit

from gradlab.data import arithmetic
from gradlab.data.ranking import (
    Answer,
    Completions,
    FunctionJudge,
    Question,
    UnansweredError,
    UtilityJudge,
    checked_solutions,
    given_scores,
)
from gradlab.errors import JudgeError
from tests.data.ranking.items import item, right


def share(judge, gap, n=4000):
    rows = (item(row, [gap, 0.0]) for row in range(n))
    return np.mean([judge.ask(Question(row, 0, 1)).preference for row in rows])


@pytest.mark.parametrize("noise", [0.5, 2.0])
@pytest.mark.parametrize("bias", [-0.4, 0.0, 1.0])
def test_noise_and_bias_are_those_of_bradley_and_terry(noise, bias):
    judge = UtilityJudge("u", given_scores, noise, bias, seed=1)
    expected = expit((0.6 + bias) / noise)
    error = np.sqrt(expected * (1 - expected) / 4000)
    assert abs(share(judge, 0.6) - expected) < 4 * error


def test_the_mean_of_both_orders_is_unbiased():
    """Equal utilities, a strong bias: 0.5 on average, and 0.83 in one order alone."""
    judge = UtilityJudge("u", given_scores, 0.5, 0.8)
    rows = [item(row, [0.0, 0]) for row in range(3000)]
    one = np.array([judge.ask(Question(row, 0, 1)).preference for row in rows])
    other = np.array([judge.ask(Question(row, 1, 0)).preference for row in rows])
    assert abs(one.mean() - expit(1.6)) < 0.03
    assert abs(np.mean(one + 1 - other) / 2 - 0.5) < 0.03


def test_without_noise_it_is_exact_and_ties_by_threshold():
    exact = UtilityJudge("u", given_scores)
    assert [share(exact, gap, 5) for gap in (0.1, 0, -0.1)] == [1, 0.5, 0]
    wide = UtilityJudge("u", given_scores, tie_threshold=0.2)
    assert [share(wide, gap, 5) for gap in (0.3, 0.1, -0.1, -0.3)] == [1, 0.5, 0.5, 0]


def test_the_same_question_gets_the_same_answer_and_others_their_own():
    judges = [UtilityJudge("u", given_scores, 5.0, seed=seed) for seed in (0, 0, 1)]
    questions = [Question(item(row, [0.1, 0]), 0, 1) for row in range(60)]
    answers = [[judge.ask(q).preference for q in questions] for judge in judges]
    assert answers[0] == answers[1] != answers[2]
    assert 0 < np.mean(answers[0]) < 1


@pytest.mark.parametrize("setting", ["noise", "tie_threshold"])
def test_settings_that_mean_nothing_are_refused(setting):
    for value in (-1.0, float("nan"), float("inf")):
        with pytest.raises(JudgeError, match=f"{setting}: found"):
            UtilityJudge("u", given_scores, **{setting: value})
    with pytest.raises(JudgeError, match="order_bias: found nan"):
        UtilityJudge("u", given_scores, order_bias=float("nan"))


def test_scores_that_are_missing_are_named():
    with pytest.raises(JudgeError, match="line 7: no 'scores'"):
        given_scores(Completions(7, "p", ("a", "b")))


def test_the_checker_counts_right_steps_and_the_answer():
    solution = "3 + 4 = 7. 7 * 2 = 14. The answer is 14."
    texts = (
        solution,
        "4 + 3 = 7. 7 x 2 = 14. So the answer is 14.",
        "3 + 4 = 7. 7 * 2 = 15. The answer is 15.",
        "The answer is 14.",
        "3 + 4 = 7. 7 * 2 = 14. 14 - 1 = 13. 2 + 2 = 4. 1 + 1 = 2. The answer is 2.",
        "Nothing.",
    )
    row = Completions(1, "?", texts, solution=solution)
    assert checked_solutions(row) == [2.0, 2.0, 0.5, 1.0, 0.0, 0.0]


def test_the_checker_prefers_true_solutions_to_corrupted_ones():
    for pair in arithmetic.pairs(20, seed=0):
        texts = (pair.rejected, pair.chosen)
        row = Completions(1, pair.prompt, texts, solution=pair.chosen)
        worse, best = checked_solutions(row)
        assert worse < best == 2.0


def test_a_solution_without_equation_is_refused():
    row = Completions(3, "?", ("a", "b"), solution="42")
    with pytest.raises(JudgeError, match="line 3: 'solution' states no equation"):
        checked_solutions(row)


def own(tmp_path, monkeypatch, body, name):
    (tmp_path / f"{name}.py").write_text(
        f"def judge(prompt, first, second):\n    {body}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return FunctionJudge(f"{name}:judge")


@pytest.mark.parametrize(
    ("body", "preference"),
    [
        ("return 'first'", 1.0),
        ("return 'tie'", 0.5),
        ("return 'second'", 0.0),
        ("return 0.25", 0.25),
        ("return first > second", 0.0),
    ],
)
def test_a_judge_of_the_users_own(body, preference, tmp_path, monkeypatch):
    name = f"own_{abs(hash(body))}"
    judge = own(tmp_path, monkeypatch, body, name)
    assert judge.ask(Question(item(1, [0, 1]), 0, 1)) == Answer(preference)
    assert judge.identity["name"] == f"{name}:judge"
    assert len(judge.identity["source"]) == 16


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 'third'", "returned 'third' on line 1; expected 'first'"),
        ("return 1.5", "returned 1.5"),
        ("return float('nan')", "returned nan"),
        ("return None", "returned None"),
        ("return 1 / 0", "failed on line 1: ZeroDivisionError"),
    ],
)
def test_a_faulty_judge_is_refused(body, message, tmp_path, monkeypatch):
    judge = own(tmp_path, monkeypatch, body, f"faulty_{abs(hash(body))}")
    with pytest.raises(JudgeError, match=message):
        judge.ask(Question(item(1, [0, 1]), 0, 1))


def test_a_users_judge_may_ask_for_patience(tmp_path, monkeypatch):
    body = (
        "from gradlab.data.ranking import UnansweredError\n"
        "    raise UnansweredError('busy', retry_after=3)"
    )
    judge = own(tmp_path, monkeypatch, body, "busy_judge")
    with pytest.raises(UnansweredError) as raised:
        judge.ask(Question(item(1, [0, 1]), 0, 1))
    assert raised.value.retry_after == 3


def test_a_judge_that_is_not_there_is_named():
    for path in ("no_such_module:f", "math:nothing", ":f", "math:pi"):
        with pytest.raises(JudgeError, match=f"the judge '{path}'"):
            FunctionJudge(path)


def test_the_digest_tells_texts_apart():
    one = Completions(1, "ab", ("c", "d"))
    other = Completions(1, "a", ("bc", "d"))
    digests = {
        Question(i, a, b).digest for i in (one, other) for a, b in ((0, 1), (1, 0))
    }
    assert len(digests) == 4
    assert right(Question(item(1, [2, 1]), 0, 1)) == 1.0
