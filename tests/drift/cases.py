"""A tiny model, a few pairs, and the passes over them, in float64."""

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.comparison.weighing import LossWeights, weigh
from gradlab.data.batches import TokenizedPair, batches
from gradlab.data.pair_batches import pair_batches
from gradlab.drift.passes import Corpus
from gradlab.inputs.scored import SIDES, ScoredPairs
from gradlab.inputs.scoring import Scorer, score_pairs
from gradlab.losses import resolve
from gradlab.models import DecoderConfig, build

VOCAB = 11


@dataclass(frozen=True)
class Case:
    """Pairs, their scores and a corpus over them."""

    corpus: Corpus
    params: dict
    scored: ScoredPairs
    pairs: list[TokenizedPair]

    def weights(self, *losses: str) -> list[LossWeights]:
        return weigh(self.scored, [resolve(loss) for loss in losses])

    def mean_weights(self, loss: str) -> dict[str, np.ndarray]:
        (found,) = self.weights(loss)
        return {s: found.weights[s] / len(self.pairs) for s in SIDES}


def make_pairs(count: int, seed: int = 0) -> list[TokenizedPair]:
    rng = np.random.default_rng(seed)

    def ids(low: int, high: int) -> list[int]:
        return rng.integers(1, VOCAB, rng.integers(low, high)).tolist()

    made = []
    for n in range(count):
        shared = ids(1, 4)  # a common beginning, as real pairs have
        chosen, rejected = [*shared, 1, *ids(1, 6)], [*shared, 2, *ids(1, 9)]
        made.append(TokenizedPair(n + 1, ids(1, 6), chosen, rejected))
    return made


@functools.cache  # nothing changes a case, and each one compiles its passes
def make_case(
    count: int = 3, *, batch_size: int = 2, max_shapes: int = 2, order=None
) -> Case:
    config = DecoderConfig(
        vocab_size=VOCAB, width=8, layers=1, heads=2, ff_width=16, max_length=32
    )
    model, params = build(config, seed=3, dtype=jnp.float64)
    # A reference that differs, so that losses do not coincide.
    other = jax.tree.map(lambda leaf: leaf * 1.1, params)
    pairs = make_pairs(count)
    if order is not None:
        pairs = [pairs[n] for n in order]
    scored = score_pairs(Scorer(model, params), pairs, Scorer(model, other))
    options = {"batch_size": batch_size, "max_shapes": max_shapes}
    sides = {side: list(batches(pairs, side, **options)) for side in SIDES}
    mask = {side: getattr(scored, side).mask for side in SIDES}
    corpus = Corpus(model, sides, list(pair_batches(pairs, **options)), mask)
    return Case(corpus, params, scored, pairs)


def log_probs(case: Case, params: dict, n: int, side: str) -> jax.Array:
    """Token log-probs of one response, unpadded, written out plainly."""
    pair = case.pairs[n]
    response = getattr(pair, side)
    ids = jnp.asarray([pair.prompt + response])
    logits = case.corpus.model.apply(params, ids)[0]
    table = jax.nn.log_softmax(logits[len(pair.prompt) - 1 : -1])
    return table[jnp.arange(len(response)), jnp.asarray(response)]
