"""Where two responses agree: common prefix, first difference, middle, common suffix.

    prefix  t < f            f = the first t with chosen[t] != rejected[t]
    first   t = f
    suffix  t >= L - e       e = equal tokens from the ends, clear of f
    middle  all others

What a loss does before, at and after the first differing token are three different
things: on the prefix both sides push the same token in the same context, at the first
difference they push two tokens of one distribution, afterwards the contexts differ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gradlab.errors import GradlabError

REGIONS = ("prefix", "first", "middle", "suffix")


@dataclass(frozen=True)
class PairRegions:
    """The partition of one pair's tokens.

    Attributes:
      chosen: [L_w] region code of each chosen token, an index into `REGIONS`.
      rejected: [L_l] likewise.
      first: position of the first difference in both responses (tokens, from 0).
      suffix: tokens in the common suffix.
      one_sided: one response is a prefix of the other, so that the first difference
        exists on the longer side only.
    """

    chosen: np.ndarray
    rejected: np.ndarray
    first: int
    suffix: int
    one_sided: bool


def pair_regions(chosen: Sequence[int], rejected: Sequence[int]) -> PairRegions:
    """Partition both responses of a pair.

    The suffix is counted in equal tokens from the ends and never reaches into the
    prefix or the first differing token of the shorter response.

    Args:
      chosen: token ids of the chosen response, prompt and padding left out.
      rejected: likewise.

    Returns:
      `PairRegions`; the four regions cover each response exactly once.

    Raises:
      GradlabError: the responses are identical.

    Example:
      >>> regions = pair_regions([5, 1, 8, 9], [5, 2, 3, 8, 9])
      >>> regions.first, regions.suffix, regions.rejected.tolist()
      (1, 2, [0, 1, 2, 3, 3])
    """
    one, two = np.asarray(chosen), np.asarray(rejected)
    shorter = min(len(one), len(two))
    differs = np.flatnonzero(one[:shorter] != two[:shorter])
    first = int(differs[0]) if len(differs) else shorter
    if first == len(one) == len(two):
        raise GradlabError(
            f"chosen and rejected are the same {first} tokens; expected responses that "
            "differ"
        )
    backwards = one[::-1][:shorter] != two[::-1][:shorter]
    differs = np.flatnonzero(backwards)
    equal = int(differs[0]) if len(differs) else shorter
    suffix = max(0, min(equal, shorter - first - 1))
    return PairRegions(
        chosen=_codes(len(one), first, suffix),
        rejected=_codes(len(two), first, suffix),
        first=first,
        suffix=suffix,
        one_sided=first == shorter,
    )


def _codes(length: int, first: int, suffix: int) -> np.ndarray:
    codes = np.full(length, REGIONS.index("middle"), np.int8)
    codes[:first] = REGIONS.index("prefix")
    codes[first : first + 1] = REGIONS.index("first")
    codes[length - suffix :] = REGIONS.index("suffix")
    return codes


def region_sums(
    weights: np.ndarray, codes: np.ndarray, *, absolute: bool = False
) -> Mapping[str, float]:
    """Sum of one response's weights in each region.

    Args:
      weights: [L] token weights, in loss per nat.
      codes: [L] region codes.
      absolute: sum |w| (the mass) instead of w.

    Returns:
      region -> sum; the four add up to the whole.

    Example:
      >>> region_sums(np.array([-1.0, 2.0]), np.array([0, 1]), absolute=True)["first"]
      2.0
    """
    values = np.abs(weights) if absolute else np.asarray(weights)
    sums = np.bincount(codes, values, minlength=len(REGIONS))
    return dict(zip(REGIONS, sums.tolist(), strict=True))


def net_prefix_weights(
    chosen: np.ndarray, rejected: np.ndarray, regions: PairRegions
) -> np.ndarray:
    """Net weight n_t = w_chosen + w_rejected on each token of the common prefix.

    The prefix enters the parameters only through n_t: 0 for plain margin losses, so
    that they leave shared tokens alone; negative where the loss raises them.

    Args:
      chosen: [L_w] token weights of the chosen response.
      rejected: [L_l] token weights of the rejected response.
      regions: the pair's partition.

    Returns:
      [first] in loss per nat.
    """
    return np.asarray(chosen)[: regions.first] + np.asarray(rejected)[: regions.first]
