"""Whether a model's numbers can be trusted: measured twice, in two ways.

Log-probabilities are compared relative to max(1, |log p|). Between two shapes of one
batch sums are taken in another order, which in float32 moves them by some 1e-7 to 1e-5;
a mask or a position that is wrong moves them by far more than 1e-3.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.data import TokenizedPair
from gradlab.data.batches import SideBatch, batches
from gradlab.doctor.findings import Finding, Limits, judged
from gradlab.inputs.scored import SIDES, ScoredPairs
from gradlab.inputs.scoring import Scorer
from gradlab.models.logps import response_logps
from gradlab.models.scoring import score_batches

SHAPES = Limits(2e-5, 1e-3)
DTYPES = Limits(1e-4, 1e-2)
DIRECTIONS = Limits(1e-3, 1e-1)
NARROW = 2  # pairs compared in float64, and differentiated
MOST_PARAMETERS = 2 * 10**9  # a float64 copy of more than these may not fit
EXTRA = 13  # columns of padding put behind; no multiple of anything
Logps = dict[str, np.ndarray]  # side -> [N, L], 0 behind a response


@dataclass(frozen=True)
class Subject:
    """What is examined.

    Attributes:
      scorer: the model.
      pairs: N tokenised pairs.
      scored: their statistics by the path that all commands take, with the model as a
        reference scored by a pass of its own.
      context: most tokens that the model takes.
    """

    scorer: Scorer
    pairs: Sequence[TokenizedPair]
    scored: ScoredPairs
    context: int

    @property
    def logps(self) -> Logps:
        """Log-probabilities of the response tokens as the commands see them."""
        return {side: getattr(self.scored, side).logps for side in SIDES}


def number_findings(subject: Subject) -> Iterator[Finding]:
    """The checks that run the model again."""
    yield padding(subject)
    yield batch_size(subject)
    yield dtype(subject)
    yield gradient(subject)


def padding(subject: Subject) -> Finding:
    """Other padding: more of it, made of another token, and for the shortest pair none.

    A later token that reaches an earlier one, as in a model without a causal mask,
    shows here too.
    """
    longest = max(pair.length for pair in subject.pairs)
    extra = min(EXTRA, subject.context - longest)
    # The last token of a response, where 0 is usual; often that is what ends a text.
    other = subject.pairs[0].chosen[-1] or 1
    found = _logps(subject, _widened(extra, other), pad_id=other)
    gap = _gap(subject.logps, found)
    place = min(range(len(subject.pairs)), key=lambda i: subject.pairs[i].length)
    alone = replace(subject, pairs=[subject.pairs[place]])
    short = _logps(alone, size=1)
    base = {side: logps[place : place + 1] for side, logps in subject.logps.items()}
    gap = max(gap, _gap(base, short))
    text = f"log-probabilities under {extra} more columns of another padding, and none"
    return judged("padding", gap, SHAPES, text)


def batch_size(subject: Subject) -> Finding:
    """Every response alone, beside it among others."""
    gap = _gap(subject.logps, _logps(subject, size=1))
    text = f"log-probabilities in batches of 1 and of {subject.scorer.batch_size}"
    return judged("batch size", gap, SHAPES, text)


def dtype(subject: Subject) -> Finding:
    """float32 beside float64 on the CPU, for the first few pairs."""
    params = subject.scorer.params
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    if count > MOST_PARAMETERS:
        text = f"not looked at: a float64 copy of {count:.1e} parameters may not fit"
        return Finding("dtype", "warn", text)
    narrow = replace(subject, pairs=subject.pairs[:NARROW])
    base = _logps(narrow)
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
        scorer = replace(subject.scorer, params=jax.device_put(wide))
        found = _logps(replace(narrow, scorer=scorer))
    text = f"log-probabilities in float32 and float64, {len(narrow.pairs)} pairs"
    return judged("dtype", _gap(base, found), DTYPES, text)


def gradient(subject: Subject) -> Finding:
    """The derivative along the gradient g, forwards, is |g|^2 by the reverse pass."""
    batch = next(_batches(subject.pairs[:1], "chosen", 1))
    parts = (batch.tokens, batch.response_start, batch.response_length)
    tokens, start, length = map(jnp.asarray, parts)

    def mean(params):
        logps = response_logps(
            subject.scorer.model, params, tokens, start, length, width=batch.width
        )
        return logps.sum() / length.sum()

    def both(params):
        found = jax.grad(mean)(params)
        squares = [(leaf**2).sum() for leaf in jax.tree.leaves(found)]
        return sum(squares), jax.jvp(mean, (params,), (found,))[1]

    with jax.default_matmul_precision("highest"):
        square, along = map(float, jax.jit(both)(subject.scorer.params))
    text = f"|gradient| {np.sqrt(square):.2g} of a mean log-probability, by both modes"
    if square == 0:
        return Finding("gradient", "FAIL", "0: the model ignores its parameters")
    return judged("gradient", abs(along / square - 1), DIRECTIONS, text)


def _batches(
    pairs: Sequence[TokenizedPair], side, size: int, pad_id: int = 0
) -> Iterator[SideBatch]:
    return batches(pairs, side, batch_size=size, max_shapes=1, pad_id=pad_id)


def _widened(extra: int, pad_id: int) -> Callable[[SideBatch], SideBatch]:
    def widen(batch: SideBatch) -> SideBatch:
        tokens = np.pad(batch.tokens, ((0, 0), (0, extra)), constant_values=pad_id)
        return replace(batch, tokens=tokens)

    return widen


def _logps(
    subject: Subject,
    change: Callable[[SideBatch], SideBatch] = lambda batch: batch,
    *,
    size: int | None = None,
    pad_id: int = 0,
) -> Logps:
    """Log-probabilities in one shape of batches, changed before they are scored."""
    scorer, size = subject.scorer, size or subject.scorer.batch_size
    found = {}
    for side in SIDES:
        width = max(len(getattr(pair, side)) for pair in subject.pairs)
        found[side] = np.zeros((len(subject.pairs), width))
        made = [change(b) for b in _batches(subject.pairs, side, size, pad_id)]
        scores = score_batches(scorer.model, scorer.params, made)
        for batch, stats in zip(made, scores, strict=True):
            used = batch.index >= 0
            logps = stats.logps[used, :width]
            found[side][batch.index[used], : logps.shape[1]] = logps
    return found


def _gap(one: Logps, other: Logps) -> float:
    """The largest difference relative to max(1, |log p|)."""
    gaps = []
    for side in SIDES:
        width = min(one[side].shape[1], other[side].shape[1])
        a, b = one[side][:, :width], other[side][:, :width]
        gaps.append(np.max(np.abs(a - b) / np.maximum(1, np.abs(b)), initial=0.0))
    return float(max(gaps))
