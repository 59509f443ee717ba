"""Packed batches in the training step: the same step as with separate rows."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gradlab.losses import resolve
from gradlab.training.batching import Batcher
from gradlab.training.forward import make_score
from gradlab.training.order import Order
from gradlab.training.packed import PackedBatcher
from gradlab.training.rounds import response_table
from gradlab.training.step import Step, TrainState
from tests.training.cases import rows, tiny

# A common beginning in every other row.
PAIRS = [
    replace(row, rejected=row.chosen[:3] + row.rejected) if row.row % 2 else row
    for row in rows(24, seed=6)
]
ORDER = Order(PackedBatcher(PAIRS, ("chosen", "rejected"), ()).lengths(), 8, 6, (0,))


def batchers(parts):
    packed = PackedBatcher.planned(PAIRS, ORDER, max_shapes=2, parts=parts)
    return packed, Batcher.of(PAIRS, 2, parts=parts)


@pytest.mark.parametrize(("spec", "parts"), [("dpo", 1), ("wpo", 4)])
def test_a_packed_step_is_the_step(spec, parts):
    with jax.enable_x64(True):
        model, params = tiny()
        params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), params)
        loss = resolve(spec)
        squares = "chosen_logsumsq" in loss.needs_fields
        score = make_score(model, squares=squares, compute=jnp.float64)
        step = Step(score, loss, optax.sgd(0.1))
        state = TrainState.start(params, step.optimiser)
        zeros = [[np.zeros(len(p.chosen)), np.zeros(len(p.rejected))] for p in PAIRS]
        run = jax.jit(step.direction)
        found = [run(state, b.batch(ORDER.batch(0), zeros)) for b in batchers(parts)]
    for name in ("values", "sums", "weights", "grad_norm"):
        one, other = (getattr(part[2], name) for part in found)
        np.testing.assert_allclose(one, other, rtol=1e-12)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-14),
        found[0][0],
        found[1][0],
    )


def test_any_batch_finds_one_of_few_shapes():
    packed, _ = batchers(2)
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(40):
        batch = packed.batch(rng.integers(0, 24, 8))
        seen.add(jax.tree.map(np.shape, (batch.rows, batch.mask)))
        assert len(batch) == 8
    assert len(seen) <= 2


def test_the_reference_table_is_the_same():
    model, params = tiny()
    tables = [
        response_table(make_score(model), params, batcher, batch_size=8)
        for batcher in batchers(1)
    ]
    for one, other in zip(*tables, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a, b, atol=2e-5)
