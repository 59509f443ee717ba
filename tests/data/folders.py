"""Small tokenizer folders, written by the tests themselves."""

import json
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from gradlab.data.tokentext import byte_characters

MERGES = [("b", "a"), ("Ġ", "a"), ("t", "h"), ("th", "e"), ("Ġ", "the")]
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content']"
    " + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def byte_level(specials: tuple[str, ...] = ("<s>", "</s>")) -> Tokenizer:
    """Every byte is a token, and a few merges: 'ba' and ' the' among them."""
    characters = list(byte_characters().values())
    words = [*characters, *("".join(pair) for pair in MERGES)]
    vocabulary = {word: place for place, word in enumerate(words)}
    inner = Tokenizer(models.BPE(vocabulary, MERGES))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([AddedToken(text, special=True) for text in specials])
    return inner


def marks() -> Tokenizer:
    """SentencePiece's habits: a mark for the space, one space put in front, bytes."""
    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    words += ["▁", "a", "b", "o", "n", "c", "e", "▁a", "▁b", "on"]
    vocabulary = {word: place for place, word in enumerate(words)}
    merges = [("▁", "a"), ("▁", "b"), ("o", "n")]
    inner = Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True)
    )
    inner.normalizer = normalizers.Sequence(
        [
            normalizers.Strip(),
            normalizers.Prepend("▁"),
            normalizers.Replace(" ", "▁"),
        ]
    )
    inner.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    inner.add_special_tokens(["<unk>", "<s>", "</s>"])
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    return inner


def word_pieces() -> Tokenizer:
    """BERT's habits: continuation pieces begin with ##."""
    words = ["[UNK]", "play", "##ing", "the", "game"]
    vocabulary = {word: place for place, word in enumerate(words)}
    inner = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.decoder = decoders.WordPiece()
    return inner


def write_folder(folder: Path, inner: Tokenizer, **config: Any) -> Path:
    """Writes tokenizer.json and tokenizer_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    inner.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder
