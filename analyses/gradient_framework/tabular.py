"""A tabular policy: free logits for every prefix of one pair, exact dynamics.

    prefix (4 tokens, shared) -> first difference -> tail of 5 tokens on either side

Rows of logits: 0-3 the prefix, 4 the first difference, 5-9 the chosen tail, 10-14 the
rejected tail. Start and reference are standard normal logits.
"""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.rows import Row, row
from analyses.gradient_framework.config import Config
from gradlab.losses import resolve
from gradlab.types import Array, PairLogps

VOCAB, PREFIX, TAIL = 20, 4, 5
ROWS = PREFIX + 1 + 2 * TAIL
LENGTH = PREFIX + 1 + TAIL
CHOSEN = np.arange(LENGTH)
REJECTED = np.array([*range(PREFIX + 1), *range(PREFIX + 1 + TAIL, ROWS)])
GOOD, BAD = 0, 1  # tokens at the first difference; token 0 everywhere else


def logps_of(logits: Array) -> tuple[Array, Array]:
    """[1, 10] token log-probabilities of both responses."""
    table = jax.nn.log_softmax(logits)
    bad = jnp.zeros(LENGTH, int).at[PREFIX].set(BAD)
    chosen, rejected = table[CHOSEN, GOOD], table[REJECTED, bad]
    return chosen[None], rejected[None]


def pairs_of(logits: Array, start: Array) -> PairLogps:
    """The pair under a policy, with the start as reference."""
    now, ref = logps_of(logits), logps_of(start)
    ones = jnp.ones((1, LENGTH))
    return PairLogps(*now, ones, ones, *ref)


def start_logits(seed: int) -> Array:
    """[15, 20] standard normal."""
    rng = np.random.default_rng([seed, 20])
    return jnp.asarray(rng.normal(size=(ROWS, VOCAB)))


@partial(jax.jit, static_argnames="loss")
def descend(
    logits: Array, start: Array, rate: float, steps: int, *, loss: str
) -> Array:
    """The logits after some steps of plain gradient descent; the start is reference."""
    objective = resolve(loss)

    def step(_, logits: Array) -> Array:
        gradient = jax.grad(lambda z: objective(pairs_of(z, start))[0])(logits)
        return logits - rate * gradient

    return jax.lax.fori_loop(0, steps, step, logits)


def stops(steps: int) -> np.ndarray:
    """0 and the powers of two up to `steps`, which ends them."""
    powers = 2 ** np.arange(int(np.log2(steps)) + 1)
    return np.unique(np.concatenate([[0], powers, [steps]]))


def dynamics_rows(config: Config) -> Iterator[Row]:
    """Masses at the first difference and log-probabilities, along every run.

    Yields:
      p_good, p_bad, p_third (the likeliest other token at the start), p_prefix (mean of
      the shared tokens), prefix_logp, S_chosen, S_rejected (nats), and at the end
      prefix_gap: distance from one half of the shared token farthest from it.
    """
    at = stops(config.tabular_steps)
    for seed in config.seeds:
        start = start_logits(seed)
        for loss in config.tabular_losses:
            path = [start]
            for steps in np.diff(at).tolist():
                path.append(
                    descend(path[-1], start, config.tabular_rate, steps, loss=loss)
                )
            keys = {"kind": "tabular", "loss": loss, "seed": seed}
            for name, values in _states(jnp.stack(path)).items():
                for step, value in zip(at, values, strict=True):
                    yield row(name, value, step=step, **keys)
            gap = jnp.abs(jax.nn.softmax(path[-1])[:PREFIX, GOOD] - 0.5).max()
            yield row("prefix_gap", gap, step=config.tabular_steps, **keys)


def _states(path: Array) -> dict[str, np.ndarray]:
    """Name -> its value at every stop, from logits [stops, 15, 20]."""
    chosen, rejected = (np.asarray(side[:, 0]) for side in jax.vmap(logps_of)(path))
    fork = np.asarray(jax.nn.softmax(path[:, PREFIX]))
    third = 2 + int(fork[0, 2:].argmax())
    return {
        "p_good": fork[:, GOOD],
        "p_bad": fork[:, BAD],
        "p_third": fork[:, third],
        "p_prefix": np.exp(chosen[:, :PREFIX]).mean(1),
        "prefix_logp": chosen[:, :PREFIX].sum(1),
        "S_chosen": chosen.sum(1),
        "S_rejected": rejected.sum(1),
    }


def sign_rows(config: Config) -> Iterator[Row]:
    """S1.9 on random rows: exceptions from the signs of the first-order changes.

    With p the row, a penalty on the bad token alone changes log p_good by a positive
    factor times p_good + p_bad - sum_v p_v^2; DPO by one times 1 - p_good + p_bad.
    """
    for seed in config.seeds:
        rng = np.random.default_rng([seed, 21])
        scale = rng.uniform(0.2, 5, size=(config.rows, 1))
        logits = jnp.asarray(scale * rng.normal(size=(config.rows, VOCAB)))
        probs = np.asarray(jax.nn.softmax(logits))
        crowded = (probs**2).sum(1) > probs[:, GOOD] + probs[:, BAD]
        for name, weights, falls in (
            ("dpo", (-1.0, 1.0), np.zeros(config.rows, bool)),
            ("penalty alone", (0.0, 1.0), crowded),
        ):
            found = np.asarray(_change_of_good(logits, jnp.asarray(weights)))
            keys = {"part": "S1.9", "loss": name, "kind": "exact", "seed": seed}
            yield row("error", np.mean((found < 0) != falls), **keys)
            yield row("share_falls", np.mean(found < 0), **keys)


@jax.jit
def _change_of_good(logits: Array, weights: Array) -> Array:
    """[N] d log p_good per unit step on `weights` of the good and the bad token."""

    def one(z: Array) -> Array:
        def loss(z):
            logp = jax.nn.log_softmax(z)
            return weights @ jnp.stack([logp[GOOD], logp[BAD]])

        def good(z):
            return jax.nn.log_softmax(z)[GOOD]

        return jax.jvp(good, (z,), (-jax.grad(loss)(z),))[1]

    return jax.vmap(one)(logits)
