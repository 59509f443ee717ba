"""Chains of additions modulo m: "3+4=7;7+5=2;...", each from the last result on.

A chain is a row of ids: digits are their own, then +, =, ; and the begin token. Its
prompt is the begin token with the first addition up to the equals sign; the free digit
of each later addition is uniform, all else follows.
"""

import numpy as np

STEP = 6  # tokens of an addition: a + b = c ;
PROMPT = 5  # begin a + b =


def vocabulary(modulus: int) -> int:
    """Digits, three signs and the begin token."""
    return modulus + 4


def draw_chains(
    count: int, steps: int, modulus: int, rng: np.random.Generator
) -> np.ndarray:
    """[count, 1 + 6 steps] true chains, int32."""
    added = rng.integers(modulus, size=(count, steps))
    carried = rng.integers(modulus, size=count)
    columns = [np.full(count, modulus + 3)]
    for column in added.T:
        result = (carried + column) % modulus
        plus, equals, stop = (np.full(count, modulus + k) for k in range(3))
        columns += [carried, plus, column, equals, result, stop]
        carried = result
    return np.stack(columns, axis=1).astype(np.int32)


def source_entropy(steps: int, modulus: int) -> float:
    """Nats of a response of the source: its free digits."""
    return (steps - 1) * float(np.log(modulus))


def true_chains(tokens: np.ndarray, modulus: int) -> np.ndarray:
    """[N] whether a row is a chain in which every addition holds.

    Args:
      tokens: [N, 1 + 6 steps].
      modulus: of the additions.
    """
    rows = tokens[:, 1:].reshape(len(tokens), -1, STEP)
    signs = rows[..., [1, 3, 5]] == modulus + np.arange(3)
    digits = rows[..., [0, 2, 4]]
    sums = (digits[..., 0] + digits[..., 1]) % modulus == digits[..., 2]
    linked = digits[:, 1:, 0] == digits[:, :-1, 2]
    whole = signs.all(-1) & (digits < modulus).all(-1) & sums
    return whole.all(-1) & linked.all(-1)


def corrupt(chains: np.ndarray, modulus: int, rng: np.random.Generator) -> np.ndarray:
    """The same chains with one wrong result each, all later text left alone."""
    found = chains.copy()
    count, steps = len(chains), (chains.shape[1] - 1) // STEP
    places = 1 + STEP * rng.integers(steps, size=count) + 4
    rows = np.arange(count)
    wrong = found[rows, places] + rng.integers(1, modulus, size=count)
    found[rows, places] = wrong % modulus
    return found
