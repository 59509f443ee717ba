"""Texts whose likelihood is followed: each kind has one response to each prompt."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gradlab.data import TokenizedPair, Tokenizer
from gradlab.data.sources import jsonl_rows, open_kind
from gradlab.errors import DataError
from gradlab.training.config_checks import refuse

KINDS = (
    "chosen", "rejected", "argmax", "sample", "on_policy", "truncated", "edited",
    "irrelevant", "permuted", "random",
)  # fmt: skip
# Those that are made from the pairs alone, without a model.
FIXED = (
    "chosen", "rejected", "truncated", "edited", "irrelevant", "permuted", "random",
)  # fmt: skip
COLUMN = "column:"
EDITED_SHARE = 0.15

# (prompts and their data, random numbers, size of the vocabulary) -> ids of a response
_MADE: dict[str, Callable[[Sequence[int], np.random.Generator, int], list[int]]] = {
    "truncated": lambda ids, rng, vocab: list(ids[: -(-len(ids) // 2)]),
    "edited": lambda ids, rng, vocab: _edited(ids, rng, vocab),
    "permuted": lambda ids, rng, vocab: rng.permutation(ids).tolist(),
    "random": lambda ids, rng, vocab: rng.integers(0, vocab, len(ids)).tolist(),
}


def probe_kinds(text: str) -> list[str]:
    """The kinds that a comma-separated list names.

    Raises:
      GradlabError: an unknown or repeated kind.
    """
    kinds = [kind.strip() for kind in text.split(",") if kind.strip()]
    for kind in kinds:
        if kind not in KINDS and not kind.startswith(COLUMN):
            refuse("probes.kinds", kind, f"some of {', '.join(KINDS)}, column:NAME")
        if kinds.count(kind) > 1:
            refuse("probes.kinds", text, f"each kind once, '{kind}' is there twice")
    return kinds


def frozen_sets(
    kinds: Sequence[str],
    rows: Sequence[TokenizedPair],
    *,
    vocab_size: int,
    seed: int,
    generate: Callable[[Sequence[TokenizedPair], float], list[list[int]]],
    column: Callable[[str], list[list[int]]],
) -> dict[str, list[TokenizedPair]]:
    """The fixed texts of each kind but on_policy, as rows whose chosen side they are.

    truncated is the first half of the chosen response; edited has 15 % of its tokens
    (one at least) replaced by random ones; irrelevant is the chosen response of another
    prompt; permuted has its tokens in random order; random has as many uniform ids.

    Args:
      kinds: see `probe_kinds`.
      rows: the probe pairs.
      vocab_size: ids are below it.
      seed: of the random kinds; each kind draws by itself.
      generate: (rows, temperature) -> responses of the policy at the start.
      column: name -> a response for each row from a column of the data.
    """
    sets = {}
    for kind in kinds:
        if kind == "on_policy":
            continue
        if kind in ("chosen", "rejected"):
            responses = [getattr(row, kind) for row in rows]
        elif kind == "irrelevant":
            chosen = [row.chosen for row in rows]
            half = -(-len(rows) // 2)
            responses = chosen[half:] + chosen[:half]
        elif kind in ("argmax", "sample"):
            responses = generate(rows, 0.0 if kind == "argmax" else 1.0)
        elif kind.startswith(COLUMN):
            responses = column(kind.removeprefix(COLUMN))
        else:
            rng = np.random.default_rng((seed, KINDS.index(kind)))
            responses = [_MADE[kind](row.chosen, rng, vocab_size) for row in rows]
        sets[kind] = with_responses(rows, responses)
    return sets


def with_responses(
    rows: Sequence[TokenizedPair], responses: Sequence[Sequence[int]]
) -> list[TokenizedPair]:
    """The same prompts with these responses; a row without any response is left out."""
    return [
        replace(row, chosen=list(ids), rejected=[])
        for row, ids in zip(rows, responses, strict=True)
        if len(ids)
    ]


def _edited(ids: Sequence[int], rng: np.random.Generator, vocab: int) -> list[int]:
    edited = np.array(ids)
    count = max(1, round(EDITED_SHARE * len(edited)))
    places = rng.choice(len(edited), count, replace=False)
    # 1 to vocab - 1 further on: never the same token.
    edited[places] = (edited[places] + rng.integers(1, vocab, count)) % vocab
    return edited.tolist()


def column_of(
    source: str | Path | None,
    rows: Sequence[TokenizedPair],
    tokenizer: Tokenizer,
    max_length: int | None,
) -> Callable[[str], list[list[int]]]:
    """name -> the texts of a column of the data as ids, EOS behind, cut to fit."""

    def read(name: str) -> list[list[int]]:
        if source is None:
            refuse("probes.kinds", f"{COLUMN}{name}", "a data.path that has the column")
        texts = _texts(str(source), name, {row.row for row in rows})
        eos = [] if tokenizer.eos_id is None else [tokenizer.eos_id]
        ids = tokenizer.encode_batch([texts[row.row] for row in rows])
        ends = [
            None if max_length is None else max_length - len(row.prompt) for row in rows
        ]
        return [[*part, *eos][:end] for part, end in zip(ids, ends, strict=True)]

    return read


def _texts(source: str, name: str, wanted: set[int]) -> dict[int, str]:
    if open_kind(source) == "jsonl":
        numbered: Any = jsonl_rows(source, max_line_bytes=1 << 26)
    else:
        import pyarrow.parquet

        numbered = enumerate(pyarrow.parquet.read_table(source).to_pylist(), 1)
    found = {}
    for number, row in numbered:
        if number not in wanted:
            continue
        text = row.get(name) if isinstance(row, dict) else None
        if not isinstance(text, str):
            raise DataError(
                f"{source}, row {number}: {name!r} is {text!r:.40}; expected a text, "
                f"as probes.kinds asks for column:{name}"
            )
        found[number] = text
    return found
