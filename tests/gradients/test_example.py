"""Gradients of single pairs against batches of one, and their memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.errors import GradlabError, LossInputError
from gradlab.gradients import (
    pair_products,
    score_sum,
    side_gradients,
    side_products,
)
from gradlab.losses import resolve
from tests.gradients.models import B, flat, make_case, take

FIELDS = ("chosen_sq", "rejected_sq", "total_sq", "inner")


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def products(case, loss="dpo", **options):
    run = jax.jit(
        lambda p: pair_products(
            loss, case.batch_logps, p, case.data, case.pairs, **options
        )
    )
    return run(case.params)


@pytest.mark.parametrize("microbatch", [1, 2, 8])
def test_equals_one_pair_at_a_time(microbatch):
    case = make_case()
    values, got = products(case, microbatch=microbatch)
    assert got.inner.shape == (B, len(got.groups))
    for i in range(B):
        one = take(case, [i])
        split = jax.jit(
            lambda p, one=one: side_gradients("dpo", one.logps_fn, p, one.pairs)
        )
        sides = split(one.params)
        expected = side_products(sides)
        np.testing.assert_allclose(values[i], sides.values[0], rtol=1e-12)
        for field in FIELDS:
            np.testing.assert_allclose(
                getattr(got, field)[i], getattr(expected, field), rtol=1e-9, atol=1e-18
            )


def test_order_and_padding_do_not_matter():
    _, expected = products(make_case())
    order = [2, 0, 1]
    _, moved = products(take(make_case(), order))
    _, padded = products(make_case(pad=3))
    for field in FIELDS:
        value = getattr(expected, field)
        np.testing.assert_allclose(getattr(padded, field), value, rtol=1e-9)
        np.testing.assert_allclose(getattr(moved, field), value[jnp.array(order)])


def test_score_sum_gives_the_score_gradients():
    case = make_case(batch=1)
    _, got = products(case, score_sum)
    for side, field in enumerate(("chosen_norm", "rejected_norm")):
        score = jax.grad(lambda p, side=side: jnp.sum(case.logps_fn(p)[side]))
        norm = np.linalg.norm(flat(jax.jit(score)(case.params)))
        np.testing.assert_allclose(getattr(got.whole, field)[0, 0], norm, rtol=1e-10)


def test_a_coupled_loss_is_refused():
    case = make_case()
    loss = resolve("exmate", reduction="batch")
    with pytest.raises(LossInputError, match=r"'exmate\(reduction=batch\)' couples"):
        products(case, loss)
    with pytest.raises(GradlabError, match="microbatch is 0"):
        products(case, microbatch=0)
    with pytest.raises(GradlabError, match="leading axis of 3 pairs"):
        pair_products(
            "dpo", case.batch_logps, case.params, [jnp.ones((2, 4))], case.pairs
        )


def test_memory_is_that_of_one_chunk_whatever_the_number_of_pairs():
    sizes = []
    for batch in (4, 32):
        case = make_case("small", batch=batch)
        run = jax.jit(
            lambda p, data, pairs, case=case: pair_products(
                "dpo", case.batch_logps, p, data, pairs, microbatch=4
            )
        )
        compiled = run.lower(case.params, case.data, case.pairs).compile()
        sizes.append(compiled.memory_analysis().temp_size_in_bytes)
    assert sizes[1] <= 1.3 * sizes[0]
