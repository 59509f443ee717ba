"""Plain functions give the values and derivatives of the losses they come from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab
from gradlab.errors import LossInputError
from gradlab.losses import LOSSES, plain, random_pairs, resolve, takes_sums
from gradlab.losses.terms import seq_sum
from gradlab.types import PairLogps

NAMES = [name for name, info in LOSSES.items() if not info.required]
MARGINS = ("dpo", "cdpo", "robust_dpo", "ipo", "hinge", "dpop", "sppo_hard")
TOKENS = (
    "simpo",
    "orpo",
    "averaged_dpo",
    "exmate",
    "unlikelihood_token",
    "wpo",
    "sampo",
)
PAIRS = random_pairs(3, batch=6)


def arguments(pairs: PairLogps, **changes):
    """What a plain function takes of these pairs."""
    given = {
        "chosen_logps": pairs.chosen,
        "rejected_logps": pairs.rejected,
        "ref_chosen_logps": pairs.ref_chosen,
        "ref_rejected_logps": pairs.ref_rejected,
        "chosen_mask": pairs.chosen_mask,
        "rejected_mask": pairs.rejected_mask,
        "chosen_logsumsq": pairs.chosen_logsumsq,
        "rejected_logsumsq": pairs.rejected_logsumsq,
        "chosen_keep": pairs.chosen_keep,
        "rejected_keep": pairs.rejected_keep,
        "kl_logratios": pairs.kl_logratios,
    }
    return given | changes


def sums(pairs: PairLogps):
    """The four sums over responses."""
    masks = (pairs.chosen_mask, pairs.rejected_mask) * 2
    logps = (pairs.chosen, pairs.rejected, pairs.ref_chosen, pairs.ref_rejected)
    return [seq_sum(x, mask) for x, mask in zip(logps, masks, strict=True)]


@pytest.mark.parametrize("name", NAMES)
def test_tokens_give_what_the_library_gives(name):
    loss, function = resolve(name), plain(name)
    given = arguments(PAIRS)
    np.testing.assert_array_equal(function(**given), loss(PAIRS))


@pytest.mark.parametrize("name", [name for name in NAMES if takes_sums(name)])
def test_sums_give_what_tokens_give(name):
    loss, function = resolve(name), jax.jit(plain(name))
    kl = {"kl_logratios": PAIRS.kl_logratios}
    np.testing.assert_allclose(function(*sums(PAIRS), **kl), loss(PAIRS), rtol=2e-5)


def test_both_kinds_of_loss_are_told_apart():
    assert all(takes_sums(name) for name in MARGINS)
    assert not any(takes_sums(name) for name in TOKENS)
    assert takes_sums("dpo + 0.5*ipo")
    assert not takes_sums("dpo + 0.5*exmate")
    assert takes_sums("ipo(reduction=sum)")
    assert not takes_sums("ipo(reduction=mean)")


@pytest.mark.parametrize("name", ["dpo(beta=0.3)", "simpo", "dpo + 0.5*exmate", "wpo"])
def test_derivatives_are_the_token_weights(name):
    function = plain(name)

    def total(chosen, rejected):
        given = arguments(PAIRS, chosen_logps=chosen, rejected_logps=rejected)
        return function(**given).sum()

    found = jax.jit(jax.grad(total, (0, 1)))(PAIRS.chosen, PAIRS.rejected)
    expected = gradlab.token_weights(name, PAIRS)
    np.testing.assert_allclose(found[0], expected.chosen, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found[1], expected.rejected, rtol=1e-5, atol=1e-7)


def test_the_derivative_by_a_sum_is_the_weight_of_each_token():
    chosen, rejected, *ref = sums(PAIRS)
    dpo = gradlab.plain("dpo", beta=0.3)
    found = jax.grad(lambda c: dpo(c, rejected, *ref).sum())(chosen)
    expected = gradlab.token_weights("dpo", PAIRS, beta=0.3).chosen
    np.testing.assert_allclose(found[:, None] * PAIRS.chosen_mask, expected, rtol=1e-4)


def test_a_mapped_function_knows_tokens_by_their_masks():
    one = plain("simpo")

    def of_row(chosen, rejected, chosen_mask, rejected_mask):
        masks = {"chosen_mask": chosen_mask, "rejected_mask": rejected_mask}
        return one(chosen, rejected, **masks)

    rows = (PAIRS.chosen, PAIRS.rejected, PAIRS.chosen_mask, PAIRS.rejected_mask)
    np.testing.assert_allclose(
        jax.vmap(of_row)(*rows), resolve("simpo")(PAIRS), rtol=1e-6
    )
    mapped = jax.vmap(plain("dpo"))(*sums(PAIRS))
    np.testing.assert_allclose(mapped, resolve("dpo")(PAIRS), rtol=2e-5)


def test_a_loss_of_ones_own_goes_the_same_way():
    def own(pairs: PairLogps, *, scale=2.0):
        return -scale * seq_sum(pairs.chosen, pairs.chosen_mask)

    np.testing.assert_allclose(
        plain(own, scale=3.0)(*sums(PAIRS)[:2]), -3 * sums(PAIRS)[0], rtol=1e-6
    )


S = jnp.array([-3.0])
ROW = jnp.array([[-1.0, -2.0]])


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        (
            "simpo",
            (S, S),
            "'simpo' reads tokens or lengths, sums over resp",
        ),
        ("dpo", (S, S), "'dpo' needs ref_chosen_logps, which is None"),
        ("wpo", (S, S, S, S), "'wpo' needs chosen_logsumsq"),
        (
            "dpo",
            (ROW, ROW, ROW, ROW),
            r"chosen_logps has shape \(1, 2\) and",
        ),
        ("dpo", (S, ROW[0], S, S), "expected"),
    ],
)
def test_what_is_missing_is_named(name, given, message):
    with pytest.raises(LossInputError, match=message):
        plain(name)(*given)


def test_one_mask_alone_and_unknown_arrays_are_refused():
    with pytest.raises(LossInputError, match="expected both masks"):
        plain("simpo")(ROW, ROW, chosen_mask=jnp.ones_like(ROW))
    with pytest.raises(LossInputError, match="takes no 'mask'; expected some of "):
        plain("dpo")(S, S, S, S, mask=S)
    with pytest.raises(LossInputError, match="has no hyperparameter 'betta'"):
        plain("dpo", betta=1.0)


def reads_predictions(pairs):
    return (pairs.chosen_logsumsq * pairs.chosen_mask).sum(-1)


def of_each_token(pairs):
    return pairs.chosen


@pytest.mark.parametrize("loss", [reads_predictions, of_each_token])
def test_a_loss_of_ones_own_that_reads_tokens_takes_no_sums(loss):
    assert not takes_sums(loss)
    with pytest.raises(LossInputError, match="reads tokens or lengths"):
        plain(loss)(jnp.zeros(2), jnp.zeros(2))


def test_the_fault_of_a_loss_of_ones_own_is_its_own():
    with pytest.raises(ZeroDivisionError):
        takes_sums(lambda pairs: 1 / 0)
