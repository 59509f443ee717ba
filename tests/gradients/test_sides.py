"""The two parts of a loss gradient against plain autodiff and finite differences."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.errors import GradlabError
from gradlab.gradients import (
    parameter_groups,
    side_gradients,
    side_products,
    token_weights,
)
from gradlab.gradients.groups import tree_inner
from gradlab.losses import LOSSES, resolve
from gradlab.types import PairLogps
from tests.gradients.models import SIDES, B, flat, make_case, take
from tests.losses.cases import one_setting, random_pairs


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def batch_loss(case, loss, params, **hyper):
    chosen, rejected = case.logps_fn(params)
    given = replace(case.pairs, chosen=chosen, rejected=rejected)
    return jnp.mean(resolve(loss, **hyper)(given))


def sides_of(case, loss="dpo", **hyper):
    fn = case.logps_fn
    split = jax.jit(lambda p: side_gradients(loss, fn, p, case.pairs, **hyper))
    return split(case.params)


@pytest.mark.parametrize("loss", LOSSES)
def test_parts_add_up_to_the_gradient_of_every_loss(loss):
    """On a table of logits that both sides share; the decoder follows below."""
    hyper = one_setting(loss)
    rng = np.random.default_rng(0)
    theta = jnp.asarray(rng.normal(size=(4, 6)))
    pairs = random_pairs(1)
    rows, ids = (
        [rng.integers(n, size=getattr(pairs, side).shape) for side in SIDES]
        for n in theta.shape
    )

    def logps_fn(theta):
        table = jax.nn.log_softmax(theta)
        return tuple(table[r, i] for r, i in zip(rows, ids, strict=True))

    def mean_loss(theta):
        chosen, rejected = logps_fn(theta)
        given = replace(pairs, chosen=chosen, rejected=rejected)
        return jnp.mean(resolve(loss, **hyper)(given))

    sides = side_gradients(loss, logps_fn, theta, pairs, **hyper)
    whole = jax.grad(mean_loss)(theta)
    np.testing.assert_allclose(sides.total, whole, rtol=1e-12, atol=1e-14)
    for part, other in (("chosen", "rejected"), ("rejected", "chosen")):
        pull = jax.vjp(logps_fn, theta)[1]
        scored = replace(pairs, **dict(zip(SIDES, logps_fn(theta), strict=True)))
        weights = token_weights(loss, scored, **hyper)
        weights = replace(weights, **{other: 0 * getattr(weights, other)})
        expected = pull((weights.chosen / B, weights.rejected / B))[0]
        np.testing.assert_allclose(getattr(sides, part), expected, atol=1e-14)


@pytest.mark.parametrize("config", ["toy", "small"])
def test_parts_add_up_under_a_model(config):
    loss = "unlikelihood_token"
    case = make_case(config)
    sides = sides_of(case, loss)
    whole = jax.jit(jax.grad(lambda p: batch_loss(case, loss, p)))(case.params)
    np.testing.assert_allclose(flat(sides.total), flat(whole), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("config", ["toy", "small"])
def test_parts_equal_finite_differences(config):
    """Each part is the derivative when the other side's log-probs are held."""
    case = make_case(config)
    sides = sides_of(case, "simpo")
    held = case.logps_fn(case.params)
    rng = np.random.default_rng(1)
    leaves, tree = jax.tree.flatten(case.params)

    @jax.jit
    def loss(params, side):
        logps = case.logps_fn(params)
        chosen = jnp.where(side == 0, logps[0], held[0])
        rejected = jnp.where(side == 1, logps[1], held[1])
        given = replace(case.pairs, chosen=chosen, rejected=rejected)
        return jnp.mean(resolve("simpo")(given))

    for side, part in enumerate((sides.chosen, sides.rejected)):
        for _ in range(10):
            number = rng.integers(len(leaves))
            where = tuple(rng.integers(n) for n in leaves[number].shape)

            def moved(h, number=number, where=where):
                changed = list(leaves)
                changed[number] = leaves[number].at[where].add(h)
                return jax.tree.unflatten(tree, changed)

            step = 1e-5
            slope = (loss(moved(step), side) - loss(moved(-step), side)) / (2 * step)
            got = jax.tree.leaves(part)[number][where]
            np.testing.assert_allclose(got, slope, rtol=1e-6, atol=1e-9)


def test_a_coupled_loss_is_split_over_the_batch():
    case = make_case()
    sides = sides_of(case, "exmate", reduction="batch")
    loss = resolve("exmate", reduction="batch")
    whole = jax.jit(jax.grad(lambda p: batch_loss(case, loss, p)))(case.params)
    np.testing.assert_allclose(flat(sides.total), flat(whole), rtol=1e-12, atol=1e-13)


def test_sum_is_b_times_the_mean():
    case = make_case()
    mean, total = sides_of(case), sides_of(case, batch_reduction="sum")
    np.testing.assert_allclose(flat(total.chosen), B * flat(mean.chosen), rtol=1e-12)
    with pytest.raises(GradlabError, match="batch_reduction is 'max'"):
        sides_of(case, batch_reduction="max")


def test_swapping_the_responses_swaps_the_parts():
    """With weights that only depend on position: one nat up, one nat down."""
    case = make_case(widths=(5, 5))

    def margin(pairs):
        chosen = jnp.sum(pairs.chosen * pairs.chosen_mask, -1)
        return jnp.sum(pairs.rejected * pairs.rejected_mask, -1) - chosen

    sides = sides_of(case, margin)
    swapped = PairLogps(
        **{
            name: getattr(case.pairs, other)
            for name, other in (
                ("chosen", "rejected"),
                ("rejected", "chosen"),
                ("chosen_mask", "rejected_mask"),
                ("rejected_mask", "chosen_mask"),
            )
        }
    )
    data = {"chosen": case.data["rejected"], "rejected": case.data["chosen"]}
    other = sides_of(replace(case, data=data, pairs=swapped), lambda p: -margin(p))
    np.testing.assert_allclose(flat(other.chosen), flat(sides.rejected), atol=1e-14)
    np.testing.assert_allclose(flat(other.rejected), flat(sides.chosen), atol=1e-14)


def test_padding_and_order_do_not_matter():
    expected = sides_of(make_case())
    for case in (make_case(pad=3), take(make_case(), [2, 0, 1])):
        got = sides_of(case)
        for part in ("chosen", "rejected"):
            np.testing.assert_allclose(
                flat(getattr(got, part)),
                flat(getattr(expected, part)),
                rtol=1e-11,
                atol=1e-14,
            )


def test_groups_add_up_to_the_whole():
    sides = sides_of(make_case("untied"))
    products = side_products(sides)
    np.testing.assert_allclose(
        products.inner.sum(), tree_inner(sides.chosen, sides.rejected), rtol=1e-12
    )
    whole = products.whole
    chosen, rejected, total = (
        flat(x) for x in (sides.chosen, sides.rejected, sides.total)
    )
    norms = [np.linalg.norm(x) for x in (chosen, rejected, total)]
    np.testing.assert_allclose(whole.chosen_norm[0], norms[0], rtol=1e-12)
    np.testing.assert_allclose(whole.rejected_norm[0], norms[1], rtol=1e-12)
    np.testing.assert_allclose(whole.total_norm[0], norms[2], rtol=1e-12)
    cosine = chosen @ rejected / norms[0] / norms[1]
    np.testing.assert_allclose(whole.cosine[0], cosine, rtol=1e-12)
    np.testing.assert_allclose(
        whole.cancellation[0], (norms[0] + norms[1]) / norms[2], rtol=1e-12
    )
    np.testing.assert_allclose(products.share.sum(), 1.0, rtol=1e-12)


def test_a_tied_embedding_is_one_leaf_and_holds_both_uses():
    """Untying by copying halves the gradient between two leaves; the sum is ours."""
    case = make_case("small")
    names = parameter_groups(case.params)
    assert names.count("embedding") == 1
    assert "head" not in names
    tied = sides_of(case).chosen["embed"]["embedding"]
    outer = jax.tree.map(lambda x: x, case.params)

    def untied(table, head):
        params = outer | {"embed": {"embedding": table}}
        model = replace(case.model, head=lambda _: head.T)
        return replace(case, model=model).batch_logps(params, case.data)

    table = case.params["embed"]["embedding"]
    logps, pull = jax.vjp(untied, table, table)
    given = replace(case.pairs, chosen=logps[0], rejected=logps[1])

    def total(chosen):
        return jnp.mean(resolve("dpo")(replace(given, chosen=chosen)))

    weights = jax.grad(total)(logps[0])
    first, second = pull((weights, jnp.zeros_like(logps[1])))
    np.testing.assert_allclose(tied, first + second, rtol=1e-10, atol=1e-13)
    assert jnp.linalg.norm(first) > 1e-4
    assert jnp.linalg.norm(second) > 1e-4


def test_one_linearisation_costs_no_more_than_an_ordinary_gradient():
    """Flops of the two parts against jax.grad of the same loss."""
    case = make_case("small")
    split = jax.jit(
        lambda p: side_gradients("dpo", case.logps_fn, p, case.pairs)
    ).lower(case.params)
    plain = jax.jit(jax.grad(lambda p: batch_loss(case, "dpo", p))).lower(case.params)
    flops = [x.compile().cost_analysis()["flops"] for x in (split, plain)]
    assert flops[0] <= 1.2 * flops[1]


def test_a_kernel_with_a_reverse_rule_alone_still_works():
    @jax.custom_vjp
    def square(x):
        return -(x**2)

    square.defvjp(lambda x: (-(x**2), x), lambda x, g: (-2 * x * g,))
    ones = jnp.ones((1, 1))
    pairs = PairLogps(-ones, -ones, ones, ones, -ones, -ones)

    def logps_fn(theta):
        return square(theta)[None, :1], square(theta)[None, 1:]

    sides = side_gradients("dpo", logps_fn, jnp.array([1.0, 2.0]), pairs, beta=0.1)
    assert sides.chosen[1] == 0
    assert sides.rejected[0] == 0
    assert sides.chosen[0] > 0
    assert sides.rejected[1] < 0
