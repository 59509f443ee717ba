"""Demonstrations: what is learned of each form, long ones, and bad rows."""

import pytest

from gradlab.data import load_tokenizer
from gradlab.data.demonstrations import holds_pairs, read_demonstrations
from gradlab.errors import DataError
from tests.data.folders import CHATML, byte_level, write_folder

ASK = {"role": "user", "content": "a?"}
ANSWER = {"role": "assistant", "content": "the b"}


@pytest.fixture(scope="module")
def chat_tokenizer(tmp_path_factory):
    """With a template that marks the end of each message."""
    inner = byte_level(("<s>", "</s>", "<|im_start|>", "<|im_end|>"))
    ends = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>"}
    folder = tmp_path_factory.mktemp("chat")
    return load_tokenizer(write_folder(folder, inner, chat_template=CHATML, **ends))


def only(found):
    (pair,) = found.pairs
    assert pair.rejected == []
    return pair


def test_the_completion_is_learned(byte_tokenizer, write_rows):
    path = write_rows([{"prompt": "see", "completion": " the a"}])
    pair = only(read_demonstrations(path, byte_tokenizer, max_length=99))
    joined = byte_tokenizer.encode("see the a")
    assert pair.prompt + pair.chosen == [*joined, byte_tokenizer.eos_id]
    assert byte_tokenizer.decode(pair.prompt) == "see"


def test_a_text_is_learned_behind_its_beginning(byte_tokenizer, write_rows):
    path = write_rows([{"text": "the a"}])
    pair = only(
        read_demonstrations(path, byte_tokenizer, max_length=99, append_eos=False)
    )
    assert pair.prompt == [byte_tokenizer.bos_id]
    assert pair.chosen == byte_tokenizer.encode("the a")


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [ASK, ANSWER]},
        {"prompt": [ASK], "completion": [ANSWER]},
    ],
)
def test_the_last_message_is_learned_without_another_end(
    chat_tokenizer, write_rows, row
):
    pair = only(read_demonstrations(write_rows([row]), chat_tokenizer, max_length=99))
    learned = chat_tokenizer.encode("the b<|im_end|>\n")
    front = "<|im_start|>user\na?<|im_end|>\n<|im_start|>assistant\n"
    assert pair.chosen == learned
    assert pair.prompt == chat_tokenizer.encode(front)


def test_messages_without_a_template_end_with_eos(byte_tokenizer, write_rows):
    path = write_rows([{"messages": [ASK, ANSWER]}])
    pair = only(read_demonstrations(path, byte_tokenizer, max_length=99))
    assert pair.chosen[-1] == byte_tokenizer.eos_id
    assert byte_tokenizer.decode(pair.chosen[:-1]).strip() == "the b"


def test_a_long_text_becomes_pieces_and_loses_nothing(byte_tokenizer, write_rows):
    path = write_rows([{"text": "xyz" * 20}])
    found = read_demonstrations(path, byte_tokenizer, max_length=16)
    learned = [token for pair in found.pairs for token in pair.chosen]
    whole = byte_tokenizer.encode("xyz" * 20)
    assert learned == [*whole, byte_tokenizer.eos_id]
    assert all(pair.length <= 16 for pair in found.pairs)
    # Each later piece is predicted from the token before it.
    befores = [pair.prompt for pair in found.pairs[1:]]
    assert befores == [[pair.chosen[-1]] for pair in found.pairs[:-1]]
    assert "0 cut" in found.notes[0]


def test_a_long_completion_loses_its_end(byte_tokenizer, write_rows):
    path = write_rows([{"prompt": "xy", "completion": "z" * 40}])
    found = read_demonstrations(path, byte_tokenizer, max_length=16)
    assert only(found).length == 16
    assert "1 cut" in found.notes[0]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"answer": "x"}, "expected text, messages, or prompt and completion"),
        ({"prompt": "x"}, "found 'prompt'"),
        ({"prompt": "x", "completion": ""}, "empty response"),
        ({"text": 3}, "text"),
        ({"messages": [ASK]}, "followed by 'user', expected role 'assistant'"),
        ({"messages": "hello"}, "expected a list of messages"),
        ({"prompt": [ASK], "completion": "x"}, "expected a list of messages"),
    ],
)
def test_bad_rows_are_named_and_skipped_if_asked(byte_tokenizer, write_rows, row, said):
    path = write_rows([{"text": "good"}, row])
    with pytest.raises(DataError, match="line 2") as refused:
        read_demonstrations(path, byte_tokenizer, max_length=99)
    assert said in str(refused.value)
    found = read_demonstrations(path, byte_tokenizer, max_length=99, on_bad_row="skip")
    assert len(found.pairs) == 1
    assert any("1" in note for note in found.notes[1:])


def test_pairs_are_told_by_their_first_row(write_rows):
    assert holds_pairs(write_rows([{"chosen": "a", "rejected": "b"}]))
    assert not holds_pairs(write_rows([{"text": "a"}], "t.jsonl"))
