"""The smallest lambda that holds a budget, in a model where everything is linear.

Both summed log-probabilities are linear in the parameters, with score vectors s_c, s_r
of a pair. Then a step on weights (D_w, D_l) moves the log-ratios by

    da = -eta (D_w n_c + D_l <s_c, s_r>),    db = -eta (D_w <s_c, s_r> + D_l n_r)

so that the pair's path is one of two numbers. While the chosen side falls, the outside
form holds at the budget D = -a = delta if lambda >= beta sigma(-m) (kappa - 1) with
kappa = <s_c, s_r> / n_c, and the inside form if lambda >= kappa - 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.rows import Row, row
from analyses.preference_pipeline.config import Config
from gradlab.losses import bcr_added, bcr_inside
from gradlab.types import Array, PairLogps

FORMS = {"outside": bcr_added, "inside": bcr_inside}
FACTORS = np.geomspace(0.25, 4, 121)  # lambda over its predicted threshold
SHOWN = slice(None, None, 6)
BETA = 0.1
DELTA = 2.0  # nats
RATE = 0.02
STEPS = 40_000
HOLD = 0.004  # nats above the budget that a step or two may lead


@dataclass(frozen=True)
class Pair:
    """The products of a pair's score vectors, in units of n_c.

    Attributes:
      kappa: <s_c, s_r>, above 1: the chosen side falls under DPO.
      rejected: n_r, at least kappa squared.
    """

    kappa: float
    rejected: float

    def threshold(self, form: str) -> float:
        """The predicted smallest lambda that holds at D = DELTA."""
        if form == "inside":
            return self.kappa - 1
        # Until then a and b have moved in the proportion of their speeds under DPO.
        b = -DELTA * (self.rejected - self.kappa) / (self.kappa - 1)
        margin = BETA * (-DELTA - b)
        return BETA * (self.kappa - 1) / (1 + np.exp(margin))


def draw_pair(rng: np.random.Generator) -> Pair:
    """A pair whose chosen side falls."""
    kappa = rng.uniform(1.2, 3)
    return Pair(kappa, kappa**2 * rng.uniform(1.05, 1.5))


@partial(jax.jit, static_argnames=("form", "steps"))
def peak_drop(
    form: str, kappa: Array, rejected: Array, lam: Array, steps: int = STEPS
) -> tuple[Array, Array]:
    """The largest and the last drop -a of B runs, [B] nats each."""
    start = jnp.zeros_like(lam)
    ones, level = jnp.ones((len(lam), 1), bool), jnp.full((len(lam), 1), -1e3)

    def value(a: Array, b: Array) -> Array:
        pairs = PairLogps(
            level + a[:, None], level + b[:, None], ones, ones,
            ref_chosen=level, ref_rejected=level,
        )  # fmt: skip
        return FORMS[form](pairs, lam=lam, delta=DELTA, beta=BETA).sum()

    def update(carry, _):
        a, b, peak = carry
        good, bad = jax.grad(value, argnums=(0, 1))(a, b)
        a, b = (
            a - RATE * (good + bad * kappa),
            b - RATE * (good * kappa + bad * rejected),
        )
        return (a, b, jnp.maximum(peak, -a)), None

    (a, _, peak), _ = jax.lax.scan(update, (start, start, start), length=steps)
    return peak, -a


def linear_rows(config: Config, seed: int) -> Iterator[Row]:
    """Where the budget begins to hold, over the prediction, per form and instance."""
    rng = np.random.default_rng([seed, 31])
    pairs = [draw_pair(rng) for _ in range(config.instances)]
    for form in FORMS:
        keys = {"part": "linear", "loss": form, "seed": seed}
        kappa = np.repeat([pair.kappa for pair in pairs], len(FACTORS))
        rejected = np.repeat([pair.rejected for pair in pairs], len(FACTORS))
        lam = np.concatenate([FACTORS * pair.threshold(form) for pair in pairs])
        peak, _ = peak_drop(form, *map(jnp.asarray, (kappa, rejected, lam)))
        for number, own in enumerate(np.asarray(peak).reshape(len(pairs), -1)):
            held = own <= DELTA + HOLD
            found = FACTORS[held.argmax()] if held.any() else np.nan
            yield row("transition", found, step=number, **keys)
            yield row("kappa", pairs[number].kappa, step=number, **keys)
            for factor, value in zip(FACTORS[SHOWN], own[SHOWN], strict=True):
                yield row(
                    "peak_drop", value, step=number, strength=factor, delta=DELTA,
                    **keys,
                )  # fmt: skip
