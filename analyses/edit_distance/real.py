"""Real pairs that a user supplies: one step, no training."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from analyses.common.rows import Row
from analyses.edit_distance.config import Config
from analyses.edit_distance.one_step import step_rows
from gradlab.data import TokenizedPair, load_tokenizer, read_pairs, tokenize_pairs
from gradlab.data.sources import file_digest
from gradlab.models import load_model

LARGER = ", larger model"
OTHER = "larger model"  # all kinds with it, where none is named


def real_kinds(config: Config) -> list[str]:
    """The kinds of real pairs; then the same with the larger model, if one is named."""
    names = [name for name, *_ in config.real.files]
    return [*names, *(name + LARGER for name in names if config.real.larger)]


def missing(config: Config, data: Path | None) -> dict[str, str]:
    """Kind -> why it can't be measured here."""
    found = {}
    for name, file, *_ in config.real.files:
        absent = [
            part
            for part in (file, config.real.model)
            if data is None or not (data / part).exists()
        ]
        if absent:
            found[name] = f"optional data absent: {', '.join(absent)}"
        if config.real.larger and file in absent:
            found[name + LARGER] = found[name]
    if not config.real.larger:
        found[OTHER] = "opt-in: Config.real.larger names no model"
    return found


def digests(config: Config, data: Path | None) -> dict[str, str]:
    """File -> SHA-256 of the pair files that are read."""
    files = [file for name, file, *_ in config.real.files]
    return {
        file: file_digest(data / file)
        for file in files
        if data and (data / file).exists()
    }


def real_rows(config: Config, kind: str, seed: int, data: Path) -> Iterator[Row]:
    """One step on pairs drawn anew under each seed, with the one trained model."""
    name = kind.removesuffix(LARGER)
    larger = kind != name
    _, file, length, width, count = next(
        given for given in config.real.files if given[0] == name
    )
    folder = config.real.larger if larger else str(data / config.real.model)
    fitting = _fitting(data / file, folder, (length, width))
    picks = np.random.default_rng([seed, 9]).permutation(len(fitting))[:count]
    model, params = _load(folder)
    yield from step_rows(
        config, model, params, [fitting[i] for i in picks], (length, width),
        {"kind": kind, "seed": seed}, shown=seed == config.seeds[0],
    )  # fmt: skip


_load = lru_cache(load_model)


@lru_cache
def _fitting(path: Path, model: str, shape: tuple[int, int]) -> list[TokenizedPair]:
    """Pairs whose responses fit uncut; prompts are cut at their beginning."""
    found = tokenize_pairs(
        read_pairs(path),
        load_tokenizer(model),
        max_length=shape[0],
        append_eos=False,
        on_bad_row="skip",
    )
    return [
        pair
        for pair in found
        if max(len(pair.chosen), len(pair.rejected)) <= shape[1]
        and not pair.chosen_dropped + pair.rejected_dropped
    ]
