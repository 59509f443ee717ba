"""Gradients and drifts of token weights, reused wherever weights repeat.

Gradient and drift are linear in the token weights of a side. Losses share weights more
often than not: a sum of losses weighs as the sum of its terms does, and at the first
step of training every loss of the two summed log-probs weighs all tokens alike. So what
is a combination of weights seen before costs no pass.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.drift.passes import Corpus, Sides
from gradlab.gradients import SideGradients
from gradlab.inputs.scored import SIDES
from gradlab.types import Params

EXACT = 1e-9  # share of the weights that a combination may miss
MOST_BYTES = 2**31  # of gradients kept; further ones are computed each time
MOST_GROWTH = 10.0  # how much larger than their sum the terms of a combination may be


@dataclass
class Direction:
    """Token weights of one side, their gradient and what a step along it moves.

    Attributes:
      weights: [N * L], flat.
      gradient: J^T w, like params.
      drift: side -> [N, L], J J^T w; None until it is asked for.
    """

    weights: np.ndarray
    gradient: Params
    drift: Sides | None = None


Terms = list[tuple[float, Direction]]


@dataclass
class Directions:
    """The directions seen so far from one point in parameter space."""

    corpus: Corpus
    params: Params
    known: dict[str, list[Direction]] = field(
        default_factory=lambda: {side: [] for side in SIDES}
    )

    def gradients(self, weights: Mapping[str, np.ndarray]) -> SideGradients:
        """Both sides' gradients for these weights [N, L]; new ones are learnt."""
        terms = self._terms(weights)
        parts = {}
        for side in SIDES:
            total = jax.tree.map(jnp.zeros_like, self.params)
            for factor, direction in terms[side]:
                total = _plus(total, factor, direction.gradient)
            parts[side] = total
        return SideGradients(jnp.zeros(0), **parts)

    def drifts(self, weights: Mapping[str, np.ndarray]) -> dict[str, Sides]:
        """cause -> side -> [N, L]: drift per unit step along each side's gradient."""
        terms = self._terms(weights)
        self._move([d for cause in SIDES for _, d in terms[cause] if d.drift is None])
        found = {}
        for cause in SIDES:
            sums = {s: np.zeros(m.shape) for s, m in self.corpus.mask.items()}
            for factor, direction in terms[cause]:
                for side, drift in (direction.drift or {}).items():
                    sums[side] += factor * drift
            found[cause] = sums
        return found

    def _terms(self, weights: Mapping[str, np.ndarray]) -> dict[str, Terms]:
        """side -> the (factor, direction) pairs whose sum the weights are."""
        known = {side: self._combination(side, weights[side]) for side in SIDES}
        new = {side: weights[side] for side, found in known.items() if found is None}
        learnt = self._learnt(new) if new else {}
        return {
            side: [(1.0, learnt[side])] if found is None else found
            for side, found in known.items()
        }

    def _combination(self, side: str, weights: np.ndarray) -> Terms | None:
        """Factors on known directions that give the weights, or None."""
        flat, known = weights.ravel(), self.known[side]
        if not flat.any():
            return []
        if not known:
            return None
        basis = np.stack([direction.weights for direction in known], axis=1)
        sizes = np.linalg.norm(basis, axis=0)
        factors = np.linalg.lstsq(basis / sizes, flat, rcond=1e-12)[0]
        missed = np.linalg.norm(basis / sizes @ factors - flat)
        size = np.linalg.norm(flat)
        if missed > EXACT * size or np.abs(factors).sum() > MOST_GROWTH * size:
            return None
        pairs = zip(factors / sizes, known, strict=True)
        return [(f, d) for f, d in pairs if abs(f) * sizes.max() > EXACT * size]

    def _learnt(self, new: Mapping[str, np.ndarray]) -> dict[str, Direction]:
        zeros = {side: np.zeros(m.shape) for side, m in self.corpus.mask.items()}
        every: Sides = {**zeros, **new}
        gradients = self.corpus.gradients(self.params, every)
        found = {}
        for side, weights in new.items():
            found[side] = Direction(weights.ravel(), getattr(gradients, side))
            if self._room():
                self.known[side].append(found[side])
        return found

    def _move(self, directions: list[Direction]) -> None:
        """Computes the drifts of these directions, all in one pass."""
        parts = {str(n): d.gradient for n, d in enumerate(directions)}
        drifts = self.corpus.drifts(self.params, parts) if parts else {}
        for n, direction in enumerate(directions):
            direction.drift = drifts[str(n)]

    def _room(self) -> bool:
        held = 1 + sum(map(len, self.known.values()))
        return held * sum(x.nbytes for x in jax.tree.leaves(self.params)) <= MOST_BYTES


def _plus(total: Params, factor: float, gradient: Params) -> Params:
    return jax.tree.map(lambda t, g: t + (factor * g).astype(t.dtype), total, gradient)
