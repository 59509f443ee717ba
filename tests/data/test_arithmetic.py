import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gradlab.data import read_pairs
from gradlab.data.arithmetic import (
    check,
    pairs,
    problems,
    render,
    solution,
    write_pairs,
)
from gradlab.data.corruptions import CORRUPTIONS, corrupt
from gradlab.data.stories import Problem, Step
from gradlab.errors import DataError

# Written by hand, not by the generator.
MIA = Problem(
    prompt="Mia has 12 apples. She buys 7 more apples. She trades each one for 2 small "
    "apples. How many apples does Mia have now? Explain.\n",
    steps=(Step(12, "+", 7, 19), Step(19, "*", 2, 38)),
    opening="Mia has 12 apples. ",
    clauses=("She buys 7 more: ", "Then she gets 2 for each: "),
    style="verbose",
)
MIA_TEXT = (
    "Mia has 12 apples. She buys 7 more: 12 + 7 = 19. "
    "Then she gets 2 for each: 19 * 2 = 38. The answer is 38."
)


def test_the_two_styles_of_a_solution_say_what_they_should():
    assert solution(MIA) == MIA_TEXT
    terse = solution(replace(MIA, style="terse"))
    assert terse == "12 + 7 = 19. 19 * 2 = 38. The answer is 38."


def test_render_gives_the_offset_of_each_result():
    text, offsets = render(MIA, MIA.steps)
    assert [text[i : i + 2] for i in offsets] == ["19", "38"]
    assert [text[i - 2 : i] for i in offsets] == ["= ", "= "]


@pytest.mark.parametrize(
    ("text", "answer", "wrong_steps"),
    [
        (MIA_TEXT, 38, ()),
        ("7 + 12 = 19. 2 × 19 = 38. The ANSWER is 38.", 38, ()),
        ("12+7=19; 19x2=38; answer is 38", 38, ()),
        # A wrong result, then the true number: the answer is right, a step is not.
        ("12 + 7 = 18. 19 * 2 = 38. The answer is 38.", 38, (0,)),
        # The wrong result is taken on: both steps are wrong.
        ("12 + 7 = 18. 18 * 2 = 36. The answer is 36.", 36, (0, 1)),
        # Right results by other operations or operands are not the true steps.
        ("12 + 7 = 19. 19 + 19 = 38. The answer is 38.", 38, (1,)),
        ("12 + 7 = 19. The answer is 38.", 38, (1,)),
        (MIA_TEXT + " 38 - 1 = 37.", 38, (2,)),
        ("12 + 7 = 19. 19 * 2 = 38.", None, ()),
        ("12 + 7 = 19. 19 * 2 = 38. The answer is 380.", 380, ()),
        ("12 + 7 = 19.5. 19 * 2 = -38. The answer is -38.", -38, (0, 1)),
        ("The answer is 3. No, the answer is 38.", 38, (0, 1)),
        ("", None, (0, 1)),
        ("9" * 5000 + " + 1 = 2. The answer is " + "9" * 5000, None, (0, 1)),
    ],
)
def test_the_checker_says_exactly_what_is_wrong(text, answer, wrong_steps):
    verdict = check(text, MIA)
    assert verdict.answer == answer
    assert verdict.answer_right == (answer == 38)
    assert verdict.wrong_steps == wrong_steps
    assert verdict.steps_right == (not wrong_steps)
    assert verdict.first_wrong_step == (wrong_steps[0] if wrong_steps else None)


def test_subtraction_and_division_do_not_commute():
    problem = replace(MIA, steps=(Step(8, "-", 4, 4), Step(4, "/", 2, 2)))
    right = "8 - 4 = 4. 4 ÷ 2 = 2. The answer is 2."
    assert check(right, problem).steps_right
    assert check("4 - 8 = 4. 2 / 4 = 2.", problem).wrong_steps == (0, 1)


def test_every_drawn_solution_is_right_whole_and_within_range():
    for problem in problems(500, seed=3, steps=(1, 5), max_value=60):
        verdict = check(solution(problem), problem)
        assert verdict.answer_right
        assert verdict.steps_right
        assert 1 <= len(problem.steps) <= 5
        before = None
        for step in problem.steps:
            # Python's own arithmetic is the oracle; `//` only where nothing remains.
            expression = f"{step.left} {step.operation} {step.right}"
            assert eval(expression) == step.result
            assert max(step.left, step.right, step.result) <= 60
            assert min(step.left, step.right, step.result) >= 1
            assert before in (None, step.left)
            before = step.result


def test_the_numbers_of_the_story_are_those_of_the_steps():
    for problem in problems(300, seed=4):
        told = [int(n) for n in re.findall(r"\d+", problem.prompt)]
        first, *rest = problem.steps
        assert told[:2] == [first.left, first.right]
        assert told[2:] == [step.right for step in rest]


def test_all_operations_names_and_styles_occur():
    drawn = problems(2000, seed=5)
    operations = [step.operation for problem in drawn for step in problem.steps]
    shares = {op: operations.count(op) / len(operations) for op in "+-*/"}
    assert min(shares.values()) > 0.1
    assert {problem.style for problem in drawn} == {"terse", "verbose"}
    assert {len(problem.steps) for problem in drawn} == {1, 2, 3}
    text = " ".join(problem.prompt for problem in drawn)
    for word in ("Mia", "Noah", "apples", "shells", " he ", " she ", "equal piles"):
        assert word in text or word.title() in text
    assert "{" not in text + " ".join(map(solution, drawn))


def test_style_and_steps_can_be_fixed():
    for problem in problems(50, seed=0, steps=(3, 3), style="terse"):
        assert problem.style == "terse"
        assert len(problem.steps) == 3
        assert len(solution(problem).split(". ")) == 4


def test_the_seed_decides_everything_and_longer_lists_go_on():
    assert problems(20, seed=7) == problems(50, seed=7)[:20]
    assert problems(20, seed=7) != problems(20, seed=8)
    assert pairs(20, seed=7) == pairs(20, seed=7)


def test_prompts_are_distinct_and_none_is_among_the_excluded():
    # So few numbers that two seeds would collide often.
    narrow = {"steps": (1, 1), "max_value": 20}
    train = {problem.prompt for problem in problems(4000, seed=0, **narrow)}
    assert len(train) == 4000
    free = {problem.prompt for problem in problems(1000, seed=1, **narrow)}
    assert free & train
    fresh = {problem.prompt for problem in problems(1000, 1, exclude=train, **narrow)}
    assert len(fresh) == 1000
    assert not fresh & train


@pytest.mark.parametrize("kind", CORRUPTIONS)
@pytest.mark.parametrize("style", ["terse", "verbose"])
def test_a_pair_is_wrong_where_it_says_so(kind, style):
    for pair in pairs(100, seed=11, kinds=[kind], style=style):
        chosen, rejected, at = pair.chosen, pair.rejected, pair.char
        assert chosen[:at] == rejected[:at]
        assert chosen[at] != rejected[at]
        assert (chosen[at] + rejected[at]).isdigit()
        # The first differing character lies in the result of the first wrong step.
        assert len(re.findall("= ", chosen[:at])) == pair.step + 1
        assert re.search(r"= \d*$", chosen[:at])
        assert pair.step == pair.wrong_steps[0]
        assert f"answer is {pair.answer}." in chosen


def _checked(kind, n=200):
    """(pair, verdict on its rejected answer), with the problem found by its prompt."""
    drawn = {
        problem.prompt: problem for problem in problems(4 * n + 8, 2, steps=(2, 4))
    }
    made = pairs(n, seed=2, kinds=[kind], steps=(2, 4))
    return [(pair, check(pair.rejected, drawn[pair.prompt])) for pair in made]


def test_one_leaves_the_later_text_and_the_answer_alone():
    for pair, verdict in _checked("one"):
        assert verdict.wrong_steps == pair.wrong_steps == (pair.step,)
        assert pair.step < pair.steps - 1
        assert verdict.answer_right
        assert len(pair.chosen) == len(pair.rejected)
        differing = [a != b for a, b in zip(pair.chosen, pair.rejected, strict=True)]
        assert 1 <= sum(differing) <= 2


def test_follow_goes_on_rightly_from_the_wrong_number():
    for pair, verdict in _checked("follow"):
        assert not verdict.answer_right
        assert verdict.wrong_steps == tuple(range(pair.step, pair.steps))
        equations = re.findall(r"(\d+ [-+*/] \d+) = (\d+)", pair.rejected)
        for i, (expression, result) in enumerate(equations):
            assert (eval(expression) == int(result)) == (i != pair.step)
            if i:
                assert expression.split()[0] == equations[i - 1][1]


def test_several_is_wrong_in_two_places_or_more():
    counts = set()
    for pair, verdict in _checked("several"):
        assert verdict.wrong_steps == pair.wrong_steps
        assert len(pair.chosen) == len(pair.rejected)
        counts.add(len(pair.wrong_steps))
    assert counts == {2, 3, 4}


def test_last_is_wrong_in_the_last_result_and_the_answer():
    for pair, verdict in _checked("last"):
        assert verdict.wrong_steps == (pair.steps - 1,) == (pair.step,)
        assert not verdict.answer_right


def test_corruption_needs_enough_steps():
    single = replace(MIA, steps=MIA.steps[:1], clauses=MIA.clauses[:1])
    rng = np.random.default_rng(0)
    assert corrupt(single, "one", rng) is None
    assert corrupt(single, "last", rng) is not None


def test_kinds_take_turns():
    made = pairs(8, seed=0)
    assert [pair.kind for pair in made] == [*CORRUPTIONS, *CORRUPTIONS]


def test_written_pairs_are_read_back_as_pairs(tmp_path: Path):
    made = pairs(12, seed=0)
    write_pairs(tmp_path / "pairs.jsonl", made)
    read = read_pairs(tmp_path / "pairs.jsonl")
    assert [(p.prompt, p.chosen, p.rejected) for p in read.pairs] == [
        (p.prompt, p.chosen, p.rejected) for p in made
    ]
    lines = (tmp_path / "pairs.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert rows[3]["char"] == made[3].char
    assert rows[3]["kind"] == "last"
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.jsonl"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path):
    target = tmp_path / "pairs.jsonl"
    target.write_text("old")
    with pytest.raises(TypeError):
        write_pairs(target, [pairs(1, seed=0)[0], None])  # type: ignore[list-item]
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.jsonl"]


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: problems(-1, 0), "n: found -1"),
        (lambda: problems(1, 0, steps=(0, 2)), "steps: found (0, 2)"),
        (lambda: problems(1, 0, steps=(3, 2)), "steps: found (3, 2)"),
        (lambda: problems(1, 0, max_value=5), "max_value: found 5"),
        (lambda: problems(1, 0, style="chatty"), "style: found 'chatty'"),
        (lambda: pairs(1, 0, kinds=["none"]), "kinds: found ('none',)"),
        (lambda: pairs(1, 0, kinds=[]), "kinds: found ()"),
        (lambda: pairs(1, 0, kinds=["one"], steps=(1, 1)), "steps: found (1, 1)"),
    ],
)
def test_refusals_name_the_argument(call, named):
    with pytest.raises(DataError, match=re.escape(named)):
        call()


class _Everything(frozenset):
    """As if the training set held every prompt."""

    def __contains__(self, item: object) -> bool:
        return True


def test_too_narrow_settings_are_refused_with_the_number_found():
    with pytest.raises(DataError, match="n=3: found only 0 distinct problems"):
        problems(3, seed=0, exclude=_Everything())
