"""Gradients on the parameters: who falls (S1.12), and shared prefixes (S1.8).

A loss of the sums S_c and S_r alone pulls with a = -dL/dS_c and pushes with
b = dL/dS_r. To first order its step lowers the chosen response iff
b <s_c, s_r> > a n_c: the ratio b/a must exceed n_c / <s_c, s_r>.
"""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.arrays import PairArrays
from analyses.common.rows import Row, per_pair, row
from analyses.gradient_framework.config import Config
from analyses.gradient_framework.g2 import Course
from gradlab.gradients import token_weights
from gradlab.gradients.groups import tree_norm
from gradlab.losses import resolve
from gradlab.measures import score_products
from gradlab.types import PairLogps, Params


def condition_rows(config: Config, course: Course) -> Iterator[Row]:
    """Held-out pairs under the common start, in float64.

    Yields:
      threshold: per pair, n_c / <s_c, s_r>; infinite ones (no coupling) are left out.
      ratio: per pair and loss, b / a.
      sign_errors, signs_compared: of the steps, outside the band.
      share_falls: of the pairs, by their own step.
    """
    logps_fn = course.runner.logps_fn
    for seed, params, data in _of_seeds(config, course):
        keys = {"kind": "g2", "seed": seed, "part": "condition"}
        chosen, rejected = logps_fn(params, data)
        masks = data.mask(chosen.shape[-1])
        pairs = PairLogps(chosen, rejected, masks[0], masks[1], chosen, rejected)
        products = _products(logps_fn, params, data)
        coupled = np.asarray(products.inner) > 0
        threshold = np.asarray(products.chosen / products.inner)
        yield from per_pair("threshold", threshold[coupled], **keys)
        for loss in config.condition_losses:
            weights = token_weights(loss, pairs)
            pull, push = -weights.chosen[:, 0], weights.rejected[:, 0]
            both = (weights.chosen, weights.rejected)
            real = _own_steps(logps_fn, params, data, both, config.own_step)
            own, cross = pull * products.chosen, push * products.inner
            clear = np.abs(own - cross) > config.sign_band * (own + np.abs(cross))
            wrong = (np.asarray(real) < 0) != np.asarray(cross > own)
            given = {"loss": loss, **keys}
            yield from per_pair("ratio", push / pull, **given)
            yield row("sign_errors", (wrong & clear).sum(), **given)
            yield row("signs_compared", clear.sum(), **given)
            yield row("share_falls", (np.asarray(real) < 0).mean(), **given)


def _of_seeds(
    config: Config, course: Course
) -> Iterator[tuple[int, Params, PairArrays]]:
    """Seed, the common start in float64, and its first held-out pairs."""
    for number, seed in enumerate(course.scene.seeds):
        params = jax.tree.map(lambda x, i=number: x[i].astype(float), course.start)
        held = jax.tree.map(lambda x, i=number: jnp.asarray(x[i]), course.scene.held)
        yield seed, params, held.take(slice(config.condition_pairs))


@partial(jax.jit, static_argnames="logps_fn")
def _products(logps_fn, params: Params, data: PairArrays):
    return score_products(logps_fn, params, data)


@partial(jax.jit, static_argnames="logps_fn")
def _own_steps(logps_fn, params: Params, data: PairArrays, weights, size: float):
    """[N] change of S_c when each pair takes a step of its own, of relative size."""

    def one(given):
        pair, both = jax.tree.map(lambda leaf: leaf[None], given)
        before, pull = jax.vjp(lambda theta: logps_fn(theta, pair), params)
        gradient = pull(both)[0]
        scale = size * tree_norm(params) / tree_norm(gradient)
        moved = jax.tree.map(lambda p, g: p - scale * g, params, gradient)
        return (logps_fn(moved, pair)[0] - before[0]).sum()

    return jax.lax.map(one, (data, weights))


def prefix_rows(config: Config, course: Course) -> Iterator[Row]:
    """S1.8 on parameters: DPO's gradient is the same with the shared prefix held fixed.

    Yields:
      error: norm of the difference over that of the gradient, per seed.
    """
    logps_fn = course.runner.logps_fn
    for seed, params, data in _of_seeds(config, course):
        full, held = (_gradient(logps_fn, params, data, h) for h in (False, True))
        gap = jax.tree.map(jnp.subtract, full, held)
        yield row(
            "error", tree_norm(gap) / tree_norm(full), part="S1.8", kind="parameters",
            loss="dpo", seed=seed,
        )  # fmt: skip


@partial(jax.jit, static_argnames="logps_fn")
def _gradient(logps_fn, params: Params, data: PairArrays, hold: bool) -> Params:
    """Of mean DPO; with `hold` no gradient flows through shared tokens."""
    reference = logps_fn(params, data)
    width = reference[0].shape[-1]
    first = data.chosen.shape[1] - width
    equal = jnp.cumprod(data.chosen == data.rejected, axis=1)[:, first:] > 0

    def loss(theta: Params):
        sides = logps_fn(theta, data)
        kept = [jnp.where(equal, jax.lax.stop_gradient(x), x) for x in sides]
        sides = [jnp.where(hold, x, y) for x, y in zip(kept, sides, strict=True)]
        masks = data.mask(width)
        given = PairLogps(sides[0], sides[1], masks[0], masks[1], *reference)
        return resolve("dpo")(given).mean()

    return jax.grad(loss)(params)
