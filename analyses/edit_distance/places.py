"""Where a token stands relative to the first difference of its pair."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gradlab.data import TokenizedPair
from gradlab.measures import pair_regions

PLACES = ("before", "at", "after", "suffix")
SIDES = ("chosen", "rejected")


@dataclass(frozen=True)
class Places:
    """Of N pairs, both sides padded to R tokens.

    Attributes:
      mask: [2, N, R] True on response tokens.
      offset: [2, N, R] position less that of the first difference.
      suffix: [2, N, R] True on the suffix that both responses share.
      first: [N] position of the first difference.
    """

    mask: np.ndarray
    offset: np.ndarray
    suffix: np.ndarray
    first: np.ndarray

    def of(self, place: str) -> np.ndarray:
        """[2, N, R] the tokens before, at or after the first difference; or suffix.

        The suffix is the part of "after" that both responses share.
        """
        if place == "suffix":
            return self.suffix
        sign = np.sign(self.offset)
        return self.mask & (sign == PLACES.index(place) - 1)

    def shared(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The values of the tokens of shared suffixes, chosen and rejected aligned.

        Args:
          values: [2, N, R].

        Returns:
          Two arrays with an entry per shared token, pair by pair.
        """
        return values[0][self.suffix[0]], values[1][self.suffix[1]]


def places_of(pairs: Sequence[TokenizedPair], width: int) -> Places:
    """Finds the first difference and the shared suffix of every pair."""
    count = len(pairs)
    mask, suffix = (np.zeros((2, count, width), bool) for _ in range(2))
    first = np.zeros(count, int)
    for row, pair in enumerate(pairs):
        regions = pair_regions(pair.chosen, pair.rejected)
        first[row] = regions.first
        for side, name in enumerate(SIDES):
            length = len(getattr(pair, name))
            mask[side, row, :length] = True
            suffix[side, row, length - regions.suffix : length] = True
    offset = np.broadcast_to(np.arange(width) - first[:, None], mask.shape)
    return Places(mask, offset, suffix, first)


def token_mean(values: np.ndarray, chosen: np.ndarray) -> float:
    """Mean of the values of some tokens, pooled over pairs; NaN where there is none."""
    return float(values[chosen].mean()) if chosen.any() else float("nan")
