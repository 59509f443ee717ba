"""The pair kinds: what each seed measures, with the model that suits it.

    edits       controlled edits of synthetic text       decoder fitted to it, per seed
    suffix      one token and a shared suffix            the same decoder
    answers     one-token answers                        the same, unembedding set
    arithmetic  word problems, one wrong step            the embedded model
    hh          dialogues, answers of other wording      stories260K
    blimp       grammatical against ungrammatical        stories260K
    persona     one-word answers                         stories260K

The last three read files that a user supplies; without them they are skipped.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.arrays import PairArrays, make_arrays
from analyses.drift_prediction import synthetic
from analyses.drift_prediction.config import Config
from analyses.drift_prediction.fitting import Fitted, fit
from gradlab.data import (
    TokenizedPair,
    arithmetic,
    load_tokenizer,
    read_pairs,
    tokenize_pairs,
)
from gradlab.data.embedded import embedded_model_folder
from gradlab.data.sources import file_digest
from gradlab.models import LanguageModel, load_model
from gradlab.types import Params

SYNTHETIC = {
    "edits": synthetic.edited_pairs,
    "suffix": synthetic.suffix_pairs,
    "answers": synthetic.answer_pairs,
}
FILES = {
    "hh": "hh_helpful_base_test.jsonl",
    "blimp": "blimp_pairs.jsonl",
    "persona": "persona_yesno_pairs.jsonl",
}
STORIES = "models/stories260K"
WORD_PROBLEM = (96, 40)  # padded tokens in all and of a response
SHORT = (96, 32)  # the same for blimp and persona


@dataclass(frozen=True)
class Kind:
    """One pair kind under one seed.

    Attributes:
      name: of the kind.
      model: the language model.
      reference: its parameters, float64.
      width: R, padded response length.
      pairs: the pairs under study.
      others: pairs that lead from the reference to the policy, and that an optimiser
        has seen before; none of them is among `pairs`.
      one_model: the model is the same under every seed.
      tokenized: the pairs under study as ids.
    """

    name: str
    model: LanguageModel
    reference: Params
    width: int
    pairs: PairArrays
    others: PairArrays
    one_model: bool
    tokenized: Sequence[TokenizedPair]


def missing(config: Config, data: Path | None) -> dict[str, str]:
    """Kind -> why it can't be measured here.

    Args:
      config: of the study.
      data: folder with the files of `FILES` and `STORIES`, or None.
    """
    found = {}
    for kind in (kind for kind in config.kinds if kind in FILES):
        names = [FILES[kind], STORIES]
        absent = [name for name in names if data is None or not (data / name).exists()]
        if absent:
            found[kind] = f"optional data absent: {', '.join(absent)}"
    return found


def digests(config: Config, data: Path | None) -> dict[str, str]:
    """File -> SHA-256 of the optional data that the study reads."""
    absent = missing(config, data)
    names = [FILES[k] for k in config.kinds if k in FILES and k not in absent]
    return {name: file_digest(data / name) for name in names} if data else {}


def kinds_of(config: Config, seed: int, data: Path | None = None) -> Iterator[Kind]:
    """The available kinds under one seed, those of one model together."""
    absent = missing(config, data)
    wanted = [kind for kind in config.kinds if kind not in absent]
    if any(kind in SYNTHETIC for kind in wanted):
        fitted = fit(config.source, seed)
        for name in (kind for kind in wanted if kind in SYNTHETIC):
            yield _synthetic(name, config, fitted, seed)
    if "arithmetic" in wanted:
        yield _word_problems(config, seed)
    for name in (kind for kind in wanted if kind in FILES):
        assert data is not None  # or the kind would be missing
        yield _real(name, config, seed, data)


def _synthetic(name: str, config: Config, fitted: Fitted, seed: int) -> Kind:
    rng = np.random.default_rng([seed, 1 + list(SYNTHETIC).index(name)])
    pairs = SYNTHETIC[name](fitted.text, config.pairs + config.batch, rng)
    params = fitted.params
    if name == "answers":
        head = synthetic.related_columns(
            fitted.text, fitted.params["unembed"]["kernel"], rng
        )
        params = {**params, "unembed": {"kernel": jnp.asarray(head)}}
    source = config.source
    shape = (1 + source.prompt + source.width, source.width)
    return _kind(name, config, fitted.model, params, shape, pairs, one_model=False)


def _word_problems(config: Config, seed: int) -> Kind:
    model, params = embedded()
    pairs = word_problems(config.pairs + config.batch, seed)
    return _kind("arithmetic", config, model, params, WORD_PROBLEM, pairs)


@lru_cache
def embedded() -> tuple[LanguageModel, Params]:
    """The model that comes with the package, in float64."""
    return load_model(embedded_model_folder(), dtype=jnp.float64)


def word_problems(count: int, seed: int) -> list[TokenizedPair]:
    """Terse solutions that fit, with one or more wrong results in the rejected one."""
    made = arithmetic.pairs(2 * count, seed, style="terse")
    columns = ("prompt", "chosen", "rejected")
    rows = [{name: getattr(pair, name) for name in columns} for pair in made]
    tokenizer = load_tokenizer(embedded_model_folder())
    length, width = WORD_PROBLEM
    found = tokenize_pairs(
        read_pairs(rows), tokenizer, max_length=length, truncation="drop"
    )
    return [pair for pair in found if _longest(pair) <= width][:count]


def _real(name: str, config: Config, seed: int, data: Path) -> Kind:
    shape = SHORT
    if name == "hh":
        shape = (config.real_length, config.longest_response)
    fitting = _fitting_rows(data / FILES[name], data / STORIES, shape)
    count = config.pairs + config.batch
    order = np.random.default_rng([seed, 9]).permutation(len(fitting))[:count]
    model, params = _load(data / STORIES)
    return _kind(name, config, model, params, shape, [fitting[i] for i in order])


@lru_cache
def _load(folder: Path) -> tuple[LanguageModel, Params]:
    return load_model(folder, dtype=jnp.float64)


@lru_cache
def _fitting_rows(
    path: Path, model: Path, shape: tuple[int, int]
) -> list[TokenizedPair]:
    """Pairs whose responses fit uncut; prompts are cut at their beginning.

    The model never saw its end token in training, so none is appended.
    """
    found = tokenize_pairs(
        read_pairs(path), load_tokenizer(model), max_length=shape[0], append_eos=False
    )
    return [
        pair
        for pair in found
        if _longest(pair) <= shape[1]
        and not pair.chosen_dropped + pair.rejected_dropped
    ]


def _longest(pair: TokenizedPair) -> int:
    return max(len(pair.chosen), len(pair.rejected))


def _kind(
    name: str,
    config: Config,
    model: LanguageModel,
    reference: Params,
    shape: tuple[int, int],
    pairs: Sequence[TokenizedPair],
    *,
    one_model: bool = True,
) -> Kind:
    length, width = shape
    arrays = make_arrays(pairs, length)
    studied, others = slice(config.pairs), slice(config.pairs, None)
    return Kind(
        name,
        model,
        jax.tree.map(jnp.asarray, reference),
        width,
        arrays.take(studied),
        arrays.take(others),
        one_model,
        pairs[: config.pairs],
    )
