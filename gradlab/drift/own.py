"""What each pair's own gradient does to its own two answers.

For plain descent and a loss of the two summed log-probs alone, this is the pair's score
gradients' effect, scaled; so one pass over the pairs serves all such losses.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.drift.passes import Corpus, Sides
from gradlab.gradients import StepSplit
from gradlab.inputs.scored import SIDES
from gradlab.measures import Influence, ScoreProducts, cosine
from gradlab.measures.entanglement import mean_and_spread
from gradlab.types import Params


def microbatch() -> int:
    """Pairs whose gradients exist at once: a CPU is fastest with one after another."""
    return 1 if jax.default_backend() == "cpu" else 8


@dataclass(frozen=True)
class Scores:
    """What the two score gradients of every pair do, whatever the loss.

    Attributes:
      drifts: cause -> side -> [N, L]: drift per unit step along the gradient of the
        cause's summed log-probability.
      products: <s_c, s_c>, <s_r, s_r> and <s_c, s_r>, [N].
    """

    drifts: dict[str, Sides]
    products: ScoreProducts

    @property
    def cosine(self) -> np.ndarray:
        """Of the two score gradients, [N]."""
        return np.asarray(cosine(self.products))


def pair_scores(corpus: Corpus, params: Params) -> Scores:
    """Score gradients of every pair: norms, inner product, and what they move."""
    ones = {side: mask.astype(float) for side, mask in corpus.mask.items()}
    unit = jax.tree.map(jnp.ones_like, params)
    drifts = {
        cause: corpus.own_drifts(
            params, cause, ones[cause], unit, microbatch=microbatch()
        )
        for cause in SIDES
    }
    sums = {cause: _sums(sides) for cause, sides in drifts.items()}
    products = ScoreProducts(
        chosen=jnp.asarray(sums["chosen"]["chosen"]),
        rejected=jnp.asarray(sums["rejected"]["rejected"]),
        inner=jnp.asarray(sums["chosen"]["rejected"]),
    )
    return Scores(drifts, products)


def own_drifts(
    corpus: Corpus, params: Params, weights: Sides, split: StepSplit, scores: Scores
) -> dict[str, Sides] | None:
    """cause -> side -> [N, L]: what each pair's own gradient does to its own tokens."""
    if split.response is None:
        return None
    diagonal = diagonal_of(split, params)
    rate = one_number(diagonal)

    def of(cause: str) -> Sides:
        slope = _constant(weights[cause], corpus.mask[cause])
        if rate is None or slope is None:
            return corpus.own_drifts(
                params, cause, weights[cause], diagonal, microbatch=microbatch()
            )
        # Plain descent on the summed log-prob: the score's drift, scaled.
        drifts = scores.drifts[cause]
        return {side: rate * slope[:, None] * x for side, x in drifts.items()}

    return {cause: of(cause) for cause in SIDES}


def diagonal_of(split: StepSplit, params: Params) -> Params:
    """What a step makes of a gradient of ones.

    The optimisers here answer each coordinate of the gradient apart, so this is all
    that there is to know of their linear response.
    """
    if split.response is None:
        raise ValueError("a step without a split has no linear response")
    return split.response(jax.tree.map(jnp.ones_like, params))


def _constant(weights: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
    """[N] the weight of each response, or None where it varies along one."""
    with jax.enable_x64(True):
        mean, spread = map(
            np.asarray, mean_and_spread(jnp.asarray(weights), jnp.asarray(mask))
        )
    return mean if (spread <= 1e-9 * np.abs(mean)).all() else None


def one_number(tree: Params) -> float | None:
    """The number that fills all leaves, or None."""
    leaves = jax.tree.leaves(tree)
    first = float(leaves[0].ravel()[0])
    return first if all(bool((leaf == first).all()) for leaf in leaves) else None


def influence_of(own: dict[str, Sides]) -> Influence:
    """The four sums of what a pair does to itself, [N] each."""
    sums = {cause: _sums(sides) for cause, sides in own.items()}
    return Influence(
        chosen_own=jnp.asarray(sums["chosen"]["chosen"]),
        chosen_cross=-jnp.asarray(sums["rejected"]["chosen"]),
        rejected_cross=jnp.asarray(sums["chosen"]["rejected"]),
        rejected_own=-jnp.asarray(sums["rejected"]["rejected"]),
    )


def _sums(sides: Sides) -> Sides:
    return {side: array.sum(1) for side, array in sides.items()}
