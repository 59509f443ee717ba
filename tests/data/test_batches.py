"""Tokenised pairs: boundary, BOS, EOS, truncation; and their batches."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradlab.data import Pair, load_tokenizer, read_pairs, tokenize_pairs
from gradlab.data.batches import TokenizedPair, batches, boxes, padding_share
from gradlab.errors import DataError
from tests.data.folders import CHATML, byte_level, write_folder

quick = settings(max_examples=60, derandomize=True, deadline=None)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
letters = st.text("ab the.", max_size=12)
THINK = (
    "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]<think>{% endif %}"
)
ASK = {"role": "user", "content": "2 + 2?"}
RIGHT = {"role": "assistant", "content": "4"}
WRONG = {"role": "assistant", "content": "5"}


def explicit(prompt: str, chosen: str, rejected: str, row: int = 1) -> Pair:
    return Pair(prompt, chosen, rejected, row, "explicit")


def implicit(chosen: str, rejected: str) -> Pair:
    return Pair(None, chosen, rejected, 1, "implicit")


def conversation(prompt: list, chosen: list, rejected: list) -> Pair:
    return Pair(prompt, chosen, rejected, 1, "conversational")


def tokenized(pair: Pair, tokenizer, **options) -> TokenizedPair:
    options = {"max_length": 10_000} | options
    (found,) = tokenize_pairs([pair], tokenizer, **options).pairs
    return found


class TestBoundary:
    def test_ids_are_those_of_running_text(self, byte_tokenizer):
        found = tokenized(explicit("see", " the a", " the b"), byte_tokenizer)
        joined = byte_tokenizer.encode("see the a")
        assert found.prompt + found.chosen[:-1] == joined
        assert not found.boundary_apart
        assert found.shared_tokens == 1  # ' the' is one token

    def test_a_token_across_the_boundary_puts_both_sides_apart(self, byte_tokenizer):
        pairs = [explicit("b", "an", "on"), explicit("c", "an", "on")]
        assert len(byte_tokenizer.encode("ban")) == 2  # 'ba' straddles
        found = tokenize_pairs(pairs, byte_tokenizer, max_length=99)
        apart, joined = found.pairs
        assert (apart.boundary_apart, joined.boundary_apart) == (True, False)
        assert apart.chosen[:-1] == byte_tokenizer.encode("an")
        assert apart.rejected[:-1] == byte_tokenizer.encode("on")
        assert apart.prompt == byte_tokenizer.encode("b")
        assert found.report.boundary_merged == 1
        assert any("1 of 2 pairs with prompt" in line for line in found.report.lines())

    def test_both_sides_share_prompt_ids(self, byte_tokenizer):
        # Only the rejected side merges with the prompt; the chosen one goes apart too.
        found = tokenized(explicit("b", "on", "an"), byte_tokenizer)
        assert found.boundary_apart
        assert byte_tokenizer.decode(found.prompt) == "b"

    @quick
    @given(prompt=texts, chosen=texts, rejected=texts)
    def test_nothing_is_lost(self, byte_tokenizer, prompt, chosen, rejected):
        chosen, rejected = chosen + "c", rejected + "r"
        found = tokenized(explicit(prompt, chosen, rejected), byte_tokenizer)
        start = 1 if found.bos_added else 0
        for text, ids in ((chosen, found.chosen), (rejected, found.rejected)):
            full = found.prompt[start:] + ids[:-1]
            assert byte_tokenizer.decode(full) == prompt + text
            assert ids[-1] == byte_tokenizer.eos_id
        assert byte_tokenizer.decode(found.prompt[start:]) == prompt

    def test_implicit_prompt_is_what_both_share_as_ids(self, byte_tokenizer):
        found = tokenized(implicit("see the a", "see the ba"), byte_tokenizer)
        decode = byte_tokenizer.decode
        # ' a' is one token, ' ' with 'ba' are two: nothing behind ' the' is shared.
        assert decode(found.prompt) == "see the"
        assert decode(found.chosen) == " a</s>"
        assert decode(found.rejected) == " ba</s>"

    @quick
    @given(shared=letters, chosen=letters, rejected=letters)
    def test_implicit_responses_differ_at_once(
        self, byte_tokenizer, shared, chosen, rejected
    ):
        pair = implicit(f"{shared}{chosen}x", f"{shared}{rejected}y")
        found = tokenized(pair, byte_tokenizer)
        assert found.shared_tokens == 0
        bos = byte_tokenizer.encode("", add_bos=True) if found.bos_added else []
        for text, ids in ((pair.chosen, found.chosen), (pair.rejected, found.rejected)):
            whole = bos + byte_tokenizer.encode(str(text)) + [byte_tokenizer.eos_id]
            assert found.prompt + ids == whole

    def test_implicit_without_anything_shared_rests_on_bos(self, byte_tokenizer):
        found = tokenized(implicit("xy", "ab"), byte_tokenizer)
        assert found.prompt == [byte_tokenizer.bos_id]

    @pytest.mark.parametrize("other", ["see the a", "see the a b"])
    def test_implicit_without_a_boundary(self, byte_tokenizer, other):
        reason = (
            "identical as tokens" if other.endswith("a") else "so the prompt has no"
        )
        with pytest.raises(DataError, match=f"pairs, row 1: .*{reason}"):
            tokenized(implicit("see the a", other), byte_tokenizer)


@pytest.fixture(scope="module")
def stories(shared):
    return load_tokenizer(shared / "data" / "models" / "stories260K")


class TestRealBoundary:
    def test_a_new_word(self, stories):
        found = tokenized(explicit("Once upon", " a time", " a dog"), stories)
        whole = stories.encode("Once upon a time", add_bos=True)
        assert found.prompt + found.chosen[:-1] == whole
        assert found.prompt[0] == stories.bos_id
        assert not found.boundary_apart

    def test_a_space_at_the_end_of_the_prompt_moves_to_the_response(self, stories):
        # The tokenizer strips a space at the end of a text.
        found = tokenized(explicit("Once upon ", "a time", "a dog"), stories)
        assert stories.token_texts(found.prompt) == ["<s>", " Once", " upon"]
        assert stories.token_texts(found.chosen)[0] == " a"

    def test_the_middle_of_a_word(self, stories):
        # 'Onc' + 'e' is one token in running text, so the response stands apart and
        # gets the space mark that this tokenizer puts in front of every text.
        found = tokenized(explicit("Onc", "e upon", "ed upon"), stories)
        assert found.boundary_apart
        assert stories.token_texts(found.chosen)[0].startswith(" ")

    def test_differences_that_the_tokenizer_drops(self, stories):
        pair = explicit("Once", " upon  a time", " upon a time ")
        with pytest.raises(DataError, match="identical as tokens"):
            tokenized(pair, stories)
        with pytest.raises(DataError, match="empty as tokens: 'chosen' has no token"):
            tokenized(explicit("Once", "  ", " upon"), stories)
        good = explicit("Once", " upon", " a", row=4)
        found = tokenize_pairs([pair, good], stories, max_length=9, on_bad_row="skip")
        assert [p.row for p in found] == [4]
        assert found.report.skipped == {"identical as tokens": 1}
        assert found.report.seen == 2


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


class TestConversation:
    def test_template(self, tmp_path):
        folder = write_folder(
            tmp_path,
            byte_level(("<|im_start|>", "<|im_end|>")),
            bos_token="<|im_start|>",
            eos_token="<|im_end|>",
            chat_template=CHATML,
        )
        tokenizer = load_tokenizer(folder)
        found = tokenize_pairs(
            [conversation([ASK], [RIGHT], [WRONG])], tokenizer, max_length=200
        )
        pair = found.pairs[0]
        assert tokenizer.decode(pair.prompt).endswith("<|im_start|>assistant\n")
        # The template ends the message; no second EOS behind it.
        assert tokenizer.decode(pair.chosen) == "4<|im_end|>\n"
        assert tokenizer.decode(pair.rejected) == "5<|im_end|>\n"
        assert pair.chosen_eos
        assert not pair.bos_added
        assert found.report.chat == "template"

    def test_plain_fallback_gets_eos(self, byte_tokenizer):
        found = tokenize_pairs(
            [conversation([ASK], [RIGHT], [WRONG])], byte_tokenizer, max_length=200
        )
        pair = found.pairs[0]
        assert byte_tokenizer.decode(pair.prompt) == "user: 2 + 2?\nassistant:"
        assert byte_tokenizer.decode(pair.chosen) == " 4</s>"
        assert any("no chat template" in line for line in found.report.lines())

    def test_without_prompt_messages_bos_is_the_context(self, byte_tokenizer):
        found = tokenized(conversation([], [RIGHT], [WRONG]), byte_tokenizer)
        assert found.prompt == [byte_tokenizer.bos_id]
        assert byte_tokenizer.decode(found.chosen) == "assistant: 4</s>"

    def test_a_template_that_opens_answers_differently(self, tmp_path):
        folder = write_folder(tmp_path, byte_level(), chat_template=THINK)
        tokenizer = load_tokenizer(folder)
        found = tokenized(conversation([ASK], [RIGHT], [WRONG]), tokenizer)
        assert tokenizer.decode(found.prompt) == "[user]2 + 2?[assistant]"
        assert tokenizer.decode(found.chosen) == "4"

    def test_a_template_that_rewrites_the_prompt_or_fails(self, tmp_path):
        rewrites = "{{ messages|length }}{{ messages[-1]['content'] }}"
        refuses = "{{ raise_exception('no') }}"
        for template, message in (
            (rewrites, "renders the prompt otherwise"),
            (refuses, "TemplateError: no"),
        ):
            folder = write_folder(tmp_path, byte_level(), chat_template=template)
            pair = conversation([ASK], [RIGHT], [WRONG])
            with pytest.raises(DataError, match=f"row 1: chat template: .*{message}"):
                tokenized(pair, load_tokenizer(folder))

    def test_real_template(self, shared):
        tokenizer = load_tokenizer(shared / "data" / "models" / "smollm2_tokenizer")
        found = tokenized(conversation([ASK], [RIGHT], [WRONG]), tokenizer)
        assert tokenizer.decode(found.chosen) == "4<|im_end|>\n"
        assert found.prompt[0] == tokenizer.bos_id
        assert not found.boundary_apart


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


lengths = st.tuples(*[st.integers(1, 60)] * 3)


def made(sizes: list[tuple[int, int, int]]) -> list[TokenizedPair]:
    """Pairs of given prompt, chosen and rejected lengths; every id tells its place."""
    pairs = []
    for row, (prompt, chosen, rejected) in enumerate(sizes, 1):
        ids = [range(1000 * row, 1000 * row + n) for n in (prompt, chosen, rejected)]
        pairs.append(TokenizedPair(row, *map(list, ids)))
    return pairs


class TestBatches:
    @quick
    @given(
        sizes=st.lists(lengths, min_size=1, max_size=40),
        batch_size=st.integers(1, 9),
        max_shapes=st.integers(1, 5),
    )
    def test_every_pair_comes_back_in_few_shapes(self, sizes, batch_size, max_shapes):
        pairs = made(sizes)
        options = {"batch_size": batch_size, "max_shapes": max_shapes, "pad_id": 7}
        shapes, longest = set(), max(pair.length for pair in pairs)
        for side in ("chosen", "rejected"):
            seen = []
            for batch in batches(pairs, side, **options):
                size = batch.tokens.shape[1]
                assert batch.tokens.shape[0] == batch_size
                shapes.add((size, batch.width))
                assert size <= longest
                assert size % 8 == 0 or size == longest
                for row, place in enumerate(batch.index):
                    seen.append(int(place))
                    start, length = (
                        batch.response_start[row],
                        batch.response_length[row],
                    )
                    if place < 0:
                        assert (start, length) == (1, 0)
                        assert (batch.tokens[row] == 7).all()
                        continue
                    pair, ids = pairs[place], batch.tokens[row].tolist()
                    response = getattr(pair, side)
                    assert ids[:start] == pair.prompt
                    assert ids[start : start + length] == response
                    assert set(ids[start + length :]) <= {7}
                    assert batch.targets[row][batch.mask[row]].tolist() == response
                    assert batch.width >= length
            assert sorted(place for place in seen if place >= 0) == list(
                range(len(pairs))
            )
        assert len(shapes) <= max_shapes

    def test_types_order_and_repeatability(self):
        pairs = made([(5, 3, 2), (9, 40, 2), (1, 1, 1)] * 4)
        runs = [list(batches(pairs, "chosen", batch_size=2)) for _ in range(2)]
        for one, other in zip(*runs, strict=True):
            for field in dataclasses.fields(one):
                left, right = (getattr(b, field.name) for b in (one, other))
                assert np.array_equal(left, right)
            for name in ("tokens", "response_start", "response_length", "index"):
                assert getattr(one, name).dtype == np.int32
        sizes = [batch.tokens.shape[1] for batch in runs[0]]
        assert sizes == sorted(sizes, reverse=True)

    def test_a_full_box_is_not_split_for_nothing(self):
        (box,) = boxes(made([(3, 2, 2)] * 8), batch_size=8)
        assert (box.length, box.width) == (5, 2)

    def test_splitting_saves_padding(self):
        pairs = made([(8, 8, 8)] * 8 + [(8, 56, 56)] * 8)
        assert [(b.length, b.width) for b in boxes(pairs, batch_size=8)] == [
            (64, 56),
            (16, 8),
        ]
        assert padding_share(pairs, batch_size=8) == 0
        assert padding_share(pairs, batch_size=8, max_shapes=1) == 1 - 80 / 128

    def test_dummy_rows_count_as_padding(self):
        # Apart, each length would need a batch with seven dummy rows.
        pairs = made([(8, 8, 8), (8, 16, 16)])
        assert len(boxes(pairs, batch_size=8)) == 1

    @pytest.mark.parametrize(
        ("options", "name"),
        [
            ({"side": "left"}, "side"),
            ({"batch_size": 0}, "batch_size"),
            ({"max_shapes": 0}, "max_shapes"),
        ],
    )
    def test_arguments(self, options, name):
        options = {"side": "chosen", "batch_size": 2} | options
        with pytest.raises(DataError, match=f"{name}: found .*, expected"):
            list(batches(made([(1, 1, 1)]), **options))

    def test_no_pair(self):
        with pytest.raises(DataError, match="pairs: found none"):
            list(batches([], "chosen", batch_size=2))


REAL = [
    "arc_challenge_pairs",
    "blimp_pairs",
    "gsm8k_corrupt_one_step_pairs",
    "hh_harmless_base_test",
    "hh_helpful_base_test",
    "persona_yesno_pairs",
]


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("model", ["gpt2_tokenizer", "stories260K"])
def test_real_files_become_batches(shared, name, model):
    tokenizer = load_tokenizer(shared / "data" / "models" / model)
    rows = read_pairs(shared / "data" / f"{name}.jsonl")
    found = tokenize_pairs(rows, tokenizer, max_length=512)
    assert (len(found), found.report.skipped) == (len(rows), {})
    assert padding_share(found, batch_size=8) < 0.35
    assert len(boxes(found, batch_size=8)) <= 8
    pair, text = found.pairs[0], rows.pairs[0]
    prompt = pair.prompt[pair.bos_added :]
    shown = tokenizer.decode(prompt + pair.chosen, skip_special=True)
    if model == "gpt2_tokenizer":
        assert shown == f"{text.prompt}{text.chosen}"
