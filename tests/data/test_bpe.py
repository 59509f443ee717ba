from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradlab.data.arithmetic import pairs, problems, solution
from gradlab.data.bpe import train_tokenizer
from gradlab.data.tokenizer import Tokenizer, load_tokenizer

TEXTS = [problem.prompt + solution(problem) for problem in problems(800, seed=0)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return train_tokenizer(TEXTS, 512, tmp_path_factory.mktemp("bpe"))


def test_every_digit_is_one_token(tokenizer: Tokenizer):
    assert tokenizer.token_texts(tokenizer.encode("12 + 7 = 19. 1")) == [
        "1", "2", " + ", "7", " = ", "1", "9", ". ", "1"
    ]  # fmt: skip
    digits = [str(d) for d in range(10)]
    merged = [
        token
        for token in tokenizer.inner.get_vocab()
        if any(d in token for d in digits) and len(token) > 1
    ]
    assert merged == []


@given(text=st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_comes_back(tokenizer: Tokenizer, text: str):
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_prompt_and_response_are_the_same_tokens_together_and_apart(
    tokenizer: Tokenizer,
):
    for problem in problems(100, seed=1):
        apart = tokenizer.encode(problem.prompt) + tokenizer.encode(solution(problem))
        assert tokenizer.encode(problem.prompt + solution(problem)) == apart


def test_the_first_differing_character_is_the_first_differing_token(
    tokenizer: Tokenizer,
):
    for pair in pairs(200, seed=1):
        chosen, rejected = map(tokenizer.encode, (pair.chosen, pair.rejected))
        place = len(tokenizer.encode(pair.chosen[: pair.char]))
        assert chosen[:place] == rejected[:place]
        assert chosen[place] != rejected[place]
        assert tokenizer.token_texts([chosen[place]]) == [pair.chosen[pair.char]]


def test_the_same_texts_give_the_same_files(tmp_path: Path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        train_tokenizer(TEXTS, 400, tmp_path / name)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        one, two = (tmp_path / name / file for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_specials_and_size(tokenizer: Tokenizer, tmp_path: Path):
    assert tokenizer.vocab_size == 512
    assert (tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id) == (0, 1, 2)
    assert tokenizer.adds_bos
    train_tokenizer(TEXTS[:50], 300, tmp_path)
    assert load_tokenizer(tmp_path).vocab_size == 300
