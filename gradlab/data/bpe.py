"""Trains a small tokenizer in which every digit is a token by itself."""

import json
from collections.abc import Iterable
from pathlib import Path

import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers, processors, trainers

from gradlab.data.tokenizer import Tokenizer, load_tokenizer

PAD, BOS, EOS = "<pad>", "<s>", "</s>"
# Words take the space before them, signs the space behind them, digits neither: so the
# tokens of a text that is cut before a digit are the first tokens of the whole text.
PIECES = r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+ ?|\s+"


def train_tokenizer(texts: Iterable[str], vocab_size: int, folder: Path) -> Tokenizer:
    """Byte-level BPE (Sennrich et al. 2016, arXiv 1508.07909) with single digits.

    Args:
      texts: what the merges are learnt from.
      vocab_size: at most so many tokens; 256 bytes and 3 special tokens are among them.
      folder: gets `tokenizer.json` and `tokenizer_config.json`.

    Returns:
      The tokenizer; by its convention a text begins with BOS.

    Guarantees:
      Any text comes back from its ids; the same texts give the same tokenizer.
    """
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    inner.decoder = decoders.ByteLevel()
    inner.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=[PAD, BOS, EOS],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    inner.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, inner.token_to_id(BOS))]
    )
    inner.save(str(folder / "tokenizer.json"))
    fields = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "pad_token": PAD,
        "clean_up_tokenization_spaces": False,
    }
    text = json.dumps(fields, indent=2) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")
    return load_tokenizer(folder)
