"""Many pools of candidates at once, and what judges and scorers say about them.

A judge's answers are one table [N, M, M]: `share[n, i, j]` is what goes to candidate i
of pool n when i is shown first and j second (1, 0, or .5 for a tie). So the same
question always has the same answer, as with `gradlab.data.ranking.UtilityJudge`, and
every scheme can be run on the same answers.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

Orders = Literal["fixed", "random", "both"]
Ties = Literal["keep", "coin", "ask"]
Tail = Literal["up", "down"]
TAILS: tuple[Tail, ...] = ("up", "down")
DISTORTIONS = ("drift", "scale", "warp", "length", "saturation", "ood")
WIDEST = 2.0  # a saturated scorer tells no utilities beyond +-2 sd apart


@dataclass(frozen=True)
class Pools:
    """N pools of M candidates.

    Attributes:
      utilities: [N, M] true, standard normal.
      style: [N, M] a trait that has nothing to do with utility, such as length;
        standard normal.
      phase: [N, M] place on the cycle of the intransitive part, in radians.
    """

    utilities: np.ndarray
    style: np.ndarray
    phase: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """N and M."""
        count, candidates = self.utilities.shape
        return count, candidates


def make_pools(count: int, candidates: int, rng: np.random.Generator) -> Pools:
    """Draws the pools."""
    shape = (count, candidates)
    utilities, style = rng.standard_normal((2, *shape))
    return Pools(utilities, style, rng.uniform(0, 2 * np.pi, shape))


@dataclass(frozen=True)
class Judge:
    """A pairwise judge.

    It sees d = u_first - u_second + bias + cycle sin(phase_first - phase_second)
    + taste (style_first - style_second) + tau e, with e standard logistic, and calls
    a tie where |d| <= threshold. So P(first) = sigmoid((u_first - u_second)/tau)
    without the other parts: Bradley and Terry's model.

    Attributes:
      tau: scale of the noise; like all others in units of utility.
      bias: what being shown first is worth.
      threshold: of ties.
      cycle: amplitude of the intransitive part.
      taste: what a unit of style is worth.
    """

    tau: float
    bias: float = 0.0
    threshold: float = 0.0
    cycle: float = 0.0
    taste: float = 0.0


def ask(pools: Pools, judge: Judge, rng: np.random.Generator) -> np.ndarray:
    """[N, M, M] the share of the first, for every question that could be asked."""
    seen = _differences(pools.utilities + judge.taste * pools.style) + judge.bias
    if judge.cycle:
        seen += judge.cycle * np.sin(_differences(pools.phase))
    seen += judge.tau * rng.logistic(size=seen.shape)
    return np.where(np.abs(seen) <= judge.threshold, 0.5, seen > 0)


def _differences(values: np.ndarray) -> np.ndarray:
    return values[:, :, None] - values[:, None, :]


@dataclass(frozen=True)
class Answers:
    """What a comparison of i and j gives, and what it costs.

    Attributes:
      share: [N, M, M] that goes to i; above .5 i is preferred.
      cost: [N, M, M] judge calls.
    """

    share: np.ndarray
    cost: np.ndarray


def compare(
    pools: Pools,
    judge: Judge,
    rng: np.random.Generator,
    *,
    orders: Orders = "random",
    votes: int = 1,
    ties: Ties = "keep",
) -> Answers:
    """All comparisons of a judge.

    Args:
      pools: of candidates.
      judge: its noise, bias and ties.
      rng: draws answers, orders and coins.
      orders: who is shown first. "fixed": i; "random": drawn; "both": each in turn, the
        mean of two calls.
      votes: answers per comparison, of which the mean counts.
      ties: "keep" leaves them to the scheme; "coin" draws a winner; "ask" asks once
        more, and leaves a second tie.
    """
    shares = [_ordered(pools, judge, orders, rng) for _ in range(votes)]
    share = np.mean(shares, axis=0)
    cost = np.full(share.shape, votes * (1 + (orders == "both")))
    tied = share == 0.5
    if ties == "coin":
        share = np.where(tied, rng.random(share.shape) < 0.5, share)
    elif ties == "ask":
        again = _ordered(pools, judge, orders, rng)
        share = np.where(tied, again, share)
        cost = cost + tied * (1 + (orders == "both"))
    return Answers(share, cost)


def _ordered(pools: Pools, judge: Judge, orders: Orders, rng) -> np.ndarray:
    first = ask(pools, judge, rng)
    if orders == "fixed":
        return first
    second = 1 - first.swapaxes(1, 2)
    if orders == "both":
        return (first + second) / 2
    return np.where(rng.random(first.shape) < 0.5, first, second)


def scores(
    pools: Pools,
    tau: float,
    rng: np.random.Generator,
    *,
    repeats: int = 1,
    tail: Tail = "up",
    distortion: str = "",
    strength: float = 0.0,
) -> np.ndarray:
    """[N, M] absolute scores; of two, the difference has the pairwise judge's noise.

    Gumbel noise of scale tau makes score differences logistic of scale tau, whichever
    way its heavy tail points. Upwards, a lucky candidate is easily taken for the best;
    downwards, an unlucky one for the worst.

    Args:
      pools: of candidates.
      tau: scale of the noise.
      rng: of the noise and of the distortion.
      repeats: scores per candidate, averaged.
      tail: where the noise has its heavy tail.
      distortion: one of `DISTORTIONS`, or none.
      strength: of the distortion, in units of utility where it has one.
    """
    noise = tau * rng.gumbel(size=(repeats, *pools.shape)).mean(axis=0)
    noise = noise if tail == "up" else -noise
    if distortion == "saturation" and strength:
        # The scorer rounds what it sees, noise included.
        seen = np.clip(pools.utilities + noise, -WIDEST, WIDEST)
        return strength * np.round(seen / strength)
    return _distorted(pools, distortion, strength, rng) + noise


def _distorted(
    pools: Pools, distortion: str, strength: float, rng: np.random.Generator
) -> np.ndarray:
    """[N, M] what the scorer sees in place of utility, noise apart."""
    utilities, style = pools.utilities, pools.style
    count, candidates = pools.shape
    own = rng.standard_normal((count, 1))  # of each prompt
    if distortion == "drift":
        # The scorer's zero wanders from call to call, at another speed per prompt.
        return utilities + strength * own * np.linspace(-1, 1, candidates)
    if distortion == "scale":
        return utilities * np.exp(strength * own)
    if distortion == "warp":
        power = np.exp(strength * np.clip(own, -2, 2))  # beyond it would overflow
        return np.sign(utilities) * np.abs(utilities) ** power
    if distortion == "length":
        return utilities + strength * style
    if distortion == "ood":
        # One in six candidates is unlike what the scorer knows.
        return utilities + strength * np.sign(own) * (style > 1)
    return utilities
