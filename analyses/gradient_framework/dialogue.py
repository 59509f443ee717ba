"""Forked dialogues: histories with two last utterances, and responses to either.

    BEGIN history utterance SPLIT | word ... word END

Which words fit a position is known for every context, so that mass on words that never
occur there, and slots filled wrongly, can be counted exactly.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from analyses.common.arrays import PairArrays
from analyses.gradient_framework.config import Dialogue, Setting

BEGIN, SPLIT, END = 0, 1, 2
SPECIAL = 3
UTTERANCE = 2  # symbols of an utterance


@dataclass(frozen=True)
class Contexts:
    """N contexts.

    Attributes:
      history: [N, history] symbols from 0.
      utterance: [N, 2] the last utterance.
      other: [N, 2] the one that might have stood there; both symbols differ.
    """

    history: np.ndarray
    utterance: np.ndarray
    other: np.ndarray

    def __len__(self) -> int:
        """N."""
        return len(self.history)

    def take(self, rows: slice | np.ndarray) -> "Contexts":
        """Some of them."""
        return Contexts(self.history[rows], self.utterance[rows], self.other[rows])

    def swapped(self) -> "Contexts":
        """The same histories with the other utterance."""
        return Contexts(self.history, self.other, self.utterance)


@dataclass(frozen=True)
class Grammar:
    """Which words fit where.

    Attributes:
      config: sizes.
      rho: share of positions that are slots.
      slots: [position, symbol, slot_words] ids that fit a slot after that symbol of the
        utterance.
      frames: [position, symbol, frame_words] ids, after that symbol of the history.
    """

    config: Dialogue
    rho: float
    slots: np.ndarray
    frames: np.ndarray

    @property
    def vocabulary(self) -> int:
        """V."""
        return SPECIAL + 2 * self.config.symbols + self.config.words

    @property
    def prompt_length(self) -> int:
        """Tokens up to and with SPLIT."""
        return 2 + self.config.history + UTTERANCE

    @property
    def width(self) -> int:
        """R: tokens of the longest response, END included."""
        return self.config.shortest + self.config.longer + 1

    @cached_property
    def is_slot(self) -> np.ndarray:
        """[R - 1] which positions are slots: a share rho of them, spread evenly."""
        places = np.arange(self.width) * self.rho + 0.5
        return np.diff(np.floor(places + 1e-9)) > 0

    def lengths(self, contexts: Contexts) -> np.ndarray:
        """[N] words of the responses: a matter of the history's first symbol."""
        return self.config.shortest + contexts.history[:, 0] % (self.config.longer + 1)

    def support(self, contexts: Contexts) -> np.ndarray:
        """[N, R, V] whether the grammar ever has that token there."""
        allowed = np.zeros((len(contexts), self.width, self.vocabulary), bool)
        lengths, rows = self.lengths(contexts), np.arange(len(contexts))
        for place, slot in enumerate(self.is_slot):
            table, symbol = self._source(place, bool(slot), contexts)
            inside = place < lengths
            allowed[rows[inside, None], place, table[symbol[inside]]] = True
        allowed[rows, lengths, END] = True
        return allowed

    def _source(self, place: int, slot: bool, contexts: Contexts):
        """The position's table [symbol, words], and each context's symbol."""
        if slot:
            return self.slots[place], contexts.utterance[:, place % UTTERANCE]
        rest = contexts.history[:, 1:]
        return self.frames[place], rest[:, place % rest.shape[1]]

    def respond(self, contexts: Contexts, rng: np.random.Generator) -> np.ndarray:
        """[N, R] a response to each utterance, END, then BEGIN as padding."""
        made = np.full((len(contexts), self.width), BEGIN, np.int32)
        lengths, rows = self.lengths(contexts), np.arange(len(contexts))
        for place, slot in enumerate(self.is_slot):
            table, symbol = self._source(place, bool(slot), contexts)
            pick = rng.integers(table.shape[1], size=len(contexts))
            made[:, place] = np.where(place < lengths, table[symbol, pick], BEGIN)
        made[rows, lengths] = END
        return made

    def slot_share(self, contexts: Contexts, responses: np.ndarray) -> np.ndarray:
        """[N] share of a context's slots that a response [N, R] fills correctly."""
        fits = np.take_along_axis(
            self.support(contexts), responses[:, :, None].astype(int), axis=2
        )[:, :-1, 0]
        wanted = self.is_slot & _inside(self, contexts)
        return (fits & wanted).sum(1) / wanted.sum(1)

    def prompts(self, contexts: Contexts) -> np.ndarray:
        """[N, P] token ids."""
        first = SPECIAL + contexts.history
        last = SPECIAL + self.config.symbols + contexts.utterance
        edge = np.full((len(contexts), 1), BEGIN), np.full((len(contexts), 1), SPLIT)
        return np.concatenate([edge[0], first, last, edge[1]], axis=1).astype(np.int32)


def _inside(grammar: Grammar, contexts: Contexts) -> np.ndarray:
    """[N, R - 1] True on the words of a response."""
    return np.arange(grammar.width - 1) < grammar.lengths(contexts)[:, None]


def make_grammar(
    config: Dialogue, setting: Setting, rng: np.random.Generator
) -> Grammar:
    """Draws for each position and symbol the words that fit."""
    words = SPECIAL + 2 * config.symbols + np.arange(config.words)
    places = config.shortest + config.longer

    def table(size: int) -> np.ndarray:
        return np.array(
            [
                [rng.choice(words, size, replace=False) for _ in range(config.symbols)]
                for _ in range(places)
            ]
        )

    slots, frames = table(config.slot_words), table(config.frame_words)
    return Grammar(config, setting.rho, slots, frames)


def make_contexts(config: Dialogue, count: int, rng: np.random.Generator) -> Contexts:
    """Draws contexts uniformly."""
    history = rng.integers(config.symbols, size=(count, config.history))
    utterance = rng.integers(config.symbols, size=(count, UTTERANCE))
    shift = rng.integers(1, config.symbols, size=utterance.shape)
    return Contexts(history, utterance, (utterance + shift) % config.symbols)


def make_pairs(
    grammar: Grammar,
    contexts: Contexts,
    rng: np.random.Generator,
    false_neg: float = 0.0,
) -> PairArrays:
    """A pair per context: a response to its utterance, and one to the other utterance.

    Args:
      grammar: of both.
      contexts: N of them, repeated where there are several responses.
      rng: of the words.
      false_neg: probability that the bad example too answers the utterance itself.
    """
    chosen = grammar.respond(contexts, rng)
    wrong = grammar.respond(contexts.swapped(), rng)
    same = rng.random(len(contexts)) < false_neg
    rejected = np.where(same[:, None], grammar.respond(contexts, rng), wrong)
    prompts = grammar.prompts(contexts)
    lengths = grammar.lengths(contexts).astype(np.int32) + 1
    start = np.full(len(contexts), grammar.prompt_length, np.int32)
    sides = [np.concatenate([prompts, side], axis=1) for side in (chosen, rejected)]
    given: Any = (*sides, start, lengths, lengths)  # numpy, until they are used
    return PairArrays(*given)


def training_contexts(
    config: Dialogue, count: int, rng: np.random.Generator
) -> Contexts:
    """Contexts of `count` pairs: each drawn once, with one to several responses."""
    drawn = make_contexts(config, count, rng)
    times = rng.integers(1, config.responses + 1, size=count)
    rows = np.repeat(np.arange(count), times)[:count]
    return drawn.take(rows)
