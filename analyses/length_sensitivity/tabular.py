"""Optima over a few responses: what averaged and summed losses converge to.

A policy is a softmax over n responses of known lengths. The loss is averaged over all
ordered pairs with their exact Bradley-Terry probabilities and minimised by Newton's
method; the library's own loss functions are what is minimised.
"""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import expit

from analyses.common.rows import Row, row
from analyses.length_sensitivity.config import Config
from gradlab.losses import resolve
from gradlab.measures import (
    averaged_kl_optimum,
    averaged_optimum,
    averaging_operator,
    summed_optimum,
)
from gradlab.types import Array, PairLogps

# loss -> (its strength, whether it averages)
FITTED = {
    "averaged_dpo": ("beta", True),
    "dpo": ("beta", False),
    "ipo(reduction=mean)": ("tau", True),
    "ipo": ("tau", False),
}
ABSENT = -1e3  # log-probability of what fills up a smaller problem
DAMPING = (
    0.0,
    1e-8,
    1e-6,
    1e-4,
    1e-3,
    1e-2,
    0.1,
    1.0,
    10.0,
)  # of the largest curvature


def draw(config: Config, seed: int, count: int) -> list[dict[str, np.ndarray]]:
    """Problems: reference log-probabilities, rewards, lengths and a strength each."""
    rng = np.random.default_rng([seed, 21])
    found = []
    for _ in range(count):
        low, high = config.responses
        size = int(rng.integers(low, high + 1))
        lengths = rng.integers(1, config.instance_length + 1, size=size)
        found.append(
            {
                "ref": np.log(rng.dirichlet(np.ones(size))),
                "reward": rng.normal(size=size),
                "length": lengths,
                "strength": np.exp(rng.uniform(np.log(0.3), np.log(3.0))),
            }
        )
    return found


def closed_form(problem, loss: str, strength: float) -> np.ndarray:
    """[n] log-probabilities of the optimum that the loss should reach."""
    rewards = scores(problem, loss)
    if FITTED[loss][1]:
        return averaged_optimum(
            problem["ref"], rewards, problem["length"], beta=strength
        )
    return summed_optimum(problem["ref"], rewards, beta=strength)


def scores(problem, loss: str) -> np.ndarray:
    """r such that differences of r / strength are the margins that the loss wants.

    DPO's are the Bradley-Terry scores themselves; IPO, a least-squares fit of
    (p - 1/2) / tau over pairs, has the mean of p - 1/2 over the n opponents, itself
    included.
    """
    reward = problem["reward"]
    if loss.startswith("ipo"):
        return (expit(reward[:, None] - reward) - 0.5).mean(1)
    return reward


def strength_of(problem, loss: str) -> float:
    """The problem's strength, in the unit of the loss.

    Tilts of averaged losses grow with length; a strength as much larger keeps them in
    the same range.
    """
    return float(problem["strength"] * (8.0 if FITTED[loss][1] else 1.0))


def fit(problems, loss: str, config: Config) -> list[np.ndarray]:
    """[n] log-probabilities at the minimum, problem by problem."""
    size = config.responses[1]

    def padded(values, fill):
        return np.array([[*v, *[fill] * (size - len(v))] for v in values], float)

    reward = padded([p["reward"] for p in problems], 0.0)
    there = np.arange(size) < np.array([[len(p["reward"])] for p in problems])
    wins = expit(reward[:, :, None] - reward[:, None, :])
    wins *= (there[:, :, None] & there[:, None, :]) * (1 - np.eye(size))
    wins /= wins.sum(axis=(1, 2), keepdims=True)
    arrays = (
        padded([p["ref"] for p in problems], ABSENT),
        padded([p["length"] for p in problems], 1),
        wins,
        np.array([strength_of(p, loss) for p in problems]),
    )
    width = config.instance_length
    found = _minimise(*map(jnp.asarray, arrays), loss, width, config.newton)
    return [
        np.asarray(logps)[: len(problem["reward"])]
        for logps, problem in zip(found, problems, strict=True)
    ]


@partial(jax.jit, static_argnames=("loss", "width", "newton"))
def _minimise(ref, lengths, wins, strength, loss: str, width: int, newton: int):
    def one(item):
        ref, lengths, wins, strength = item
        value = partial(_pair_loss, loss=loss, strength=strength, width=width)
        size = len(ref)
        first, second = (x.ravel() for x in jnp.indices((size, size)))
        sides = (ref[first], ref[second], lengths[first], lengths[second])
        weight = wins.ravel()

        def total(logits: Array) -> Array:
            logps = jax.nn.log_softmax(logits)
            return weight @ value(jnp.stack([logps[first], logps[second]], -1), *sides)

        def step(logits: Array, _):
            slope, curve = _derivatives(value, logits, first, second, sides, weight)
            values, vectors = jnp.linalg.eigh(curve)
            size = jnp.abs(values)
            kept = size > 1e-13 * size.max()  # not the shift of all logits
            steps = [
                kept * (vectors.T @ slope) / jnp.where(kept, size + d * size.max(), 1.0)
                for d in DAMPING
            ]
            tried = logits - jnp.stack([jnp.zeros_like(logits), *steps]) @ vectors.T
            return tried[jnp.argmin(jax.lax.map(total, tried))], None

        logits, _ = jax.lax.scan(step, ref, length=newton)
        return jax.nn.log_softmax(logits)

    return jax.lax.map(one, (ref, lengths, wins, strength))


def _pair_loss(sums, ref_first, ref_second, length_first, length_second, *, loss,
               strength, width):  # fmt: skip
    """[pairs] the library's loss of responses with evenly spread log-probabilities."""

    def tokens(total, length):
        mask = jnp.arange(width) < length[:, None]
        return jnp.where(mask, (total / length)[:, None], 0.0), mask

    fields = {}
    for name, number, ref, length in (
        ("chosen", 0, ref_first, length_first),
        ("rejected", 1, ref_second, length_second),
    ):
        fields[name], fields[f"{name}_mask"] = tokens(sums[:, number], length)
        fields[f"ref_{name}"] = tokens(ref, length)[0]
    return resolve(loss, **{FITTED[loss][0]: strength})(PairLogps(**fields))


def _derivatives(value, logits, first, second, sides, weight):
    """Gradient and Hessian of the total loss in the logits, from those of each pair.

    With logps = logits - lse(logits): J = 1 - (ones) pi^T, and lse has the Hessian
    diag(pi) - pi pi^T.
    """
    logps, probs = jax.nn.log_softmax(logits), jax.nn.softmax(logits)
    pairs = jnp.stack([logps[first], logps[second]], -1)

    def gradient(pairs):
        return jax.grad(lambda p: value(p, *sides).sum())(pairs)

    slopes = gradient(pairs)
    curves = [
        jax.jvp(gradient, (pairs,), (jnp.zeros_like(pairs).at[:, k].set(1.0),))[1]
        for k in (0, 1)
    ]
    size, ends = len(logits), (first, second)
    slope, curve = jnp.zeros(size), jnp.zeros((size, size))
    for k, end in enumerate(ends):
        slope = slope.at[end].add(weight * slopes[:, k])
        for j, other in enumerate(ends):
            curve = curve.at[end, other].add(weight * curves[k][:, j])
    jacobian = jnp.eye(size) - probs[None]
    bend = slope.sum() * (jnp.diag(probs) - jnp.outer(probs, probs))
    return jacobian.T @ slope, jacobian.T @ curve @ jacobian - bend


def tabular_rows(config: Config, seed: int) -> Iterator[Row]:
    """Errors of the optima, residuals of the operator, and distances between optima."""
    problems = draw(config, seed, config.instances)
    for loss, (_, averaged) in FITTED.items():
        count = (
            config.instances if loss == "averaged_dpo" else -(-config.instances // 4)
        )
        keys = {"kind": "tabular", "loss": loss, "seed": seed}
        some = problems[:count]
        for number, (problem, logps) in enumerate(
            zip(some, fit(some, loss, config), strict=True)
        ):
            strength = strength_of(problem, loss)
            expected = closed_form(problem, loss, strength)
            error = np.abs(logps - expected).max()
            yield row("optimum_error", error, pair=number, **keys)
            if averaged:
                yield from _operator_rows(problem, loss, expected, number, keys)
            if seed == config.seeds[0] and number < 3:
                yield from _shown(problem, loss, logps, expected, number, keys)
    yield from _distance_rows(problems, seed)


def _operator_rows(problem, loss, expected, number, keys) -> Iterator[Row]:
    again = averaging_operator(
        expected,
        problem["ref"],
        scores(problem, loss),
        problem["length"],
        beta=strength_of(problem, loss),
    )
    yield row("fixed_point_error", np.abs(again - expected).max(), pair=number, **keys)


def _shown(problem, loss, logps, expected, number, keys) -> Iterator[Row]:
    """Single responses for the figure: closed form, fit, averaged-KL optimum."""
    columns = {"fitted": logps, "closed": expected}
    if loss == "averaged_dpo":
        columns["averaged_kl"] = averaged_kl_optimum(
            problem["ref"],
            problem["reward"],
            problem["length"],
            beta=strength_of(problem, loss),
        )
    for place, length in enumerate(problem["length"]):
        for metric, values in columns.items():
            yield row(
                f"logp_{metric}", values[place], pair=number, quantity=f"y{place}",
                L_c=int(length), **keys,
            )  # fmt: skip


def _distance_rows(problems, seed: int) -> Iterator[Row]:
    """Total variation between averaged DPO's optimum and that of averaged KL."""
    keys = {"kind": "tabular", "loss": "averaged_dpo", "seed": seed}
    for number, problem in enumerate(problems):
        beta = strength_of(problem, "averaged_dpo")
        for part, lengths in (
            ("any lengths", problem["length"]),
            ("equal lengths", np.full(len(problem["length"]), problem["length"][0])),
        ):
            optima = [
                np.exp(optimum(problem["ref"], problem["reward"], lengths, beta=beta))
                for optimum in (averaged_optimum, averaged_kl_optimum)
            ]
            distance = np.abs(optima[0] - optima[1]).sum() / 2
            yield row("tv_optimum", distance, pair=number, part=part, **keys)
