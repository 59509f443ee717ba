"""Scoring of tokenised pairs with policy and reference."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np

from gradlab.data.batches import TokenizedPair, batches
from gradlab.errors import GradlabError
from gradlab.inputs.scored import ScoredPairs, ScoredSide
from gradlab.models.functional import LanguageModel
from gradlab.models.scoring import score_batches
from gradlab.types import Params, TokenStats

Side = Literal["chosen", "rejected"]
Progress = Callable[[int], Any]  # called with the number of sequences just scored


@dataclass(frozen=True)
class Scorer:
    """A model with its parameters and the way to run it.

    Attributes:
      model: the language model.
      params: its parameters.
      batch_size: sequences in one forward pass.
    """

    model: LanguageModel
    params: Params
    batch_size: int = 16


def passes(
    policy: Scorer, reference: Scorer | None, pairs: int, *, mismatched: bool = False
) -> int:
    """How many sequences `score_pairs` will score."""
    models = 1 if reference is None else 2
    sides = 3 if mismatched and reference is not None else 2
    return models * sides * pairs


def score_pairs(
    policy: Scorer,
    pairs: Sequence[TokenizedPair],
    reference: Scorer | None = None,
    *,
    mismatched: bool = False,
    progress: Progress = lambda scored: None,
) -> ScoredPairs:
    """Token statistics of both responses of every pair.

    Args:
      policy: the model under study.
      pairs: tokenised pairs.
      reference: the frozen reference; None: the policy itself, scored once.
      mismatched: also score each prompt with the next pair's chosen response, for
        losses that estimate a KL. Where the reference is the policy these log-ratios
        are 0 and nothing is run.
      progress: called after each batch with the number of sequences scored.

    Returns:
      `ScoredPairs` with arrays of float32.

    Raises:
      GradlabError: no pairs, a token outside the vocabulary, or a log-probability that
        is not finite.
    """
    if not pairs:
        raise GradlabError("there is no pair to score")

    def score(scorer: Scorer, tokenized: Sequence[TokenizedPair], side: Side):
        return _score_side(scorer, tokenized, side, progress)

    def both(side: Side) -> ScoredSide:
        ids, mask = _padded([getattr(pair, side) for pair in pairs])
        stats = score(policy, pairs, side)
        ref = stats if reference is None else score(reference, pairs, side)
        return ScoredSide(ids, mask, ref_logps=ref["logps"], **stats)

    chosen, rejected = both("chosen"), both("rejected")
    ratios = None
    if mismatched and reference is None:
        ratios = np.zeros(len(pairs), np.float32)
    elif mismatched and reference is not None:
        shifted = mismatch(pairs)
        ratios = score(policy, shifted, "chosen")["logps"].sum(1)
        ratios = ratios - score(reference, shifted, "chosen")["logps"].sum(1)
    rows = np.array([pair.row for pair in pairs])
    return ScoredPairs(chosen, rejected, rows, ratios)


def mismatch(pairs: Sequence[TokenizedPair]) -> list[TokenizedPair]:
    """Each prompt with the chosen response of the next pair (the last with the first).

    A response is cut where prompt and response would exceed the longest pair, so that
    no shape is scored that the pairs themselves didn't have.
    """
    longest = max(len(p.prompt) + max(len(p.chosen), len(p.rejected)) for p in pairs)
    following = [*pairs[1:], pairs[0]]
    return [
        replace(pair, chosen=other.chosen[: max(1, longest - len(pair.prompt))])
        for pair, other in zip(pairs, following, strict=True)
    ]


def _padded(responses: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Token ids [N, L], padded with 0 on the right, and their mask."""
    lengths = np.array([len(response) for response in responses])
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.zeros(mask.shape, np.int32)
    ids[mask] = np.concatenate(responses)
    return ids, mask


def _score_side(
    scorer: Scorer, pairs: Sequence[TokenizedPair], side: Side, progress: Progress
) -> dict[str, np.ndarray]:
    """Each token statistic [N, L] of one side, in the order of the pairs."""
    width = max(len(getattr(pair, side)) for pair in pairs)
    arrays: dict[str, np.ndarray] = {
        f.name: np.zeros((len(pairs), width), "i4" if f.name == "argmax" else "f4")
        for f in fields(TokenStats)
    }
    made = list(batches(pairs, side, batch_size=scorer.batch_size))
    scored = score_batches(scorer.model, scorer.params, made)
    for batch, stats in zip(made, scored, strict=True):
        used = batch.index >= 0
        columns = min(width, batch.width)
        for name, array in arrays.items():
            array[batch.index[used], :columns] = getattr(stats, name)[used, :columns]
        progress(int(used.sum()))
    return arrays
