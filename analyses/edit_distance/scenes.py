"""Where the runs start: reference models, and pairs that differ by an edit alone.

Under one seed every edit is made on the same chosen responses, so that two cells of the
study differ in the edit and nothing else. One exception: a word problem that doesn't
allow the corruption asked for makes way for the next one, so that recalculated results
may stand on a few other problems than wrong ones do.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import cast

import jax.numpy as jnp
import numpy as np

from analyses.common import markov
from analyses.common.arrays import PairArrays, make_arrays
from analyses.common.training import fit
from analyses.edit_distance.cells import NATURAL, Edit
from analyses.edit_distance.config import Config
from gradlab.data import (
    TokenizedPair,
    Tokenizer,
    arithmetic,
    load_tokenizer,
    read_pairs,
    tokenize_pairs,
)
from gradlab.data.corruptions import Corruption
from gradlab.data.embedded import embedded_model_folder
from gradlab.data.stories import Problem
from gradlab.models import DecoderConfig, LanguageModel, build, load_model
from gradlab.types import Params

BEGIN = 0
WORD_PROBLEM = (80, 32)  # padded tokens in all and of a response: two terse steps
STEPS = (2, 2)


@dataclass(frozen=True)
class Start:
    """A reference model and the texts whose edits make pairs.

    Attributes:
      kind: "text" or "arithmetic".
      model: the language model.
      params: of the reference, float32.
      shape: padded tokens in all and of a response.
      texts: prompt and chosen response of each pair, end token apart.
      ends: tokens after every response that no edit touches.
      alphabet: that edited tokens are drawn from.
      seed: of the study.
      tokenizer: of a model that writes solutions.
      problems: to be solved after training; none of their prompts is in a pair.
    """

    kind: str
    model: LanguageModel
    params: Params
    shape: tuple[int, int]
    texts: Sequence[tuple[list[int], list[int]]]
    ends: tuple[int, ...]
    alphabet: Sequence[int]
    seed: int
    tokenizer: Tokenizer | None = None
    problems: Sequence[Problem] = ()

    def pairs(self, edit: Edit) -> list[TokenizedPair]:
        """The texts as chosen, edited as rejected responses; in the order of texts."""
        if edit.operation in NATURAL:
            operation = cast(Corruption, edit.operation)
            return wrong_results(operation, len(self.texts), self.seed)
        rng = np.random.default_rng([self.seed, 2])
        longest = self.shape[1] - len(self.ends)
        found = []
        for number, (prompt, chosen) in enumerate(self.texts):
            size = min(edit.tokens or len(chosen), len(chosen))
            place = min(int(edit.place * len(chosen)), len(chosen) - size)
            rejected = chosen
            while rejected == chosen:
                rejected = markov.edit(
                    chosen, edit.operation, place, size, self.alphabet, rng,
                    longest=longest,
                )  # fmt: skip
            chosen, rejected = ([*side, *self.ends] for side in (chosen, rejected))
            found.append(TokenizedPair(number + 1, prompt, chosen, rejected))
        return found

    def arrays(self, pairs: Sequence[TokenizedPair]) -> PairArrays:
        """The pairs, padded."""
        return make_arrays(pairs, self.shape[0])


@lru_cache
def text_start(config: Config, seed: int, quality: str) -> Start:
    """Draws a source, fits a decoder to its texts, and draws texts to edit."""
    given, rng = config.text, np.random.default_rng([seed, 0])
    after = markov.transitions(given.letters, given.concentration, rng)
    width = given.response + given.spare
    shape = (1 + given.prompt + width, width)
    model, params = build(
        DecoderConfig(
            vocab_size=1 + given.letters,
            width=given.model_width,
            layers=given.layers,
            heads=given.heads,
            ff_width=2 * given.model_width,
            max_length=shape[0],
            tied=False,
        ),
        seed=seed,
    )
    updates = dict(given.fit_updates)[quality]
    drawn = _texts(after, updates * given.fit_batch, shape[0] - 1, rng)
    begun = np.concatenate([np.full((len(drawn), 1), BEGIN), drawn], axis=1)
    batches = begun.reshape(updates, given.fit_batch, shape[0]).astype(np.int32)
    params, _ = fit(model, params, jnp.asarray(batches), given.fit_rate)
    runs, rng = config.text_runs, np.random.default_rng([seed, 1])
    rows = _texts(after, runs.pairs + runs.held, given.prompt + given.response, rng)
    texts = [
        ([BEGIN, *row[: given.prompt]], row[given.prompt :]) for row in rows.tolist()
    ]
    alphabet = range(1, 1 + given.letters)
    return Start("text", model, params, shape, texts, (), alphabet, seed)


def _texts(after, count: int, length: int, rng: np.random.Generator) -> np.ndarray:
    first = 1 + rng.integers(len(after), size=(count, 2))
    rest = markov.continue_texts(after, first, length - 2, rng)
    return np.concatenate([first, rest], axis=1)


@lru_cache
def word_start(config: Config, seed: int) -> Start:
    """The embedded model, and solutions of two-step word problems."""
    model, params = load_model(embedded_model_folder(), dtype=jnp.float32)
    tokenizer = load_tokenizer(embedded_model_folder())
    runs = config.word_runs
    pairs = wrong_results("one", runs.pairs + runs.held, seed)
    # The last token ends the text; it stays the last of every edited response.
    texts = [(list(pair.prompt), list(pair.chosen[:-1])) for pair in pairs]
    alphabet = sorted({token for _, chosen in texts for token in chosen})
    seen = {
        pair.prompt
        for operation in NATURAL
        for pair in _drawn(operation, runs.pairs + runs.held, seed)
    }
    problems = arithmetic.problems(
        config.problems, seed + 1000, steps=STEPS, style="terse", exclude=seen
    )
    return Start(
        "arithmetic", model, params, WORD_PROBLEM, texts, (pairs[0].chosen[-1],),
        alphabet, seed, tokenizer, problems,
    )  # fmt: skip


@lru_cache
def _drawn(
    operation: Corruption, count: int, seed: int
) -> list[arithmetic.ArithmeticPair]:
    return arithmetic.pairs(count, seed, kinds=(operation,), steps=STEPS, style="terse")


@lru_cache
def wrong_results(operation: Corruption, count: int, seed: int) -> list[TokenizedPair]:
    """True solutions against those with one wrong result; later text as named."""
    columns = ("prompt", "chosen", "rejected")
    rows = [
        {name: getattr(pair, name) for name in columns}
        for pair in _drawn(operation, count, seed)
    ]
    found = tokenize_pairs(
        read_pairs(rows),
        load_tokenizer(embedded_model_folder()),
        max_length=WORD_PROBLEM[0],
        truncation="error",
    )
    return [replace(pair, chosen=list(pair.chosen)) for pair in found]


def start_of(config: Config, kind: str, seed: int, quality: str = "well") -> Start:
    """The start of a kind under a seed."""
    if kind == "text":
        return text_start(config, seed, quality)
    return word_start(config, seed)
