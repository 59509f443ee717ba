"""One training run of a cell, and what its policy is worth on the way."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from analyses.common.arrays import PairArrays
from analyses.common.rows import Row, row
from analyses.common.training import OPTIMISERS, epochs
from analyses.preference_pipeline.cells import (
    FREE,
    Amounts,
    Cell,
    Program,
    objective,
)
from analyses.preference_pipeline.config import Runs
from analyses.preference_pipeline.length_task import (
    padded,
    sample,
    sequence_kl,
    utility,
)
from analyses.preference_pipeline.scene import Pairs, Scene, held_seed
from gradlab.types import Array, PairLogps, Params

OPTIMISER = OPTIMISERS["adam"]


@dataclass(frozen=True)
class Found:
    """A run's rows and its policies.

    Attributes:
      policies: parameters after each stop.
      rows: of the table, without the keys of cell and seed.
    """

    policies: dict[int, Params]
    rows: list[Row]


@partial(jax.jit, static_argnames=("logps_fn", "program"))
def _advance(
    logps_fn: Callable,
    carry: tuple[Params, optax.OptState],
    given: tuple[PairArrays, PairLogps],
    order: Array,
    span: tuple[int, int],
    rate: float,
    amounts: Amounts,
    *,
    program: Program,
) -> tuple[tuple[Params, optax.OptState], Array]:
    """The steps of a span, and the share of their pairs that were beyond the budget."""
    method = OPTIMISER(rate)

    def value(theta: Params, rows: Array) -> tuple[Array, Array]:
        data, known = jax.tree.map(lambda leaf: leaf[rows], given)
        chosen, rejected = logps_fn(theta, data)
        pairs = replace(known, chosen=chosen, rejected=rejected)
        beyond = _drops(chosen, known, program.drop) > amounts.delta
        return objective(program, pairs, amounts).mean(), beyond.mean()

    def update(step: Array, carry):
        (theta, state), so_far = carry
        gradient, beyond = jax.grad(value, has_aux=True)(theta, order[step])
        change, state = method.update(gradient, state, theta)
        return (optax.apply_updates(theta, change), state), so_far + beyond

    begin, end = span
    carry, beyond = jax.lax.fori_loop(begin, end, update, (carry, jnp.float32(0.0)))
    return carry, beyond / (end - begin)


def _drops(chosen: Array, known: PairLogps, drop: str) -> Array:
    """[B] fall of the chosen side since the reference; by token: of the worst one."""
    change = chosen - jnp.asarray(known.ref_chosen)
    fallen = jnp.where(known.chosen_mask, -change, 0.0)
    if drop == "tokenwise":
        return fallen.max(-1)
    total = fallen.sum(-1)
    return total / known.chosen_mask.sum(-1) if drop == "token_mean" else total


def train_cell(scene: Scene, pairs: Pairs, cell: Cell, runs: Runs) -> Found:
    """Runs a cell; all cells of a seed see the same pairs in the same order.

    Rows at the stops: `utility` of held-out samples, `win_rate` against the
    reference's, `kl` to it and `gen_length`; at the last one also `drop_q05`, `_q50`,
    `_q95` and `_mean` (fall of the chosen side, nats), `fallen` (share of chosen sides
    below their start by a thousandth of a nat or more), `beyond` (share beyond the
    budget), `duty` (the same over all steps), `d_rejected`, `margin_right`.
    """
    rng = np.random.default_rng([scene.seed, 35])
    order = jnp.asarray(epochs(len(pairs.data), runs.steps, runs.batch, rng))
    params = scene.reference.params
    carry = (params, OPTIMISER(cell.rate).init(params))
    rows, duties, policies, begin = [], [], {}, 0
    for stop in runs.stops:
        carry, duty = _advance(
            scene.logps_fn, carry, (pairs.data, pairs.logps), order, (begin, stop),
            cell.rate, cell.amounts, program=cell.program,
        )  # fmt: skip
        duties.append((stop - begin) * float(duty))
        rows += [replace_step(found, stop) for found in _generated(scene, carry[0])]
        policies[stop], begin = carry[0], stop
    rows.append(row("duty", sum(duties) / begin, step=begin))
    found = _fallen(scene, pairs, carry[0], cell)
    return Found(policies, rows + [replace_step(one, begin) for one in found])


def replace_step(found: Row, step: int) -> Row:
    """The row at that step."""
    return {**found, "step": step}


def _generated(scene: Scene, params: Params) -> Iterator[Row]:
    model, reference = scene.reference.model, scene.reference.params
    drawn = sample(scene.task, model, params, scene.held, held_seed(scene.seed))
    worth = np.array(
        [utility(prompt, ids) for prompt, ids in zip(scene.held, drawn, strict=True)]
    )
    wins = np.sign(worth - scene.held_utilities) / 2 + 0.5
    tokens = jnp.asarray(padded(scene.task, scene.held, drawn))
    lengths = np.array([len(ids) for ids in drawn])
    start = scene.held.shape[1]
    kl = sequence_kl(model, params, reference, tokens, jnp.asarray(lengths), start)
    yield row("utility", worth.mean())
    yield row("win_rate", wins.mean())
    yield row("kl", np.mean(kl))
    yield row("gen_length", lengths.mean())


@partial(jax.jit, static_argnames="logps_fn")
def log_ratios(
    logps_fn: Callable, params: Params, data: PairArrays, known: PairLogps
) -> Array:
    """[2, N] summed log-ratios to the reference, chosen above rejected."""
    chosen, rejected = logps_fn(params, data)
    return jnp.stack(
        [
            jnp.where(known.chosen_mask, chosen - known.ref_chosen, 0.0).sum(-1),
            jnp.where(known.rejected_mask, rejected - known.ref_rejected, 0.0).sum(-1),
        ]
    )


def _fallen(scene: Scene, pairs: Pairs, params: Params, cell: Cell) -> Iterator[Row]:
    a, b = np.asarray(log_ratios(scene.logps_fn, params, pairs.data, pairs.logps))
    drop = -a
    for share in (5, 50, 95):
        yield row(f"drop_q{share:02d}", np.quantile(drop, share / 100))
    yield row("drop_mean", drop.mean())
    yield row("fallen", np.mean(drop >= 1e-3))
    yield row("d_rejected", b.mean())
    yield row("margin_right", np.mean(a > b))
    if cell.delta != FREE and cell.drop == "sequence":
        yield row("beyond", np.mean(drop > cell.delta))
