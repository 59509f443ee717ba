"""Pairs, strategies and short ways to read and tokenise, for several test files."""

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st

from gradlab.data import Pair, read_pairs, tokenize_pairs
from gradlab.data.batches import TokenizedPair
from gradlab.data.pairs import PairFile

GOOD = {"prompt": "2 + 2 =", "chosen": " 4", "rejected": " 5"}
ASK = {"role": "user", "content": "2 + 2?"}
RIGHT = {"role": "assistant", "content": "4"}
WRONG = {"role": "assistant", "content": "5"}
quick = settings(max_examples=60, derandomize=True, deadline=None)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
letters = st.text("ab the.", max_size=12)


def read_text(content: bytes, **options) -> PairFile:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pairs.jsonl")
        path.write_bytes(content)
        return read_pairs(path, **options)


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
