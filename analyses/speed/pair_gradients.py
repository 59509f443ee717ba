"""Norms of the gradients of single pairs, and inner products of all pairs of pairs.

Sides: `gradlab` goes through chunks of pairs, and for the inner products computes a
pair's gradient once per chunk instead of keeping it; `jax_vmap` and `torch_vmap` are
vmap(grad), which holds the gradients of all pairs. For the norms, gradlab also gives
those of both sides' parts, and their inner product.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from analyses.speed.config import Config
from analyses.speed.programs import Case, Program, jax_program
from analyses.speed.workload import LOSS, make_workload, parameter_count
from gradlab.gradients import pair_gram, pair_products
from gradlab.losses import resolve
from gradlab.types import Array, PairLogps, Params

SETTINGS = ("norms", "gram")


def cases(config: Config, seed: int) -> Iterator[Case]:
    """Both settings at every number of pairs, which is `size`."""
    sides = {"gradlab": _ours, "jax_vmap": _jax, "torch_vmap": _torch}
    for setting in SETTINGS:
        for count in config.pair_counts:
            yield Case(
                "pair_gradients",
                setting,
                count,
                {
                    name: partial(build, config, count, seed, setting)
                    for name, build in sides.items()
                },
                loss=LOSS,
                facts={
                    "parameters": parameter_count(config),
                    "microbatch": config.microbatch,
                },
            )


def _ours(config: Config, count: int, seed: int, setting: str) -> Program:
    work, microbatch = make_workload(config, count, seed), config.microbatch

    def norms(params: Params, tokens: Any, pairs: PairLogps) -> tuple[Array, ...]:
        _, products = pair_products(
            LOSS, work.side_logps, params, tokens, pairs, microbatch=microbatch
        )
        whole = products.whole
        parts = (whole.chosen_norm, whole.rejected_norm, whole.inner)
        return whole.total_norm[:, 0], *parts

    def gram(params: Params, tokens: Any, pairs: PairLogps) -> tuple[Array]:
        return (
            pair_gram(
                LOSS, work.pair_logps, params, tokens, pairs, microbatch=microbatch
            ),
        )

    function = norms if setting == "norms" else gram
    return jax_program(function, work.params, work.tokens, work.pairs)


def _jax(config: Config, count: int, seed: int, setting: str) -> Program:
    work, loss = make_workload(config, count, seed), resolve(LOSS)

    def of_pair(params: Params, tokens: Any, pairs: PairLogps) -> Array:
        logps = work.plain_logps(params, jnp.stack(tokens))
        one = jax.tree.map(lambda leaf: leaf[None], pairs)
        return loss(replace(one, chosen=logps[:1], rejected=logps[1:]))[0]

    def all_pairs(params: Params, tokens: Any, pairs: PairLogps) -> tuple[Array]:
        grads = jax.vmap(jax.grad(of_pair), (None, 0, 0))(params, tokens, pairs)
        rows = [g.reshape(len(g), -1) for g in jax.tree.leaves(grads)]
        if setting == "norms":
            return (jnp.sqrt(sum(jnp.sum(row * row, axis=1) for row in rows)),)
        return (sum((row @ row.T for row in rows), jnp.zeros(())),)

    return jax_program(all_pairs, work.params, work.tokens, work.pairs)


def _torch(config: Config, count: int, seed: int, setting: str) -> Program:
    from analyses.speed.torch_side import pair_gradients

    return pair_gradients(make_workload(config, count, seed), setting)
