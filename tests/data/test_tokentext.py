"""What each token contributes to a text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradlab.data import load_tokenizer
from tests.data.folders import byte_level, word_pieces, write_folder
from tests.data.samples import quick, texts


def as_bytes(pieces: list[str]) -> bytes:
    """Undoes the legible writing of single bytes."""
    joined = "".join(pieces).encode()
    escaped = re.compile("⟨0x([0-9A-F]{2})⟩".encode())
    return escaped.sub(lambda match: bytes.fromhex(match[1].decode()), joined)


class TestTokenTexts:
    @quick
    @given(text=texts)
    def test_byte_level_pieces_hold_every_byte(self, byte_tokenizer, text):
        ids = byte_tokenizer.encode(text)
        pieces = byte_tokenizer.token_texts(ids)
        assert len(pieces) == len(ids)
        assert as_bytes(pieces) == text.encode()

    @quick
    @given(text=st.text(st.characters(max_codepoint=0x7E, min_codepoint=0x20)))
    def test_joined_is_the_decoded_text(self, byte_tokenizer, mark_tokenizer, text):
        ids = byte_tokenizer.encode(text)
        assert "".join(byte_tokenizer.token_texts(ids)) == byte_tokenizer.decode(ids)
        ids = mark_tokenizer.encode(text)
        joined = as_bytes(mark_tokenizer.token_texts(ids)).decode()
        assert joined.removeprefix(" ") == mark_tokenizer.decode(ids)

    def test_split_characters_are_bytes(self, byte_tokenizer, mark_tokenizer):
        assert byte_tokenizer.token_texts(byte_tokenizer.encode("é a")) == [
            "⟨0xC3⟩",
            "⟨0xA9⟩",
            " a",
        ]
        assert mark_tokenizer.token_texts(mark_tokenizer.encode("a é")) == [
            " a",
            " ",
            "⟨0xC3⟩",
            "⟨0xA9⟩",
        ]

    def test_special_tokens_by_name(self, byte_tokenizer):
        ids = [byte_tokenizer.bos_id, *byte_tokenizer.encode("ba"), 262]
        assert byte_tokenizer.token_texts(ids) == ["<s>", "ba", "</s>"]

    def test_added_tokens_are_text_and_not_the_characters_of_bytes(self, tmp_path):
        tokenizer = load_tokenizer(write_folder(tmp_path, byte_level(("é",))))
        assert tokenizer.token_texts(tokenizer.encode("aé")) == ["a", "é"]

    def test_other_families_by_difference(self, tmp_path):
        tokenizer = load_tokenizer(write_folder(tmp_path, word_pieces()))
        ids = tokenizer.encode("playing the game")
        assert tokenizer.token_texts(ids) == ["play", "ing", " the", " game"]

    @pytest.mark.parametrize("name", ["gpt2_tokenizer", "smollm2_tokenizer"])
    def test_real_byte_level(self, shared, name):
        tokenizer = load_tokenizer(shared / "data" / "models" / name)
        text = "The café\n\n  costs 25 € 🙂 naïve 東京\t"
        pieces = tokenizer.token_texts(tokenizer.encode(text))
        assert as_bytes(pieces) == text.encode()
        assert pieces[0] == "The"

    def test_real_marks(self, shared):
        tokenizer = load_tokenizer(shared / "data" / "models" / "stories260K")
        pieces = tokenizer.token_texts(tokenizer.encode("Once upon a é", add_bos=True))
        assert pieces == ["<s>", " Once", " upon", " a", " ", "é"]
