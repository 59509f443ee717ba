"""Seeded generators of token pairs: controlled edits, shared suffixes, short answers.

Ids: 0 begins a text, then come the letters of an order-2 Markov source, then the
answers, two to a pair: the usual one and its rival. A text is followed by the answer
that its last letter determines, so that a decoder fitted to these texts knows both.
"""

from dataclasses import dataclass

import numpy as np

from analyses.common import markov
from analyses.common.markov import OPERATIONS
from analyses.drift_prediction.config import Source
from gradlab.data import TokenizedPair

BEGIN = 0
USUAL = 0.8  # probability of the answer that the last letter determines


@dataclass(frozen=True)
class Text:
    """The source of one seed.

    Attributes:
      config: its sizes.
      next: [letters, letters, letters] probability of the third letter after two.
    """

    config: Source
    next: np.ndarray

    @property
    def vocab_size(self) -> int:
        """V: begin, letters and answers."""
        return 1 + self.config.letters + 2 * self.config.answers

    @property
    def entropy(self) -> float:
        """Mean entropy of a letter after two others, uniform over contexts, in nats."""
        p = np.maximum(self.next, 1e-300)
        return float(-(p * np.log(p)).sum(-1).mean())

    def answer(self, last: int, rival: bool) -> int:
        """The id of the answer to a text that ends in the letter `last`."""
        return 1 + self.config.letters + 2 * (last % self.config.answers) + rival


def make_text(config: Source, rng: np.random.Generator) -> Text:
    """Draws the rows of the source from a symmetric Dirichlet distribution."""
    rows = markov.transitions(config.letters, config.concentration, rng)
    return Text(config, rows)


def continue_texts(
    text: Text, start: np.ndarray, length: int, rng: np.random.Generator
) -> np.ndarray:
    """[n, length] ids of the source after [n, 2 or more] ids of letters."""
    return markov.continue_texts(text.next, start, length, rng)


def _continue(text: Text, start: list[int], length: int, rng) -> list[int]:
    return continue_texts(text, np.array([start]), length, rng)[0].tolist()


def _prompts(text: Text, count: int, rng: np.random.Generator) -> np.ndarray:
    first = 1 + rng.integers(text.config.letters, size=(count, 2))
    rest = continue_texts(text, first, text.config.prompt - 2, rng)
    return np.concatenate([first, rest], axis=1)


def _prompt(text: Text, rng: np.random.Generator) -> list[int]:
    return _prompts(text, 1, rng)[0].tolist()


def fitting_texts(text: Text, count: int, rng: np.random.Generator) -> np.ndarray:
    """[count, T] sequences for maximum likelihood.

    Half of them are source text throughout; the others are a prompt and its answer,
    followed by source text that goes on from the prompt.
    """
    start = _prompts(text, count, rng)
    rest = continue_texts(text, start, text.config.width, rng)
    rows = np.concatenate([np.full((count, 1), BEGIN), start, rest], axis=1)
    for row in rows[::2]:
        usual = rng.random() < USUAL
        place = 1 + text.config.prompt
        row[place + 1 :] = row[place:-1].copy()
        row[place] = text.answer(int(row[place - 1]), not usual)
    return rows.astype(np.int32)


def edited_pairs(text: Text, count: int, rng: np.random.Generator):
    """Source text against the same text with a few tokens edited, suffix kept.

    Number of edited tokens, place and operation take turns and are crossed; the whole
    response can only be substituted. Edited tokens are uniform letters.

    Returns:
      `TokenizedPair` list; the row numbers count from 1.
    """
    config = text.config
    sizes = [*config.edits, config.response]
    found: list[TokenizedPair] = []
    while len(found) < count:
        number = len(found)
        size = sizes[number % len(sizes)]
        share = (0.0, 0.25, 0.5, 1.0)[rng.integers(4)]
        operation = OPERATIONS[rng.integers(3)]
        prompt = _prompt(text, rng)
        chosen = _continue(text, prompt, config.response, rng)
        place = min(int(share * config.response), config.response - size)
        rejected = _edit(text, chosen, operation, place, size, rng)
        if rejected != chosen:
            found.append(_pair(number, prompt, chosen, rejected))
    return found


def _edit(text, chosen, operation, place, size, rng) -> list[int]:
    alphabet = range(1, 1 + text.config.letters)
    longest = text.config.width
    return markov.edit(chosen, operation, place, size, alphabet, rng, longest=longest)


def suffix_pairs(text: Text, count: int, rng: np.random.Generator):
    """One token that differs, then the same suffix of 0 to 32 tokens on both sides.

    The chosen token is drawn from the source, the rejected one uniformly from the other
    letters; the suffix goes on from the chosen one.
    """
    found = []
    for number in range(count):
        length = text.config.suffixes[number % len(text.config.suffixes)]
        prompt = _prompt(text, rng)
        chosen = _continue(text, prompt, 1 + length, rng)
        shift = int(rng.integers(1, text.config.letters))
        other = 1 + (chosen[0] - 1 + shift) % text.config.letters
        found.append(_pair(number, prompt, chosen, [other, *chosen[1:]]))
    return found


def answer_pairs(text: Text, count: int, rng: np.random.Generator):
    """One-token answers: the usual one preferred to its rival."""
    found = []
    for number in range(count):
        prompt = _prompt(text, rng)
        answers = [[text.answer(prompt[-1], rival)] for rival in (False, True)]
        found.append(_pair(number, prompt, *answers))
    return found


def _pair(number: int, prompt, chosen, rejected) -> TokenizedPair:
    return TokenizedPair(number + 1, [BEGIN, *prompt], chosen, rejected)


def related_columns(text: Text, head: np.ndarray, rng: np.random.Generator):
    """The unembedding [D, V] in which each rival is related to its usual answer.

    A rival's column gets the length of the usual answer's, at the pair's cosine to it
    (the configured range, in equal steps over the pairs), in a random direction.
    """
    head = np.array(head)
    low, high = text.config.similarity
    for number, cosine in enumerate(np.linspace(low, high, text.config.answers)):
        usual = head[:, text.answer(number, False)]
        size = np.linalg.norm(usual)
        across = rng.normal(size=usual.shape)
        across -= across @ usual / size**2 * usual
        across *= size / np.linalg.norm(across)
        column = cosine * usual + np.sqrt(1 - cosine**2) * across
        head[:, text.answer(number, True)] = column
    return head
