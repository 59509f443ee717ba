"""Turning one number per side into token weights."""

from gradlab.losses.terms import lengths, spread
from gradlab.types import Array, PairLogps, PairWeights


def summed_sides(pairs: PairLogps, d_chosen: Array, d_rejected: Array) -> PairWeights:
    """Weights of a loss of S_w, S_l: the same D on each token of a response."""
    return PairWeights(
        spread(d_chosen, pairs.chosen_mask), spread(d_rejected, pairs.rejected_mask)
    )


def averaged_sides(pairs: PairLogps, d_chosen: Array, d_rejected: Array) -> PairWeights:
    """Weights of a loss of A_w, A_l: D divided by the response's length."""
    counts = lengths(pairs)
    return summed_sides(pairs, d_chosen / counts.chosen, d_rejected / counts.rejected)
