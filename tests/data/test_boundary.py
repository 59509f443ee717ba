"""Where the prompt ends: in text, in implicit prompts, in conversations."""

import pytest
from hypothesis import given

from gradlab.data import load_tokenizer, tokenize_pairs
from gradlab.errors import DataError
from tests.data.folders import CHATML, byte_level, write_folder
from tests.data.samples import (
    ASK,
    RIGHT,
    WRONG,
    conversation,
    explicit,
    implicit,
    letters,
    quick,
    texts,
    tokenized,
)

THINK = (
    "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]<think>{% endif %}"
)


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
