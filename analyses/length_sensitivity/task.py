"""The length task: texts, reference models, and pairs with known utilities.

Ids: 0 begins a text, 1 ends a response, then the symbols. A prompt is [0, symbol].
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.arrays import PairArrays, make_arrays
from analyses.common.training import fit
from analyses.length_sensitivity.config import Task
from gradlab.data import TokenizedPair
from gradlab.errors import GradlabError
from gradlab.models import DecoderConfig, LanguageModel, build
from gradlab.types import Params

BEGIN, END, FIRST = 0, 1, 2
PROMPT = 2


@dataclass(frozen=True)
class Pairs:
    """Labelled pairs of one seed.

    Attributes:
      arrays: [N] pairs as the model reads them.
      utilities: [N, 2] of the chosen and of the rejected response.
    """

    arrays: PairArrays
    utilities: np.ndarray

    @property
    def gap(self) -> np.ndarray:
        """[N] L_chosen - L_rejected, tokens."""
        lengths = self.arrays.chosen_length - self.arrays.rejected_length
        return np.asarray(lengths)


def response(task: Task, symbol: int, rng: np.random.Generator) -> list[int]:
    """Symbols that match with the response's own probability, and the end token."""
    length, share = int(rng.integers(1, task.longest + 1)), rng.random()
    other = FIRST + rng.integers(task.symbols, size=length)
    return [*np.where(rng.random(length) < share, symbol, other).tolist(), END]


def quality(symbols: np.ndarray, prompt: int) -> float:
    """Share of the symbols (the end token left out) that match; 0 without any."""
    return float((symbols == prompt).mean()) if len(symbols) else 0.0


def utility(task: Task, value: Any, count: Any, kappa: float) -> Any:
    """u = quality + kappa (L - m) / m for responses of `count` symbols, elementwise."""
    middle = task.longest / 2
    return value + kappa * (count - middle) / middle


def make_pairs(task: Task, kappa: float, seed: int, count: int) -> Pairs:
    """Two responses of the source to each prompt, labelled by the noisy annotator."""
    rng = np.random.default_rng([seed, 31])
    found, utilities = [], []
    while len(found) < count:
        symbol = FIRST + len(found) % task.symbols
        sides = [response(task, symbol, rng) for _ in range(2)]
        if sides[0] == sides[1]:
            continue
        values = [
            utility(task, quality(np.array(s[:-1]), symbol), len(s) - 1, kappa)
            for s in sides
        ]
        first = rng.random() < 1 / (1 + np.exp((values[1] - values[0]) / task.noise))
        order = (0, 1) if first else (1, 0)
        chosen, rejected = (sides[k] for k in order)
        found.append(TokenizedPair(len(found) + 1, [BEGIN, symbol], chosen, rejected))
        utilities.append([values[k] for k in order])
    arrays = make_arrays(found, PROMPT + task.longest + 1)
    return Pairs(arrays, np.array(utilities))


def subset(pairs: Pairs, kind: str, count: int, gap: int) -> PairArrays:
    """`count` pairs whose chosen side is longer, shorter, or about as long.

    Of the pairs that qualify, those whose total length is nearest to the median of all
    pairs: the subsets hold about as many tokens.
    """
    lengths = np.asarray(pairs.arrays.chosen_length + pairs.arrays.rejected_length)
    good = {
        "chosen longer": pairs.gap >= gap,
        "matched": np.abs(pairs.gap) <= 1,
        "chosen shorter": pairs.gap <= -gap,
    }[kind]
    distance = np.where(good, np.abs(lengths - np.median(lengths)), np.inf)
    if good.sum() < count:
        raise GradlabError(f"{good.sum()} pairs are {kind}, {count} are wanted")
    nearest = np.argsort(distance, kind="stable")[:count]
    return pairs.arrays.take(jnp.asarray(nearest))


def model_of(task: Task) -> tuple[LanguageModel, DecoderConfig]:
    """The decoder of the task."""
    shape = DecoderConfig(
        vocab_size=FIRST + task.symbols,
        width=task.width,
        layers=task.layers,
        heads=task.heads,
        ff_width=2 * task.width,
        max_length=PROMPT + max(task.limit, task.longest + 1),
        tied=False,
    )
    return build(shape)[0], shape


def reference(task: Task, seed: int) -> Params:
    """A decoder fitted to texts of the source (Adam, float32).

    What follows the end token is more of it; it is fitted too, and never read.
    """
    model, shape = model_of(task)
    rng = np.random.default_rng([seed, 30])
    length = PROMPT + task.longest + 1
    count = task.fit_updates * task.fit_batch
    texts = np.full((min(count, 4096), length), END, np.int32)
    for row, text in enumerate(texts):
        symbol = FIRST + row % task.symbols
        ids = [BEGIN, symbol, *response(task, symbol, rng)]
        text[: len(ids)] = ids
    picks = rng.integers(len(texts), size=(task.fit_updates, task.fit_batch))
    params = build(shape, seed=seed)[1]
    params, _ = fit(model, params, jnp.asarray(texts[picks]), task.fit_rate)
    return jax.tree.map(jnp.asarray, params)
