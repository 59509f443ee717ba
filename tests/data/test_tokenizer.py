"""Encoding, decoding, loading."""

import json

import pytest
from hypothesis import given
from tokenizers import processors

from gradlab.data import load_tokenizer, read_pairs
from gradlab.data.tokenizer import save_tokenizer
from gradlab.errors import DataError
from tests.data.folders import CHATML, byte_level, marks, write_folder
from tests.data.samples import (
    ASK,
    RIGHT,
    quick,
    texts,
)

BOTH = [ASK, RIGHT]


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
        with pytest.raises(
            DataError, match=r"tokenizer_config\.json: expected a JSON object"
        ):
            load_tokenizer(tmp_path)
        (tmp_path / "tokenizer_config.json").write_text("{")
        with pytest.raises(
            DataError, match=r"tokenizer_config\.json: not readable as JSON"
        ):
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

    def test_ids_that_no_batch_holds(self, tmp_path):
        folder = write_folder(tmp_path, byte_level())
        layout = json.loads((folder / "tokenizer.json").read_text())
        layout["model"]["vocab"]["word"] = 2**32 - 1
        (folder / "tokenizer.json").write_text(json.dumps(layout))
        with pytest.raises(DataError, match="has the id 4294967295, expected all be"):
            load_tokenizer(folder)


class TestSaving:
    TEXT = "a the bath </s>é"

    def check(self, tokenizer, folder):
        """Saves, and loads from where the source is not."""
        save_tokenizer(tokenizer, folder)
        again = load_tokenizer(folder)
        assert again.encode(self.TEXT) == tokenizer.encode(self.TEXT)
        for name in ("bos_id", "eos_id", "pad_id", "adds_bos", "chat_template"):
            assert getattr(again, name) == getattr(tokenizer, name), name

    def test_files_beside_it_come_along(self, tmp_path):
        tokens = {"bos_token": "<s>", "eos_token": "</s>"}
        source = write_folder(tmp_path / "in", byte_level(), add_bos_token=True)
        (source / "special_tokens_map.json").write_text(json.dumps(tokens))
        (source / "chat_template.jinja").write_text(CHATML)
        (tmp_path / "out").mkdir()
        for place in (source, source / "tokenizer.json"):
            tokenizer = load_tokenizer(place)
            assert (tokenizer.adds_bos, tokenizer.eos_id) == (True, 262)
            self.check(tokenizer, tmp_path / "out")

    def test_vocabulary_and_merges_become_one_file(self, tmp_path):
        source, out = tmp_path / "in", tmp_path / "out"
        source.mkdir()
        out.mkdir()
        byte_level(()).model.save(str(source))
        tokenizer = load_tokenizer(source)
        self.check(tokenizer, out)
        config = json.loads((out / "tokenizer_config.json").read_text())
        assert config == {"tokenizer_class": "PreTrainedTokenizerFast"}


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
    for messages in ([ASK], BOTH, [{"role": "system", "content": " s\n"}, *BOTH]):
        for asking in (True, False):
            options = {"add_generation_prompt": asking}
            expected = theirs.apply_chat_template(messages, tokenize=False, **options)
            assert ours.render_chat(messages, **options) == expected
