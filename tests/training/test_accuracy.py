import re

import jax
import jax.numpy as jnp
import pytest

from gradlab.data.arithmetic import problems, solution
from gradlab.data.bpe import train_tokenizer
from gradlab.data.encoding import Tokenizer
from gradlab.errors import DataError
from gradlab.models import LanguageModel
from gradlab.training.accuracy import encode_problems, share, solved

# Short ones, so that few shapes are compiled.
PROBLEMS = [
    *problems(30, seed=0, steps=(1, 2), style="terse"),
    *problems(10, seed=0, steps=(1, 1), style="verbose"),
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    texts = [problem.prompt + solution(problem) for problem in PROBLEMS]
    return train_tokenizer(texts, 300, tmp_path_factory.mktemp("tokenizer"))


def _parrot(tokenizer, texts):
    """A model that says these texts, one for each problem, by looking at the prompt."""
    prompts = encode_problems(PROBLEMS, tokenizer)[0]
    eos = [tokenizer.eos_id]
    rows = [
        prompt + ids + eos
        for prompt, ids in zip(prompts, tokenizer.encode_batch(texts), strict=True)
    ]
    width = max(map(len, rows))
    known = jnp.array([row + [0] * (width - len(row)) for row in rows])
    heads = max(map(len, prompts))

    def apply(params, tokens):
        del params
        padded = jnp.pad(tokens, ((0, 0), (0, width)))[:, :width]
        # Which known text has the longest common beginning with each row?
        same = (padded[:, None, :heads] == known[None, :, :heads]).cumprod(-1).sum(-1)
        text = known[same.argmax(-1)]
        following = jnp.pad(text[:, 1:], ((0, 0), (0, tokens.shape[1])))
        return jax.nn.one_hot(following[:, : tokens.shape[1]], tokenizer.vocab_size)

    return LanguageModel(apply=apply)


def test_true_solutions_solve_everything(tokenizer):
    model = _parrot(tokenizer, [solution(problem) for problem in PROBLEMS])
    found = solved(model, {}, tokenizer, PROBLEMS)
    assert found["answer_right"]["right"] == found["all_right"]["right"] == 40
    by_steps = found["answer_right_by_steps"]
    assert set(by_steps) == {"1", "2"}
    assert sum(part["of"] for part in by_steps.values()) == 40
    by_style = found["answer_right_by_style"]
    assert {style: part["of"] for style, part in by_style.items()} == {
        "terse": 30,
        "verbose": 10,
    }


def test_answers_and_steps_are_counted_apart(tokenizer):
    texts = [solution(problem) for problem in PROBLEMS]
    texts[0] = re.sub(r"answer is \d+", "answer is 999", texts[0])
    texts[1] = f"The answer is {PROBLEMS[1].answer}."  # no steps at all
    model = _parrot(tokenizer, texts)
    found = solved(model, {}, tokenizer, PROBLEMS)
    assert found["answer_right"]["right"] == 39
    assert found["all_right"]["right"] == 38


def test_encoded_problems_begin_with_bos_and_end_with_eos(tokenizer):
    prompts, answers = encode_problems(PROBLEMS[:5], tokenizer)
    for problem, prompt, answer in zip(PROBLEMS, prompts, answers, strict=False):
        assert prompt[0] == tokenizer.bos_id
        assert answer[-1] == tokenizer.eos_id
        whole = tokenizer.decode(prompt[1:] + answer[:-1])
        assert whole == problem.prompt + solution(problem)


def test_wilson_intervals_are_those_of_the_formula():
    # By hand: p = 0.9, n = 100, z = 1.959964.
    assert share([True] * 90 + [False] * 10) == {
        "share": 0.9,
        "interval_95": [0.8256, 0.9448],
        "right": 90,
        "of": 100,
    }
    assert share([True] * 10)["interval_95"] == [0.7225, 1.0]


def test_a_tokenizer_without_eos_is_refused(tokenizer):
    lame = Tokenizer(tokenizer.inner, bos_id=1, source="lame")
    with pytest.raises(DataError, match="lame: found BOS 1 and EOS None"):
        encode_problems(PROBLEMS, lame)
