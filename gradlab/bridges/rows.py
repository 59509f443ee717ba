"""Probe texts for a trainer of Hugging Face: their pairs, cut into tokens."""

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from gradlab.data import (
    TokenizedPair,
    TokenizedPairs,
    Tokenizer,
    load_tokenizer,
    read_pairs,
    tokenize_pairs,
)
from gradlab.errors import DataError

Pairs = str | os.PathLike | Iterable[Mapping[str, Any]]
IDS = (
    "prompt_ids",
    "chosen_ids",
    "rejected_ids",
)  # as a DPOTrainer's data set has them


def tokenizer_of(tokenizer: Any) -> Tokenizer:
    """A tokenizer of transformers as this library's, by the files that it saves.

    Args:
      tokenizer: a fast tokenizer of transformers, or one that is ours already.

    Raises:
      DataError: it saves no files that this library reads.
    """
    if isinstance(tokenizer, Tokenizer):
        return tokenizer
    name = getattr(tokenizer, "name_or_path", None) or "tokenizer"
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        try:
            return replace(load_tokenizer(folder), source=str(name))
        except DataError as error:
            reason = str(error).replace(folder, str(name))
            raise DataError(f"tokenizer: expected a fast one: {reason}") from error


def probe_rows(
    pairs: Pairs, tokenizer: Tokenizer, *, max_length: int, limit: int
) -> TokenizedPairs:
    """The pairs to probe, as ids.

    Args:
      pairs: whatever `read_pairs` takes: a file, a hub data set or rows of text, which
        are cut into tokens as `gradlab train` does it; or rows that a DPOTrainer has
        cut already (its `train_dataset`), which stay as they are.
      tokenizer: for text.
      max_length: most tokens of prompt and longer response; a longer prompt of a row of
        text loses its start.
      limit: only the first so many.

    Raises:
      DataError: a bad row, or none.
    """
    if isinstance(pairs, str | os.PathLike):
        found = read_pairs(os.fspath(pairs), limit=limit)
    else:
        if not isinstance(pairs, Iterable):
            raise DataError(
                f"probe pairs: found {pairs!r:.40}; expected a path or a list of rows"
            )
        rows = list(islice(pairs, limit))
        if rows and isinstance(rows[0], Mapping) and IDS[0] in rows[0]:
            return TokenizedPairs(list(_ready(rows)))
        found = read_pairs(rows)
    return tokenize_pairs(found, tokenizer, max_length=max_length)


def _ready(rows: Iterable[Mapping[str, Any]]) -> Iterator[TokenizedPair]:
    for number, row in enumerate(rows, 1):
        ids = []
        for key in IDS:
            found = row.get(key) if isinstance(row, Mapping) else None
            if not isinstance(found, list) or not found or not all(map(_is_id, found)):
                raise DataError(
                    f"probe pairs, row {number}: {key!r} is {found!r:.40}; expected a "
                    "list of token ids"
                )
            ids.append(found)
        yield TokenizedPair(number, *ids)


def _is_id(token: Any) -> bool:
    whole = isinstance(token, int) and not isinstance(token, bool)
    return whole and 0 <= token < 2**31
