"""What the algebra says of pairs that are nearly the same, checked in float64.

Shared logits: at every position both contexts read one row of logits, shifted by a
fixed vector of their own. So one update moves both, and the loss's pull on the logit of
the token y that both responses have there can be written down:

    before the difference   0                     the contexts agree too
    at it                   +  for the chosen, -  for the rejected token
    after it                p_r - p_c             times beta s(-m): DPO
                            lam (1 - p_c) + p_r - p_c     with the penalty active
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.rows import Row, row
from analyses.edit_distance import control
from gradlab.gradients import token_weights
from gradlab.losses import resolve
from gradlab.types import Array, PairLogps

LENGTH, LETTERS, FIRST = 12, 7, 4
BETA, LAM = 0.3, 5.0
PLACEMENTS = ("dpo", "dpop", "dpop_outside", "dpop_inside_nobeta")


@dataclass(frozen=True)
class SharedLogits:
    """A pair whose contexts share logits.

    Attributes:
      logits: [T, V] the shared part, which is trained.
      shifts: [2, T, V] of the chosen and of the rejected context; equal up to and with
        the first difference.
      tokens: [2, T] they differ at `FIRST` alone.
    """

    logits: Array
    shifts: Array
    tokens: np.ndarray

    def pairs(self, logits: Array, fallen: float) -> PairLogps:
        """Log-probabilities of the pair, [1, T].

        Args:
          logits: of the policy, in place of `logits`.
          fallen: by how much the chosen response is less likely than under the
            reference, in nats, on its last token.
        """
        sides = jax.nn.log_softmax(logits + self.shifts)
        chosen, rejected = (
            jnp.take_along_axis(side, jnp.asarray(ids)[:, None], -1)[:, 0][None]
            for side, ids in zip(sides, self.tokens, strict=True)
        )
        reference = [jax.lax.stop_gradient(side) for side in (chosen, rejected)]
        reference[0] = reference[0].at[:, -1].add(fallen)
        mask = jnp.ones_like(chosen)
        return PairLogps(
            chosen, rejected, mask, mask,
            ref_chosen=reference[0], ref_rejected=reference[1],
        )  # fmt: skip


def draw_shared(rng: np.random.Generator) -> SharedLogits:
    """A random pair with one difference."""
    logits = rng.normal(size=(LENGTH, LETTERS))
    shifts = rng.normal(size=(2, LENGTH, LETTERS))
    shifts[1, : FIRST + 1] = shifts[0, : FIRST + 1]
    tokens = np.tile(rng.integers(LETTERS, size=LENGTH), (2, 1))
    tokens[1, FIRST] = (tokens[0, FIRST] + rng.integers(1, LETTERS)) % LETTERS
    return SharedLogits(jnp.asarray(logits), jnp.asarray(shifts), tokens)


def shared_errors(pair: SharedLogits) -> dict[str, float]:
    """Largest deviation of autodiff from the closed forms; and wrong signs at the edit.

    Returns:
      For "dpo" and "dpop" the error of the pull on y's logit, before and after; and
      "at", how many of the two tokens at the difference are pulled the wrong way.
    """
    probabilities = jnp.exp(jax.nn.log_softmax(pair.logits + pair.shifts))
    p_c, p_r = (
        jnp.take_along_axis(side, jnp.asarray(pair.tokens[0])[:, None], -1)[:, 0]
        for side in probabilities
    )
    later = np.arange(LENGTH) > FIRST
    found: dict[str, float] = {"at": 0.0}
    for name, fallen, lam in (("dpo", 0.0, 0.0), ("dpop", 0.5, LAM)):
        loss = f"dpo(beta={BETA})" if name == "dpo" else f"dpop(beta={BETA}, lam={LAM})"

        def value(logits: Array, loss: str = loss, fallen: float = fallen) -> Array:
            return resolve(loss)(pair.pairs(logits, fallen)).sum()

        pull = -jax.grad(value)(pair.logits)
        own = jnp.take_along_axis(pull, jnp.asarray(pair.tokens[0])[:, None], -1)[:, 0]
        h = -fallen
        scale = BETA * jax.nn.sigmoid(-BETA * (h - lam * fallen))
        before = lam * (1 - p_c) * scale
        closed = jnp.where(later, before + (p_r - p_c) * scale, before)
        found[name] = float(jnp.abs(own - closed)[np.arange(LENGTH) != FIRST].max())
        good, bad = (pull[FIRST, ids[FIRST]] for ids in pair.tokens)
        found["at"] += float(good <= 0) + float(name == "dpo" and bad >= 0)
    return found


def single_pair(a: Array, b: Array) -> PairLogps:
    """Pairs of one token whose log-ratios are a and b, [B, 1]."""
    zeros = jnp.zeros((len(a), 1))
    return PairLogps(
        -50 + a[:, None], -50 + b[:, None], zeros + 1, zeros + 1,
        ref_chosen=zeros - 50, ref_rejected=zeros - 50,
    )  # fmt: skip


def slope(loss: str | Callable, a: Array, b: Array) -> tuple[Array, Array]:
    """dL/dS of both sides at log-ratios a and b, [B] each."""
    weights = token_weights(loss, single_pair(a, b))
    return weights.chosen[:, 0], weights.rejected[:, 0]


def placement_errors(rng: np.random.Generator) -> np.ndarray:
    """Slopes of the penalty's placements against their closed forms, beta .3, lam 50.

    Inside: |D_w| = beta (1 + lam) s(-m), at most beta (1 + lam), and it fades as the
    margin grows. Outside: beta s(-m) + lam, at least lam however far the pair is apart.

    Returns:
      Deviations, and 1 for every bound that is broken.
    """
    a, b = -jnp.asarray(rng.gamma(1, 2, 64)), jnp.asarray(rng.normal(0, 3, 64))
    beta, lam = 0.3, 50.0
    inside = beta * (1 + lam) * jax.nn.sigmoid(-beta * (a - b + lam * a))
    outside = beta * jax.nn.sigmoid(-beta * (a - b)) + lam
    far = slope("dpop(beta=0.3, lam=50)", a, -(1 + lam) * jnp.abs(a) - 200)[0]
    found = {
        "inside": slope("dpop(beta=0.3, lam=50)", a, b)[0],
        "outside": slope("dpop_outside(beta=0.3, lam=50)", a, b)[0],
    }
    broken = [
        jnp.any(-found["inside"] > beta * (1 + lam) * (1 + 1e-12)),
        jnp.any(-far > 1e-20),
        jnp.any(-found["outside"] < lam),
    ]  # fmt: skip
    deviations = jnp.concatenate([found["inside"] + inside, found["outside"] + outside])
    return np.append(np.asarray(deviations), [float(part) for part in broken])


def tie_errors() -> np.ndarray:
    """The first update of a run by the rule at a = 0: -.15, -3.9, -7.65, factor 51."""
    zero = jnp.zeros(1)
    rules = ("dpop", control.dpop_maximum, control.dpop_clamp)
    found = [float(slope(rule, zero, zero)[0][0]) for rule in rules]
    wanted = [-0.15, -3.9, -7.65]
    return np.append(np.subtract(found, wanted), found[2] / found[0] - 51)


def margin_errors(rng: np.random.Generator) -> np.ndarray:
    """1 for each draw that breaks the rule on when a step can lower the margin.

    A step along (1 + lam) s_c - s_r changes the margin by
    (1 + lam) n_c - (2 + lam) <s_c, s_r> + n_r, which some ratio of the norms makes
    negative if and only if cos > 2 sqrt(1 + lam) / (2 + lam). The ratio where it is
    least is tried, and others.
    """
    lam = rng.gamma(1.0, 10.0, 200)
    cosine = rng.uniform(-1, 1, 200)
    bound = 2 * np.sqrt(1 + lam) / (2 + lam)
    least = (2 + lam) * cosine / (2 * (1 + lam))
    ratios = np.stack([np.maximum(least, 1e-9), *rng.gamma(1, 1, (50, 200))])
    change = (1 + lam) * ratios**2 - (2 + lam) * cosine * ratios + 1
    return ((change < 0).any(0) != (cosine > bound)).astype(float)


def theory_rows(seed: int, draws: int = 20) -> Iterator[Row]:
    """Errors of the identities.

    Yields:
      shared_dpo, shared_dpop, shared_at; placement_error; tie_error; margin_error:
      largest errors; shared_at counts the wrong signs of a draw, margin_error is 1 if
      some draw breaks the rule.
    """
    rng = np.random.default_rng([seed, 11])
    found = [shared_errors(draw_shared(rng)) for _ in range(draws)]
    for name in ("dpo", "dpop", "at"):
        largest = max(errors[name] for errors in found)
        yield row(f"shared_{name}", largest, seed=seed)
    for name, errors in (
        ("placement_error", placement_errors(rng)), ("tie_error", tie_errors()),
        ("margin_error", margin_errors(rng)),
    ):  # fmt: skip
        yield row(name, np.abs(errors).max(), seed=seed)


def ratio_rows() -> Iterator[Row]:
    """weight_ratio: chosen over rejected slope at h_r = -2, over x = h_c in nats."""
    at = jnp.linspace(-3, 2, 26)
    for loss in PLACEMENTS:
        chosen, rejected = slope(loss, at, jnp.full_like(at, -2.0))
        for x, value in zip(at, -chosen / rejected, strict=True):
            yield row("weight_ratio", value, loss=loss, x=float(x))
