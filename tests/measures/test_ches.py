"""CHES: by hand, against plain PyTorch, under padding, and in Razin et al.'s theory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.errors import GradlabError
from gradlab.measures.ches import (
    LAST,
    ches,
    last_hidden_cosine,
    last_hidden_inner,
    ln_ches,
    residual_products,
    response_hidden,
)

MEASURES = (ches, ln_ches, last_hidden_inner, last_hidden_cosine)


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def states(seed=0, batch=4, width=9, dims=5):
    """Hidden states, starts and lengths of one side."""
    rng = np.random.default_rng(seed)
    start = rng.integers(1, 4, batch)
    length = rng.integers(1, width - 4, batch)
    hidden = rng.normal(size=(batch, width, dims))
    return jnp.asarray(hidden), jnp.asarray(start), jnp.asarray(length)


def test_by_hand():
    """H_c = (1, 2) from two states, H_r = (3, 0) from one."""
    chosen = jnp.array([[[9.0, 9.0], [1.0, 0.0], [0.0, 2.0], [4.0, 4.0]]])
    rejected = jnp.array([[[9.0, 9.0], [3.0, 0.0], [7.0, 7.0], [7.0, 7.0]]])
    one, two = jnp.array([1]), jnp.array([2])
    c = response_hidden(chosen, two, two)
    r = response_hidden(rejected, two, one)
    assert float(ches(c, r)[0]) == 3.0 - 5.0
    assert float(ln_ches(c, r)[0]) == 3.0 / 2 - 5.0 / 4
    assert float(last_hidden_inner(c, r)[0]) == 0.0
    c = response_hidden(chosen, two, two, last="include_final")
    r = response_hidden(rejected, two, one, last="include_final")
    # (5, 6) from three states, (10, 7) from two
    assert float(ches(c, r)[0]) == (50 + 42) - 61
    np.testing.assert_allclose(float(ln_ches(c, r)[0]), 92 / 6 - 61 / 9)
    np.testing.assert_allclose(last_hidden_cosine(c, r), 1.0)


def test_identical_responses_and_scale():
    hidden, start, length = states()
    one = response_hidden(hidden, start, length)
    np.testing.assert_allclose(ches(one, one), 0, atol=1e-12)
    np.testing.assert_allclose(ln_ches(one, one), 0, atol=1e-12)
    other = response_hidden(*states(1))
    double = [response_hidden(2 * h, s, n) for h, s, n in (states(), states(1))]
    np.testing.assert_allclose(ches(*double), 4 * ches(one, other), rtol=1e-12)
    np.testing.assert_allclose(
        last_hidden_cosine(*double), last_hidden_cosine(one, other), rtol=1e-12
    )


@pytest.mark.parametrize("last", LAST)
def test_padding_and_order_do_not_matter(last):
    plain = [response_hidden(*states(k), last=last) for k in (0, 1)]
    padded = []
    for k in (0, 1):
        hidden, start, length = states(k)
        end = start + length + (last == "include_final") - 1
        places = jnp.arange(hidden.shape[1])
        unread = (places < start[:, None] - 1) | (places >= end[:, None])
        junk = jnp.where(unread[..., None], jnp.nan, hidden)
        wide = jnp.pad(junk, [(0, 0), (3, 2), (0, 0)], constant_values=jnp.inf)
        padded.append(response_hidden(wide, start + 3, length, last=last))
    order = jnp.array([2, 0, 3, 1])
    for measure in MEASURES:
        expected = measure(*plain)
        np.testing.assert_allclose(measure(*padded), expected, rtol=1e-13)
        permuted = jax.tree.map(lambda leaf: leaf[order], plain)
        np.testing.assert_array_equal(measure(*permuted), expected[order])


def test_one_row_alone_and_in_a_batch():
    hidden, start, length = states()
    whole = response_hidden(hidden, start, length)
    for row in range(len(start)):
        stop = int(start[row] + length[row])
        alone = response_hidden(
            hidden[row : row + 1, :stop], start[row : row + 1], length[row : row + 1]
        )
        np.testing.assert_allclose(alone.total[0], whole.total[row], rtol=1e-13)


def test_half_precision_states_are_summed_in_single_precision():
    ones = jnp.full((1, 5000, 1), 1.0, jnp.bfloat16)
    total = response_hidden(ones, jnp.array([1]), jnp.array([5000])).total
    assert total.dtype == jnp.float32
    assert float(total[0, 0]) == 5000.0


def test_works_under_jit():
    jitted = jax.jit(lambda h, s, n: ches(*[response_hidden(h, s, n)] * 2))
    np.testing.assert_allclose(jitted(*states()), 0, atol=1e-12)


def test_refusals():
    hidden, start, length = states()
    with pytest.raises(GradlabError, match="last='all'"):
        response_hidden(hidden, start, length, last="all")
    for s, n in ((0 * start, length), (start, 0 * length), (start, length + 9)):
        with pytest.raises(GradlabError, match="response 0 needs hidden states"):
            response_hidden(hidden, s, n)


def free_features(seed, vocab=7, dims=4, lengths=(3, 4)):
    """Free hidden vectors, the first one shared, and an unembedding [V, D].

    Of the two responses the first tokens differ, so that no other context is shared.
    """
    rng = np.random.default_rng(seed)
    params = {
        "shared": jnp.asarray(rng.normal(size=dims)),
        "chosen": jnp.asarray(rng.normal(size=(lengths[0] - 1, dims))),
        "rejected": jnp.asarray(rng.normal(size=(lengths[1] - 1, dims))),
        "head": jnp.asarray(rng.normal(size=(vocab, dims))),
    }
    ids = {
        "chosen": np.r_[0, rng.integers(vocab, size=lengths[0] - 1)],
        "rejected": np.r_[1, rng.integers(vocab, size=lengths[1] - 1)],
    }
    return params, ids


def features(params, side):
    return jnp.concatenate([params["shared"][None], params[side]])


def seq_logp(params, ids, side):
    logps = jax.nn.log_softmax(features(params, side) @ params["head"].T)
    return jnp.take_along_axis(logps, jnp.asarray(ids[side])[:, None], 1).sum()


@pytest.mark.parametrize("seed", range(5))
def test_theorem_6_on_unconstrained_features(seed):
    """Gradient flow on S_c - S_r: dS_c/dt = ||s_c||^2 - <s_c, s_r>, written out as

    sum a+ <h, h'> - sum a- <h, h'> + sum_t ||W'r_t||^2 - <W'r_1, W'r_1'>.
    """
    params, ids = free_features(seed)
    grads = {s: jax.grad(seq_logp)(params, ids, s) for s in ("chosen", "rejected")}

    def product(one, two):
        parts = jax.tree.map(lambda x, y: jnp.sum(x * y), grads[one], grads[two])
        return sum(jax.tree.leaves(parts))

    h = {s: features(params, s) for s in ids}
    z = {s: h[s] @ params["head"].T for s in ids}
    res = {
        s: jax.nn.one_hot(ids[s], 7, dtype=float) - jax.nn.softmax(z[s]) for s in ids
    }
    pulls = {s: res[s] @ params["head"] for s in ids}
    args = {s: (z[s], jnp.asarray(ids[s])) for s in ids}
    own = jnp.sum(
        residual_products(*args["chosen"], *args["chosen"])
        * (h["chosen"] @ h["chosen"].T)
    ) + jnp.sum(pulls["chosen"] ** 2)
    cross = (
        jnp.sum(
            residual_products(*args["chosen"], *args["rejected"])
            * (h["chosen"] @ h["rejected"].T)
        )
        + pulls["chosen"][0] @ pulls["rejected"][0]
    )
    np.testing.assert_allclose(own, product("chosen", "chosen"), rtol=1e-12)
    np.testing.assert_allclose(cross, product("chosen", "rejected"), rtol=1e-11)
    # and the flow itself: the change of S_c along a small step
    step = jax.tree.map(
        lambda p, c, r: p + 1e-6 * (c - r), params, grads["chosen"], grads["rejected"]
    )
    back = jax.tree.map(
        lambda p, c, r: p - 1e-6 * (c - r), params, grads["chosen"], grads["rejected"]
    )
    moved = seq_logp(step, ids, "chosen") - seq_logp(back, ids, "chosen")
    np.testing.assert_allclose(moved / 2e-6, own - cross, rtol=1e-6)


def test_ches_is_the_hidden_part_with_all_coefficients_one():
    params, _ = free_features(3)
    h = {s: features(params, s) for s in ("chosen", "rejected")}
    sides = [
        response_hidden(h[s][None], jnp.array([1]), jnp.array([len(h[s])])) for s in h
    ]
    grams = (h["chosen"] @ h["rejected"].T).sum() - (h["chosen"] @ h["chosen"].T).sum()
    np.testing.assert_allclose(ches(*sides)[0], grams, rtol=1e-12)


def test_residual_products_lie_between_minus_two_and_two():
    rng = np.random.default_rng(0)
    logits = jnp.asarray(rng.normal(0, 20, (2, 40, 6)))
    ids = jnp.asarray(rng.integers(6, size=(2, 40)))
    a = residual_products(logits[0], ids[0], logits[1], ids[1])
    assert a.shape == (40, 40)
    assert -2 <= a.min() < -0.5
    assert 0.5 < a.max() <= 2


@pytest.mark.parity
@pytest.mark.parametrize("last", LAST)
def test_plain_torch(last):
    """One example at a time, sums of slices: how the definition reads in PyTorch."""
    torch = pytest.importorskip("torch")
    sides = [states(5), states(6)]
    ours = [response_hidden(*side, last=last) for side in sides]
    for row in range(4):
        parts = []
        for hidden, start, length in sides:
            begin, count = int(start[row]) - 1, int(length[row])
            stop = begin + count + (last == "include_final")
            parts.append(torch.tensor(np.asarray(hidden[row]))[begin:stop])
        c, r = (x.sum(0) for x in parts)
        n_c, n_r = (len(x) for x in parts)
        expected = (
            c @ r - torch.norm(c) ** 2,
            c @ r / (n_c * n_r) - torch.norm(c) ** 2 / n_c**2,
            torch.inner(parts[0][-1], parts[1][-1]),
            torch.nn.functional.cosine_similarity(parts[0][-1], parts[1][-1], dim=0),
        )
        for measure, value in zip(MEASURES, expected, strict=True):
            np.testing.assert_allclose(measure(*ours)[row], value.item(), rtol=1e-10)
