import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import processors

from gradlab.data.chat import render_plain
from gradlab.data.pairs import read_pairs
from gradlab.data.tokenizer import load_tokenizer
from gradlab.errors import DataError
from tests.data.folders import CHATML, byte_level, marks, word_pieces, write_folder

quick = settings(max_examples=60, derandomize=True, deadline=None)
texts = st.text(st.characters(exclude_categories=["Cs"]))
ASK = [{"role": "user", "content": "2 + 2?"}]
BOTH = [*ASK, {"role": "assistant", "content": "4"}]


def as_bytes(pieces: list[str]) -> bytes:
    """Undoes the legible writing of single bytes."""
    joined = "".join(pieces).encode()
    escaped = re.compile("⟨0x([0-9A-F]{2})⟩".encode())
    return escaped.sub(lambda match: bytes.fromhex(match[1].decode()), joined)


class TestEncoding:
    @quick
    @given(text=texts)
    def test_bytes_round_trip(self, byte_tokenizer, text):
        assert byte_tokenizer.decode(byte_tokenizer.encode(text)) == text

    def test_bos_only_on_request(self, byte_tokenizer, mark_tokenizer):
        for tokenizer in (byte_tokenizer, mark_tokenizer):
            ids = tokenizer.encode("a the")
            assert tokenizer.bos_id not in ids
            assert tokenizer.encode("a the", add_bos=True) == [tokenizer.bos_id, *ids]

    def test_bos_that_does_not_exist(self, tmp_path):
        tokenizer = load_tokenizer(write_folder(tmp_path, byte_level()))
        with pytest.raises(DataError, match="add_bos: the tokenizer has no BOS"):
            tokenizer.encode("a", add_bos=True)

    def test_surrogates_and_other_types_are_refused(self, byte_tokenizer):
        with pytest.raises(DataError, match=r"lone surrogate U\+D83D at character 2"):
            byte_tokenizer.encode("a\ud83d")
        with pytest.raises(DataError, match="found int, expected a string"):
            byte_tokenizer.encode(3)

    def test_ids_out_of_range(self, byte_tokenizer):
        size = byte_tokenizer.vocab_size
        for wrong in (-1, size, 2**40):
            with pytest.raises(DataError, match=f"id {wrong} at position 1: expected"):
                byte_tokenizer.decode([0, wrong])
            with pytest.raises(DataError, match=f"id {wrong} at position 0"):
                byte_tokenizer.token_texts([wrong])

    def test_a_text_is_never_cut(self, tmp_path):
        inner = byte_level()
        inner.enable_truncation(4)
        inner.enable_padding(length=8)
        tokenizer = load_tokenizer(write_folder(tmp_path, inner))
        assert len(tokenizer.encode("abcdef" * 100)) > 400
        assert tokenizer.encode_batch(["x", "xyz"]) == [[87], [87, 88, 89]]

    def test_decode_can_leave_special_tokens_out(self, byte_tokenizer):
        ids = byte_tokenizer.encode("a", add_bos=True)
        assert byte_tokenizer.decode(ids) == "<s>a"
        assert byte_tokenizer.decode(ids, skip_special=True) == "a"


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


class TestLoading:
    def test_special_ids_and_sizes(self, byte_tokenizer, mark_tokenizer):
        found = byte_tokenizer
        assert (found.vocab_size, found.bos_id, found.eos_id) == (263, 261, 262)
        assert (found.pad_id, found.adds_bos) == (262, False)
        found = mark_tokenizer
        assert (found.bos_id, found.eos_id, found.pad_id) == (1, 2, None)
        assert found.adds_bos

    @pytest.mark.parametrize(
        ("name", "size", "bos", "eos", "pad", "adds_bos"),
        [
            ("gpt2_tokenizer", 50257, 50256, 50256, None, False),
            ("smollm2_tokenizer", 49152, 1, 2, 2, False),
            ("stories260K", 512, 1, 2, None, True),
        ],
    )
    def test_real_folders(self, shared, name, size, bos, eos, pad, adds_bos):
        found = load_tokenizer(shared / "data" / "models" / name)
        assert (found.vocab_size, found.bos_id, found.eos_id) == (size, bos, eos)
        assert (found.pad_id, found.adds_bos) == (pad, adds_bos)

    @pytest.mark.parametrize("name", ["stories260K", "smollm2"])
    def test_recorded_ids(self, shared, name):
        models = shared / "data" / "models"
        golden = json.loads((models / name / "golden_logps.json").read_text())
        folder = name if name == "stories260K" else "smollm2_tokenizer"
        tokenizer = load_tokenizer(models / folder)
        for case in golden["sentences"]:
            ids = tokenizer.encode(case["text"], add_bos=tokenizer.adds_bos)
            assert ids == case["input_ids"]

    def test_gpt2_from_vocabulary_and_merges(self, shared):
        tokenizer = load_tokenizer(shared / "data" / "models" / "gpt2_tokenizer")
        ids = tokenizer.encode("Hello world<|endoftext|>")
        assert ids == [15496, 995, 50256]

    def test_the_file_itself_may_be_named(self, tmp_path):
        folder = write_folder(tmp_path, byte_level())
        assert load_tokenizer(folder / "tokenizer.json").vocab_size == 263

    def test_tokens_as_objects_in_the_map_and_ids_in_configurations(self, tmp_path):
        folder = write_folder(
            tmp_path, byte_level(), bos_token={"content": "<s>", "lstrip": False}
        )
        (folder / "special_tokens_map.json").write_text('{"pad_token": "</s>"}')
        (folder / "generation_config.json").write_text('{"eos_token_id": [262, 3]}')
        found = load_tokenizer(folder)
        assert (found.bos_id, found.eos_id, found.pad_id) == (261, 262, 262)
        assert found.special_tokens["eos_token"] == "</s>"

    def test_add_bos_token_overrules_the_post_processor(self, tmp_path):
        config = {"bos_token": "<s>", "add_bos_token": False}
        folder = write_folder(tmp_path / "a", marks(), **config)
        assert not load_tokenizer(folder).adds_bos
        config["add_bos_token"] = True
        folder = write_folder(tmp_path / "b", byte_level(), **config)
        assert load_tokenizer(folder).adds_bos

    def test_an_eos_that_the_post_processor_appends_is_not_bos(self, tmp_path):
        inner = byte_level()
        inner.post_processor = processors.TemplateProcessing(
            single="$A </s>", special_tokens=[("</s>", 262)]
        )
        folder = write_folder(tmp_path, inner, bos_token="<s>", eos_token="</s>")
        tokenizer = load_tokenizer(folder)
        assert not tokenizer.adds_bos
        assert tokenizer.encode("x") == [87]

    def test_code_named_by_the_folder_is_not_run(self, tmp_path):
        (tmp_path / "evil.py").write_text("raise SystemExit('ran')")
        config = {"auto_map": {"AutoTokenizer": ["evil.Evil", None]}}
        folder = write_folder(tmp_path, byte_level(), tokenizer_class="Evil", **config)
        assert load_tokenizer(folder).vocab_size == 263

    def test_refusals(self, tmp_path):
        with pytest.raises(DataError, match="no such folder"):
            load_tokenizer(tmp_path / "none")
        with pytest.raises(DataError, match=r"found neither tokenizer\.json nor vocab"):
            load_tokenizer(tmp_path)
        (tmp_path / "vocab.json").write_text("{}")
        (tmp_path / "merges.txt").write_text("a b\n")
        with pytest.raises(DataError, match=r"vocab\.json with merges\.txt: "):
            load_tokenizer(tmp_path)
        (tmp_path / "tokenizer_config.json").write_text(
            '{"tokenizer_class": "Qwen2Tokenizer"}'
        )
        with pytest.raises(DataError, match=r"Qwen2Tokenizer without tokenizer\.json"):
            load_tokenizer(tmp_path)
        (tmp_path / "tokenizer_config.json").write_text("[]")
        with pytest.raises(DataError, match=r"tokenizer_config\.json: found list"):
            load_tokenizer(tmp_path)
        (tmp_path / "tokenizer_config.json").write_text("{")
        with pytest.raises(DataError, match=r"tokenizer_config\.json: not JSON"):
            load_tokenizer(tmp_path)

    @pytest.mark.parametrize("content", ["", "{}", "[]", '{"model": {"type": "BPE"}}'])
    def test_malformed_tokenizer_file(self, tmp_path, content):
        (tmp_path / "tokenizer.json").write_text(content)
        with pytest.raises(DataError, match=r"tokenizer\.json: not a usable tokenizer"):
            load_tokenizer(tmp_path)

    def test_special_tokens_outside_the_vocabulary(self, tmp_path):
        folder = write_folder(tmp_path, byte_level(), pad_token="[PAD]")
        assert load_tokenizer(folder).pad_id is None
        folder = write_folder(tmp_path, byte_level(), eos_token="<eos>")
        with pytest.raises(DataError, match="eos_token is '<eos>', which is not in"):
            load_tokenizer(folder)


def with_template(folder, template):
    folder = write_folder(folder, byte_level(), bos_token="<s>", chat_template=template)
    return load_tokenizer(folder)


class TestChat:
    def test_template_of_the_tokenizer(self, tmp_path):
        tokenizer = with_template(tmp_path, CHATML)
        assert tokenizer.render_chat(ASK, add_generation_prompt=True) == (
            "<|im_start|>user\n2 + 2?<|im_end|>\n<|im_start|>assistant\n"
        )
        assert tokenizer.render_chat(BOTH, add_generation_prompt=False) == (
            "<|im_start|>user\n2 + 2?<|im_end|>\n<|im_start|>assistant\n4<|im_end|>\n"
        )

    def test_a_file_of_its_own_goes_first(self, tmp_path):
        folder = write_folder(tmp_path, byte_level(), chat_template="no")
        (folder / "chat_template.jinja").write_text("yes {{ messages|length }}")
        tokenizer = load_tokenizer(folder)
        assert tokenizer.render_chat(BOTH, add_generation_prompt=False) == "yes 2"

    def test_the_default_of_several(self, tmp_path):
        named = [
            {"name": "tool_use", "template": "t"},
            {"name": "default", "template": "d"},
        ]
        tokenizer = with_template(tmp_path, named)
        assert tokenizer.render_chat(ASK, add_generation_prompt=False) == "d"

    def test_special_tokens_tojson_and_generation_blocks(self, tmp_path):
        template = (
            "{{ bos_token }}{% for m in messages %}{% generation %}"
            "{{ m | tojson }}{% endgeneration %}{% break %}{% endfor %}"
            "{{ strftime_now is defined }}"
        )
        tokenizer = with_template(tmp_path, template)
        messages = [{"role": "user", "content": "é"}, *ASK]
        text = tokenizer.render_chat(messages, add_generation_prompt=False)
        assert text == '<s>{"role": "user", "content": "é"}False'

    @pytest.mark.parametrize(
        "attack",
        [
            "{{ ''.__class__.__mro__[1].__subclasses__() }}",
            "{{ messages.__class__ }}",
            "{{ messages.append.__globals__ }}",
            "{{ raise_exception.__globals__['__builtins__'] }}",
            "{{ (messages|attr('__class__')).__base__ }}",
            "{{ '{0.__class__}'.format(messages) }}",
            "{% set x = messages.append({}) %}",
            "{{ messages[0].update({'role': 'x'}) }}",
            "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
            "{{ self.__init__.__globals__ }}",
        ],
    )
    def test_attacks_are_refused(self, tmp_path, attack):
        tokenizer = with_template(tmp_path, attack)
        with pytest.raises(DataError, match="reaches for Python internals"):
            tokenizer.render_chat(ASK, add_generation_prompt=False)

    @pytest.mark.parametrize(
        ("template", "message"),
        [
            ("{% for %}", r"malformed: .* \(its line 1\)"),
            ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
            ("{{ 1 / 0 }}", "ZeroDivisionError"),
            ("{{ messages[7].content.x }}", "UndefinedError"),
            ("{% include 'secret' %}", "fails on these messages"),
            ("{% for i in range(10 ** 9) %}{% endfor %}", "OverflowError"),
        ],
    )
    def test_failures_name_folder_and_reason(self, tmp_path, template, message):
        tokenizer = with_template(tmp_path, template)
        with pytest.raises(DataError, match=message) as caught:
            tokenizer.render_chat(ASK, add_generation_prompt=False)
        assert str(caught.value).startswith(str(tmp_path))

    def test_plain_fallback(self, byte_tokenizer):
        asked = byte_tokenizer.render_chat(ASK, add_generation_prompt=True)
        assert asked == "user: 2 + 2?\nassistant:"
        both = byte_tokenizer.render_chat(BOTH, add_generation_prompt=False)
        assert both == render_plain(BOTH, add_generation_prompt=False) == asked + " 4"

    def test_real_template(self, shared):
        tokenizer = load_tokenizer(shared / "data" / "models" / "smollm2_tokenizer")
        text = tokenizer.render_chat(ASK, add_generation_prompt=True)
        assert text.startswith("<|im_start|>system\nYou are a helpful AI assistant")
        assert text.endswith("2 + 2?<|im_end|>\n<|im_start|>assistant\n")
        assert tokenizer.encode(text)[0] == tokenizer.bos_id


@pytest.mark.parity
@pytest.mark.parametrize("name", ["gpt2_tokenizer", "smollm2_tokenizer", "stories260K"])
def test_same_ids_and_chats_as_transformers(shared, name):
    transformers = pytest.importorskip("transformers")
    folder = shared / "data" / "models" / name
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    ours = load_tokenizer(folder)
    for pair in read_pairs(shared / "data" / "hh_helpful_base_test.jsonl", limit=100):
        for text in (pair.prompt, f"{pair.prompt}{pair.chosen}"):
            expected = theirs(text)["input_ids"]
            assert ours.encode(str(text), add_bos=ours.adds_bos) == expected
            assert ours.decode(expected) == theirs.decode(expected)
    assert (ours.bos_id, ours.eos_id) == (theirs.bos_token_id, theirs.eos_token_id)
    if ours.chat_template is None:
        return
    for messages in (ASK, BOTH, [{"role": "system", "content": " s\n"}, *BOTH]):
        for asking in (True, False):
            options = {"add_generation_prompt": asking}
            expected = theirs.apply_chat_template(messages, tokenize=False, **options)
            assert ours.render_chat(messages, **options) == expected
