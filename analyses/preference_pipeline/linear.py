"""The smallest lambda that holds a budget, in a model where everything is linear.

Both summed log-probabilities are linear in the parameters, with score vectors s_c, s_r
of a pair. Then a step on weights (D_w, D_l) moves the log-ratios by

    da = -eta (D_w n_c + D_l <s_c, s_r>),    db = -eta (D_w <s_c, s_r> + D_l n_r)

so that the pair's path is one of two numbers. With kappa = <s_c, s_r> / n_c and
q = -D_l / D_w of the base (1 for DPO and IPO, L_w / L_l for SimPO), the chosen side
falls where q kappa > 1. While it does, the inside form holds at the budget D = -a =
delta if lambda >= q kappa - 1, and the outside form if lambda >= |D_w| (q kappa - 1)
with the base's weight on the chosen sum there, beta sigma(-m) for DPO.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.rows import Row, row
from analyses.preference_pipeline.config import Config
from gradlab.losses import bcr_added, bcr_inside
from gradlab.types import Array, PairLogps

FORMS: dict[str, Callable[..., Array]] = {"outside": bcr_added, "inside": bcr_inside}
LENGTHS = (2, 3)  # tokens of the chosen and of the rejected response
FACTORS = np.geomspace(0.25, 4, 121)  # lambda over its predicted threshold
BEYOND = FACTORS[-1] * FACTORS[1] / FACTORS[0]  # stands for: held by no factor
SHOWN = slice(None, None, 6)
DELTA = 2.0  # nats
FIRST_STEP = 0.001  # of the chosen side by its own score alone, nats
STEPS = 40_000
HOLD = 0.004  # nats above the budget that a step or two may lead


@dataclass(frozen=True)
class Linear:
    """A base in the linear model.

    Attributes:
      spec: as `gradlab.losses.resolve` reads it.
      ratio: q, the weight on the rejected sum over that on the chosen one.
      pull: (a, b) -> |D_w|.
    """

    spec: str
    ratio: float
    pull: Callable[[float, float], float]


def _logistic(x: float) -> float:
    return 1 / (1 + np.exp(-x))


BASES = {
    "dpo": Linear("dpo(beta=0.1)", 1.0, lambda a, b: 0.1 * _logistic(-0.1 * (a - b))),
    "ipo": Linear("ipo(tau=0.01)", 1.0, lambda a, b: 2 * (50 - (a - b))),
    "simpo": Linear(
        "simpo(beta=0.2, gamma=0.1)",
        2 / 3,
        lambda a, b: 0.1 * _logistic(0.1 - 0.2 * (a / 2 - b / 3)),
    ),
}


@dataclass(frozen=True)
class Pair:
    """The products of a pair's score vectors, in units of n_c.

    Attributes:
      kappa: <s_c, s_r>, above 1 / q: the chosen side falls under the base.
      rejected: n_r, at least kappa squared.
    """

    kappa: float
    rejected: float

    def threshold(self, form: str, base: Linear) -> float:
        """The predicted smallest lambda that holds at D = DELTA."""
        excess = base.ratio * self.kappa - 1
        if form == "inside":
            return excess
        # Until then a and b have moved in the proportion of their speeds at first.
        b = -DELTA * (base.ratio * self.rejected - self.kappa) / excess
        return base.pull(-DELTA, b) * excess


def draw_pair(rng: np.random.Generator, base: Linear) -> Pair:
    """A pair whose chosen side falls."""
    kappa = rng.uniform(1.2, 3) / base.ratio
    return Pair(kappa, kappa**2 * rng.uniform(1.05, 1.5))


@partial(jax.jit, static_argnames=("form", "name", "steps"))
def peak_drop(
    form: str,
    name: str,
    kappa: Array,
    rejected: Array,
    lam: Array,
    steps: int = STEPS,
) -> tuple[Array, Array]:
    """The largest and the last drop -a of B runs on one base, [B] nats each."""
    start, base = jnp.zeros_like(lam), BASES[name]
    rate = FIRST_STEP / base.pull(0.0, 0.0)
    levels = [jnp.full((len(lam), length), -1e3) for length in LENGTHS]

    def value(*ratios: Array) -> Array:
        logps = [
            level + ratio[:, None] / level.shape[1]
            for level, ratio in zip(levels, ratios, strict=True)
        ]
        masks = [jnp.ones(level.shape, bool) for level in levels]
        pairs = PairLogps(*logps, *masks, *levels)
        return FORMS[form](pairs, lam=lam, delta=DELTA, base=base.spec).sum()

    def update(carry, _):
        a, b, peak = carry
        good, bad = jax.grad(value, argnums=(0, 1))(a, b)
        a, b = (
            a - rate * (good + bad * kappa),
            b - rate * (good * kappa + bad * rejected),
        )
        return (a, b, jnp.maximum(peak, -a)), None

    (a, _, peak), _ = jax.lax.scan(update, (start, start, start), length=steps)
    return peak, -a


def linear_rows(config: Config, seed: int) -> Iterator[Row]:
    """Where the budget begins to hold, over the prediction, per form and instance."""
    for (name, base), form in itertools.product(BASES.items(), FORMS):
        rng = np.random.default_rng([seed, 31])
        pairs = [draw_pair(rng, base) for _ in range(config.instances)]
        keys = {"part": "linear", "scheme": name, "loss": form, "seed": seed}
        kappa = np.repeat([pair.kappa for pair in pairs], len(FACTORS))
        rejected = np.repeat([pair.rejected for pair in pairs], len(FACTORS))
        lam = np.concatenate([FACTORS * pair.threshold(form, base) for pair in pairs])
        peak, _ = peak_drop(form, name, *map(jnp.asarray, (kappa, rejected, lam)))
        for number, own in enumerate(np.asarray(peak).reshape(len(pairs), -1)):
            held = own <= DELTA + HOLD
            found = FACTORS[held.argmax()] if held.any() else BEYOND
            yield row("transition", found, step=number, **keys)
            yield row("kappa", pairs[number].kappa, step=number, **keys)
            for factor, value in zip(FACTORS[SHOWN], own[SHOWN], strict=True):
                yield row(
                    "peak_drop", value, step=number, strength=factor, delta=DELTA,
                    **keys,
                )  # fmt: skip
