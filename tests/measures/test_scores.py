"""Score products: against explicit Jacobians, and their invariances."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from gradlab.errors import GradlabError
from gradlab.gradients import token_weights
from gradlab.measures.entanglement import (
    entanglement,
    influence_of_sums,
    sequence_weights,
)
from gradlab.measures.scores import (
    batch_change,
    score_products,
    self_share,
    token_influence,
)
from gradlab.types import PairWeights
from tests.measures import tiny


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture
def setting():
    return jax.jit(tiny.logps_fn), tiny.parameters(), tiny.batch()


def jacobians(fn, params, pairs):
    """[B, T, N] of both sides."""
    flat, unravel = ravel_pytree(params)
    return jax.jacrev(lambda x: fn(unravel(x), pairs))(flat)


def jacobian_of_sums(fn, params, pairs):
    return [np.asarray(j).sum(1) for j in jacobians(fn, params, pairs)]


def close(one, two, rtol=1e-10):
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-12), one, two
    )


def test_products_equal_explicit_gradients(setting):
    fn, params, pairs = setting
    s_c, s_r = jacobian_of_sums(fn, params, pairs)
    got = score_products(fn, params, pairs)
    np.testing.assert_allclose(got.chosen, (s_c * s_c).sum(1), rtol=1e-10)
    np.testing.assert_allclose(got.rejected, (s_r * s_r).sum(1), rtol=1e-10)
    np.testing.assert_allclose(got.inner, (s_c * s_r).sum(1), rtol=1e-10)


def test_chunks_order_padding_and_route_do_not_matter(setting):
    fn, params, pairs = setting
    whole = score_products(fn, params, pairs)
    for size in (2, 4, 6):  # 4 leaves a remainder
        close(score_products(fn, params, pairs, microbatch=size), whole)
    close(score_products(lambda p: fn(p, pairs), params, microbatch=2), whole)
    order = np.array([3, 0, 5, 1, 2, 4])
    permuted = jax.tree.map(lambda leaf: leaf[order], pairs)
    close(score_products(fn, params, permuted), jax.tree.map(lambda x: x[order], whole))
    padded = {
        k: jnp.pad(v, [(0, 0), (0, 3)]) if v.ndim == 2 else v for k, v in pairs.items()
    }
    close(score_products(fn, params, padded), whole)


def test_masks_leave_tokens_out(setting):
    fn, params, pairs = setting
    first = PairWeights(*(jnp.zeros((6, tiny.WIDTH)).at[:, 0].set(1) for _ in range(2)))
    got = score_products(fn, params, pairs, masks=first)
    j_c, j_r = (np.asarray(j)[:, 0] for j in jacobians(fn, params, pairs))
    np.testing.assert_allclose(got.inner, (j_c * j_r).sum(1), rtol=1e-10)


def test_jit(setting):
    fn, params, pairs = setting
    jitted = jax.jit(lambda p, b: score_products(fn, p, b, microbatch=2))(params, pairs)
    close(jitted, score_products(fn, params, pairs))


def test_influence_of_tokens_is_that_of_sums_for_constant_weights(setting):
    fn, params, pairs = setting
    scored = tiny.pair_logps(params, pairs)
    for loss in ("dpo", "simpo"):
        weights = token_weights(loss, scored)
        by_tokens = token_influence(fn, params, weights, pairs, microbatch=2)
        slopes = sequence_weights(loss, scored)
        close(by_tokens, influence_of_sums(score_products(fn, params, pairs), *slopes))
    close(
        token_influence(lambda p: fn(p, pairs), params, weights, microbatch=3),
        by_tokens,
    )


def test_influence_of_varying_weights_equals_explicit_gradients(setting):
    fn, params, pairs = setting
    weights = token_weights("unlikelihood_token", tiny.pair_logps(params, pairs))
    j_c, j_r = (np.asarray(j) for j in jacobians(fn, params, pairs))
    g_c = -np.einsum("bt,btn->bn", weights.chosen, j_c)
    g_r = np.einsum("bt,btn->bn", weights.rejected, j_r)
    got = token_influence(fn, params, weights, pairs)
    np.testing.assert_allclose(got.chosen_own, (j_c.sum(1) * g_c).sum(1), rtol=1e-9)
    np.testing.assert_allclose(got.chosen_cross, (j_c.sum(1) * g_r).sum(1), rtol=1e-9)
    np.testing.assert_allclose(got.rejected_cross, (j_r.sum(1) * g_c).sum(1), rtol=1e-9)
    np.testing.assert_allclose(got.rejected_own, (j_r.sum(1) * g_r).sum(1), rtol=1e-9)


def test_preconditioned_conditions_predict_a_preconditioned_step(setting):
    fn, params, pairs = setting
    rng = np.random.default_rng(0)
    scale = jax.tree.map(lambda x: jnp.asarray(rng.lognormal(0, 1, x.shape)), params)
    one = jax.tree.map(lambda leaf: leaf[1:2], pairs)
    weights = token_weights("dpo", tiny.pair_logps(params, one))
    row = entanglement(token_influence(fn, params, weights, one, precondition=scale))
    plain = entanglement(token_influence(fn, params, weights, one))
    pull = jax.vjp(lambda p: fn(p, one), params)[1]
    gradient = pull((weights.chosen, weights.rejected))[0]
    eta = 1e-6

    def sums(eta):
        step = jax.tree.map(lambda p, s, g: p - eta * s * g, params, scale, gradient)
        return np.array([float(x.sum()) for x in fn(step, one)])

    change = (sums(eta) - sums(-eta)) / (2 * eta)
    expected = [float(row.chosen_change[0]), float(row.rejected_change[0])]
    np.testing.assert_allclose(change, expected, rtol=1e-6)
    assert abs(float(plain.chosen_change[0]) - expected[0]) > 0.01 * abs(expected[0])


def test_gram_route_equals_jvp_route(setting):
    """-(1/B) K w with K from explicit Jacobians; the self term is its diagonal."""
    fn, params, pairs = setting
    weights = token_weights("simpo", tiny.pair_logps(params, pairs))
    j_c, j_r = (np.asarray(j) for j in jacobians(fn, params, pairs))
    scores = np.concatenate([j_c.sum(1), j_r.sum(1)])
    each = np.einsum("bt,btn->bn", weights.chosen, j_c) + np.einsum(
        "bt,btn->bn", weights.rejected, j_r
    )
    gram = -scores @ each.T / 6  # [2B, B]: what pair j does to side i
    chosen, rejected = batch_change(lambda p: fn(p, pairs), params, weights)
    np.testing.assert_allclose(chosen, gram[:6].sum(1), rtol=1e-9)
    np.testing.assert_allclose(rejected, gram[6:].sum(1), rtol=1e-9)
    own = entanglement(token_influence(fn, params, weights, pairs)).chosen_change
    np.testing.assert_allclose(own / 6, np.diag(gram[:6]), rtol=1e-9)
    cross = gram[:6].sum(1) - np.diag(gram[:6])
    share = np.abs(np.diag(gram)) / (np.abs(np.diag(gram)) + np.abs(cross))
    np.testing.assert_allclose(self_share(own, chosen), share, rtol=1e-8)


def test_refusals(setting):
    fn, params, pairs = setting
    with pytest.raises(GradlabError, match="microbatch is 0"):
        score_products(fn, params, pairs, microbatch=0)
    with pytest.raises(GradlabError, match="structure"):
        score_products(fn, params, pairs, precondition={"a": jnp.ones(1)})
    negative = jax.tree.map(lambda x: -jnp.ones_like(x), params)
    with pytest.raises(GradlabError, match=r"precondition\[.*expected positive"):
        score_products(fn, params, pairs, precondition=negative)
    narrow = PairWeights(jnp.ones((6, 2)), jnp.ones((6, 2)))
    with pytest.raises(GradlabError, match="chosen side"):
        score_products(fn, params, pairs, masks=narrow)


@pytest.mark.parity
def test_torch_gives_the_same_products(setting):
    """The tiny model and its score gradients once more, in PyTorch."""
    torch = pytest.importorskip("torch")
    fn, params, pairs = setting
    got = score_products(fn, params, pairs)
    weights = {
        k: torch.tensor(np.asarray(v), requires_grad=True) for k, v in params.items()
    }

    def score(side, row):
        begin, count = int(pairs["start"][row]), int(pairs[f"{side}_length"][row])
        tokens = torch.tensor(np.asarray(pairs[side][row]))
        embedded = weights["embed"][tokens]
        steps = torch.arange(1, len(tokens) + 1)[:, None]
        context = embedded.cumsum(0) / steps @ weights["mix"]
        hidden = torch.tanh(embedded + context + weights["bias"])
        logps = torch.log_softmax(hidden @ weights["head"], -1)
        end = begin + count
        picked = logps[begin - 1 : end - 1].gather(1, tokens[begin:end, None])
        grads = torch.autograd.grad(picked.sum(), list(weights.values()))
        return torch.cat([g.flatten() for g in grads])

    for row in range(6):
        s_c, s_r = score("chosen", row), score("rejected", row)
        expected = ((s_c @ s_c), (s_r @ s_r), (s_c @ s_r))
        ours = (got.chosen[row], got.rejected[row], got.inner[row])
        for value, other in zip(ours, expected, strict=True):
            np.testing.assert_allclose(value, other.item(), rtol=1e-10)
