"""BOS, EOS and truncation of tokenised pairs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradlab.data import load_tokenizer, read_pairs, tokenize_pairs
from gradlab.data.batches import batches
from gradlab.errors import DataError
from tests.data.folders import byte_level, write_folder
from tests.data.samples import explicit, letters, quick, tokenized


class TestBosAndEos:
    def test_eos_is_kept_where_it_is_the_padding_token(self, byte_tokenizer):
        assert byte_tokenizer.pad_id == byte_tokenizer.eos_id
        found = tokenize_pairs([explicit("a", "b", "cd")], byte_tokenizer, max_length=9)
        (batch,) = batches(found, "chosen", batch_size=1, pad_id=byte_tokenizer.pad_id)
        assert batch.response_length.tolist() == [2]
        assert batch.targets[batch.mask][-1] == byte_tokenizer.eos_id
        assert found.report.chosen_eos == found.report.rejected_eos == 1

    def test_eos_only_on_request_and_only_once(self, byte_tokenizer):
        found = tokenized(explicit("a", "b", "c"), byte_tokenizer, append_eos=False)
        assert (len(found.chosen), found.chosen_eos) == (1, False)
        found = tokenized(explicit("a", "b</s>", "c"), byte_tokenizer)
        assert found.chosen == found.prompt[:0] + byte_tokenizer.encode("b</s>")
        assert found.chosen_eos

    def test_responses_that_differ_in_eos_only(self, byte_tokenizer):
        with pytest.raises(DataError, match="identical as tokens"):
            tokenized(explicit("a", "b</s>", "b"), byte_tokenizer)
        tokenized(explicit("a", "b</s>", "b"), byte_tokenizer, append_eos=False)

    def test_a_missing_eos_is_reported(self, tmp_path):
        tokenizer = load_tokenizer(write_folder(tmp_path, byte_level()))
        found = tokenize_pairs([explicit("a", "b", "c")], tokenizer, max_length=9)
        assert found.report.eos_missing
        assert "no EOS behind the responses: the tokenizer has none" in (
            found.report.lines()
        )
        with pytest.raises(DataError, match="no context: the prompt has no token"):
            tokenize_pairs([explicit("", "b", "c")], tokenizer, max_length=9)

    def test_bos_by_convention_for_an_empty_prompt_and_once(
        self, byte_tokenizer, mark_tokenizer
    ):
        bos = byte_tokenizer.bos_id
        assert tokenized(explicit("", "a", "b"), byte_tokenizer).prompt == [bos]
        assert bos not in tokenized(explicit("x", "a", "b"), byte_tokenizer).prompt
        for prompt in ("a", "<s>a"):
            found = tokenized(explicit(prompt, " b", " a"), mark_tokenizer)
            assert found.prompt.count(mark_tokenizer.bos_id) == 1
        assert not found.bos_added


class TestTruncation:
    PAIR = explicit("abcdefgh", "ijkl", "mn", row=7)

    @pytest.fixture
    def cut(self, byte_tokenizer):
        def run(max_length, pair=self.PAIR, tokenizer=byte_tokenizer, **options):
            found = tokenize_pairs([pair], tokenizer, max_length=max_length, **options)
            shown = found.pairs[0]
            decode = tokenizer.decode
            parts = map(decode, (shown.prompt, shown.chosen, shown.rejected))
            return tuple(parts), shown, found.report

        return run

    def test_a_pair_that_just_fits(self, cut):
        parts, pair, report = cut(13)
        assert parts == ("abcdefgh", "ijkl</s>", "mn</s>")
        assert pair.prompt_dropped == report.prompt_truncated == 0
        assert report.lines() == []

    def test_the_oldest_prompt_tokens_go_first_on_both_sides(self, cut):
        parts, pair, report = cut(8)
        assert parts == ("fgh", "ijkl</s>", "mn</s>")
        assert (pair.prompt_dropped, pair.chosen_dropped) == (5, 0)
        assert report.lines() == [
            "1 of 1 prompts cut at their beginning (max_length=8)"
        ]

    def test_then_the_end_of_the_response_with_its_eos(self, cut):
        parts, pair, report = cut(4)
        assert parts == ("h", "ijk", "mn</s>")
        assert (pair.chosen_dropped, pair.rejected_dropped) == (2, 0)
        assert (pair.chosen_eos, pair.rejected_eos) == (False, True)
        assert (report.chosen_truncated, report.rejected_truncated) == (1, 0)
        assert report.chosen_eos == 0

    def test_bos_is_kept(self, cut, mark_tokenizer):
        pair = explicit("a b a b", " o c", " n c")
        parts, *_ = cut(8, pair, mark_tokenizer)
        assert parts[0] == "<s> a b"
        parts, *_ = cut(3, pair, mark_tokenizer)
        assert parts[0] == "<s>"

    def test_responses_that_become_identical(self, byte_tokenizer):
        pair = explicit("a", "xxxxb", "xxxxc")
        with pytest.raises(DataError, match=r"identical when cut: .* first 3 t"):
            tokenize_pairs([pair], byte_tokenizer, max_length=4)

    def test_drop_and_error(self, byte_tokenizer):
        pairs = [self.PAIR, explicit("a", "b", "c", row=8)]
        options = {"max_length": 12}
        found = tokenize_pairs(pairs, byte_tokenizer, truncation="drop", **options)
        assert [pair.row for pair in found] == [8]
        assert found.report.dropped_too_long == 1
        assert found.report.seen == 2
        with pytest.raises(DataError, match="row 7: found 13 tokens, expected at most"):
            tokenize_pairs(pairs, byte_tokenizer, truncation="error", **options)
        with pytest.raises(DataError, match="no pair left: 1 have more than"):
            tokenize_pairs(pairs[:1], byte_tokenizer, truncation="drop", **options)

    def test_file_and_line_are_named(self, byte_tokenizer, write_rows):
        path = write_rows(["", {"prompt": "a", "chosen": "bcd", "rejected": "b"}])
        with pytest.raises(DataError, match=r"pairs\.jsonl, line 2: found 5 tokens"):
            tokenize_pairs(
                read_pairs(path), byte_tokenizer, max_length=4, truncation="error"
            )

    @pytest.mark.parametrize(
        ("options", "name"),
        [
            ({"max_length": 1}, "max_length"),
            ({"max_length": 9.5}, "max_length"),
            ({"max_length": 9, "truncation": "left"}, "truncation"),
            ({"max_length": 9, "on_bad_row": "warn"}, "on_bad_row"),
        ],
    )
    def test_arguments(self, byte_tokenizer, options, name):
        with pytest.raises(DataError, match=f"{name}: found .*, expected"):
            tokenize_pairs([self.PAIR], byte_tokenizer, **options)

    @quick
    @given(
        prompt=letters,
        chosen=letters,
        rejected=letters,
        max_length=st.integers(2, 40),
        append_eos=st.booleans(),
    )
    def test_invariants(
        self, byte_tokenizer, prompt, chosen, rejected, max_length, append_eos
    ):
        pair = explicit(prompt, f"c{chosen}", f"r{rejected}")
        whole = tokenized(pair, byte_tokenizer, append_eos=append_eos)
        found = tokenized(
            pair, byte_tokenizer, append_eos=append_eos, max_length=max_length
        )
        assert 2 <= found.length <= max_length
        assert found.prompt
        assert found.chosen != found.rejected
        tail = whole.prompt[found.prompt_dropped :]
        head = [found.prompt[0]] if found.prompt[0] == byte_tokenizer.bos_id else []
        assert found.prompt == head + tail[len(head) :]
        for side in ("chosen", "rejected"):
            dropped = getattr(found, f"{side}_dropped")
            before = getattr(whole, side)
            assert getattr(found, side) == before[: len(before) - dropped]
        if whole.length <= max_length:
            assert found == whole
        else:  # cut by no more than needed
            assert found.length == max_length
