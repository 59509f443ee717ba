"""Attention in bands and head by head against the formula, derivatives included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.models import attention
from gradlab.models.attention import attend

B, T, S, K, G, C = 2, 7, 7, 2, 3, 4


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def inputs(seed=0, length=T, columns=S):
    rng = np.random.default_rng(seed)
    shapes = [(B, length, K, G, C), (B, columns, K, C), (B, columns, K, C)]
    return [jnp.asarray(rng.normal(size=shape)) for shape in shapes]


def plain(query, key, value, visible):
    """The textbook formula, one head and one query at a time."""
    visible = np.broadcast_to(visible, (B, *visible.shape[-2:]))
    rows = []
    for b in range(B):
        for k in range(K):
            for g in range(G):
                scores = query[b, :, k, g] @ key[b, :, k].T / np.sqrt(C)
                scores = jnp.where(visible[b], scores, -jnp.inf)
                rows.append(jax.nn.softmax(scores) @ value[b, :, k])
    return jnp.stack(rows).reshape(B, K, G, -1, C).transpose(0, 3, 1, 2, 4)


def causal(length=T):
    return np.tril(np.ones((length, length), bool))


def of_each_row():
    """Another visibility in each row; a query always sees itself."""
    rng = np.random.default_rng(1)
    return causal() & (rng.random((B, T, S)) < 0.7) | np.eye(T, dtype=bool)


WAYS = {"all heads at once": (2**30, 128), "head by head": (1, 128), "bands": (1, 3)}


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def _way(request, monkeypatch):
    scores, band = request.param
    monkeypatch.setattr(attention, "CACHED_SCORES", scores)
    monkeypatch.setattr(attention, "BAND", band)


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize("visible", [causal(), of_each_row()], ids=["causal", "rows"])
def test_values_and_derivatives_are_those_of_the_formula(visible):
    given, step = inputs(), inputs(seed=5)
    np.testing.assert_allclose(attend(*given, visible), plain(*given, visible))
    weights = jnp.asarray(np.random.default_rng(2).normal(size=(B, T, K, G, C)))
    found, expected = (
        jax.jit(
            lambda x, f=f: (
                jax.grad(lambda *a: jnp.sum(weights * f(*a, visible)), (0, 1, 2))(*x),
                jax.jvp(lambda *a: f(*a, visible), tuple(x), tuple(step))[1],
            )
        )(given)
        for f in (attend, plain)
    )
    for one, two in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-10, atol=1e-13)


@pytest.mark.usefixtures("_way")
def test_visibility_may_be_known_at_run_time_only():
    given = inputs()
    found = jax.jit(attend)(*given, jnp.asarray(of_each_row()))
    np.testing.assert_allclose(found, plain(*given, of_each_row()))


@pytest.mark.usefixtures("_way")
def test_what_is_not_visible_has_no_influence():
    query, key, value = inputs()

    def first_queries(value):
        return attend(query, key, value, causal())[:, :-1].sum()

    slope = jax.grad(first_queries)(value)
    assert (slope[:, -1] == 0).all()


def test_bands_leave_out_what_no_query_sees(monkeypatch):
    monkeypatch.setattr(attention, "BAND", 3)
    assert attention._bands(causal()) == [(0, 3, 3), (3, 6, 6), (6, 7, 7)]
    assert attention._bands(jnp.asarray(causal())) == [(0, T, S)]


def test_heads_that_fit_the_cache_are_taken_together():
    assert attention._heads_at_once(12, 10) == 12
    assert attention._heads_at_once(12, attention.CACHED_SCORES // 5) == 4
    assert attention._heads_at_once(12, 10 * attention.CACHED_SCORES) == 1
