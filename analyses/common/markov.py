"""Synthetic text of an order-2 Markov source, and controlled edits of token lists."""

from collections.abc import Sequence

import numpy as np

OPERATIONS = ("substitute", "insert", "delete")


def transitions(
    letters: int, concentration: float, rng: np.random.Generator
) -> np.ndarray:
    """Draws the source's rows from a symmetric Dirichlet distribution.

    Returns:
      [letters, letters, letters] probability of the third letter after two.
    """
    return rng.dirichlet(np.full(letters, concentration), (letters, letters))


def continue_texts(
    after: np.ndarray, start: np.ndarray, length: int, rng: np.random.Generator
) -> np.ndarray:
    """Source text that goes on from what is there; ids of letters count from 1.

    Args:
      after: from `transitions`.
      start: [n, 2 or more] ids of letters.
      length: how many follow.
      rng: one draw per letter and row.

    Returns:
      [n, length] ids.
    """
    ids = np.zeros((len(start), length + 2), np.int32)
    ids[:, :2] = start[:, -2:] - 1
    for t in range(2, length + 2):
        reached = np.cumsum(after[ids[:, t - 2], ids[:, t - 1]], axis=-1)
        below = reached < rng.random((len(start), 1))
        ids[:, t] = np.minimum(below.sum(-1), len(after) - 1)
    return ids[:, 2:] + 1


def edit(
    tokens: Sequence[int],
    operation: str,
    place: int,
    size: int,
    alphabet: Sequence[int],
    rng: np.random.Generator,
    *,
    longest: int,
) -> list[int]:
    """The tokens after one edit of neighbouring tokens.

    Args:
      tokens: at least one; those that are substituted lie in the alphabet.
      operation: of `OPERATIONS`. Inserted tokens are uniform; a substituted one is
        another token, uniformly. An insertion that would make the text longer than
        `longest`, and a deletion of everything, become substitutions.
      place: of the first edited token.
      size: how many tokens.
      alphabet: that new tokens are drawn from.
      rng: for the new tokens.
      longest: most tokens of the result.

    Example:
      >>> rng = np.random.default_rng(0)
      >>> edit([1, 2, 3], "delete", 1, 1, [1, 2, 3], rng, longest=4)
      [1, 3]
    """
    tokens, count = list(tokens), len(alphabet)
    new = [alphabet[k] for k in rng.integers(count, size=size)]
    if operation == "insert" and len(tokens) + size <= longest:
        return [*tokens[:place], *new, *tokens[place:]]
    if operation == "delete" and size < len(tokens):
        return [*tokens[:place], *tokens[place + size :]]
    old = [alphabet.index(token) for token in tokens[place : place + size]]
    new = [alphabet[(k + int(rng.integers(1, count))) % count] for k in old]
    return [*tokens[:place], *new, *tokens[place + size :]]
