"""The decoder: against a numpy oracle, causal, invariant, clean in float64."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gradlab.errors import GradlabError
from gradlab.models import Decoder, attention, build
from gradlab.models.attention import attend, rotate, turns_of
from gradlab.models.layout import running
from tests.models import oracle
from tests.models.cases import CONFIGS, GPT2, LLAMA, lively, random_tokens

ALL = pytest.mark.parametrize("name", CONFIGS)


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


@ALL
def test_equals_the_numpy_oracle(name, x64):
    config = CONFIGS[name]
    model, params = build(config, dtype=jnp.float64)
    params = lively(params)
    tokens = np.asarray(random_tokens(config, 1, 9))
    expected = oracle.logits(config, jax.tree.map(np.asarray, params), tokens[0])
    found = jax.jit(model.apply)(params, tokens)[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)
    assert np.abs(expected).max() > 1  # the comparison is not one of zeros


@pytest.mark.parametrize("ways", [{}, {"scan": True, "remat": True}])
def test_a_long_text_is_read_in_bands(ways, monkeypatch):
    """Under causal attention no band of queries looks at columns behind it."""
    found, bands = [], attention._bands
    monkeypatch.setattr(attention, "BAND", 3)
    monkeypatch.setattr(
        attention, "_bands", lambda seen: found.append(bands(seen)) or found[-1]
    )
    module = Decoder(LLAMA, rngs=nnx.Rngs(0), **ways)
    jax.jit(lambda tokens: module(tokens))(random_tokens(LLAMA, 1, 8))
    assert found
    assert all(b == [(0, 3, 3), (3, 6, 6), (6, 8, 8)] for b in found)


@ALL
def test_later_tokens_have_exactly_zero_derivative(name):
    module = Decoder(CONFIGS[name], rngs=nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(1), (1, 6, 16))

    def logits(x):
        return (module.trunk(x) @ module.head()).sum(-1)[0]

    slopes = jax.jit(jax.jacrev(logits))(x)[:, 0]  # [T out, T in, D]
    after = np.triu(np.ones((6, 6), bool), k=1)
    assert (np.asarray(slopes)[after] == 0).all()
    assert (np.abs(slopes[~after]).max(-1) > 0).all()


@ALL
def test_padding_on_the_right_does_not_change_earlier_logps(name, x64):
    """1e-6 in float32; vivid weights too in float64, where only a defect could show."""
    model, params = build(CONFIGS[name])
    logps = jax.jit(lambda p, tokens: jax.nn.log_softmax(model.apply(p, tokens)))
    tokens = random_tokens(CONFIGS[name], 3, 14)
    for weights, limit in ((params, 1e-6), (lively(params, dtype="float64"), 1e-13)):
        short = logps(weights, tokens[:, :9])
        for junk in (0, -1, 10**6):
            long = logps(weights, tokens.at[:, 9:].set(junk))
            assert jnp.isfinite(long).all()
            np.testing.assert_allclose(long[:, :9], short, rtol=0, atol=limit)


def test_a_row_does_not_depend_on_the_others(x64):
    model, params = build(LLAMA)
    logps = jax.jit(lambda p, tokens: jax.nn.log_softmax(model.apply(p, tokens)))
    tokens = random_tokens(LLAMA, 5, 8)
    others = random_tokens(LLAMA, 5, 8, seed=9).at[2].set(tokens[2])
    for weights, limit in ((params, 1e-6), (lively(params, dtype="float64"), 1e-13)):
        together = logps(weights, tokens)[2]
        alone = logps(weights, tokens[2:3])[0]
        np.testing.assert_allclose(together, alone, rtol=0, atol=limit)
        # In one shape the same row gives the same bits.
        np.testing.assert_array_equal(together, logps(weights, others)[2])


@ALL
def test_second_derivatives_are_clean_in_float64(name, x64):
    """A float32 softmax or norm inside would leave errors of 1e-4 here."""
    config = dataclasses.replace(CONFIGS[name], layers=1)
    model, params = build(config, dtype=jnp.float64)
    params = lively(params)
    direction = jax.tree.map(lambda leaf: 0.1 * jnp.cos(17 * leaf), params)
    tokens = random_tokens(config, 2, 7)

    def loss(params):
        return jax.nn.log_softmax(model.apply(params, tokens))[..., 3].sum()

    def slope(step):
        moved = jax.tree.map(lambda p, d: p + step * d, params, direction)
        return jax.jvp(loss, (moved,), (direction,))[1]

    @jax.jit
    def measure(steps):
        gradient = jax.grad(loss)(params)
        products = jax.tree.map(jnp.vdot, gradient, direction)
        reverse = sum(jax.tree.leaves(products))
        return reverse, slope(0.0), jax.grad(slope)(0.0), jax.vmap(slope)(steps)

    step = 1e-3
    reverse, forward, second, slopes = measure(step * jnp.array([-2.0, -1, 1, 2]))
    np.testing.assert_allclose(reverse, forward, rtol=1e-11)
    # Central differences, exact to fourth order.
    weights = jnp.array([1.0, -8, 8, -1]) / (12 * step)
    np.testing.assert_allclose(second, weights @ slopes, rtol=1e-7)


@ALL
def test_dtype_follows_the_parameters(name, x64):
    model, params = build(CONFIGS[name])
    tokens = random_tokens(CONFIGS[name], 1, 4)
    for dtype in (jnp.bfloat16, jnp.float32, jnp.float64):
        cast = jax.tree.map(lambda leaf, to=dtype: leaf.astype(to), params)
        assert jax.eval_shape(model.apply, cast, tokens).dtype == dtype


def test_attention_takes_its_softmax_in_float32_under_bfloat16():
    keys = jax.random.split(jax.random.key(0), 3)
    query = jax.random.normal(keys[0], (1, 64, 1, 1, 8)).astype(jnp.bfloat16)
    key = jax.random.normal(keys[1], (1, 64, 1, 8)).astype(jnp.bfloat16)
    visible = jnp.asarray(running(64).visible)
    jaxpr = jax.make_jaxpr(attend)(query, key, key, visible)
    powers = [eqn for eqn in jaxpr.eqns if eqn.primitive.name == "exp"]
    inner = [e for eqn in jaxpr.eqns for e in _inner(eqn) if e.primitive.name == "exp"]
    assert {str(eqn.outvars[0].aval.dtype) for eqn in powers + inner} == {"float32"}


def _inner(eqn):
    for value in eqn.params.values():
        jaxpr = getattr(value, "jaxpr", None)
        if jaxpr is not None:
            for inner in jaxpr.eqns:
                yield inner
                yield from _inner(inner)


def test_rotation_depends_on_distance_alone(x64):
    a, b = jax.random.normal(jax.random.key(0), (2, 8))
    turns = turns_of(running(12), 4, 100.0, jnp.float64)
    a = rotate(jnp.broadcast_to(a, (1, 12, 8)), turns)[0]
    b = rotate(jnp.broadcast_to(b, (1, 12, 8)), turns)[0]
    products = np.asarray(a @ b.T)
    for distance in (-3, 0, 5):
        line = np.diagonal(products, distance)
        np.testing.assert_allclose(line, line[0], atol=1e-13)
    assert np.ptp(products) > 0.1


@pytest.mark.parametrize("config", [LLAMA, GPT2])
def test_refuses_more_positions_than_the_model_has(config):
    model, params = build(config)
    with pytest.raises(GradlabError, match=r"17 positions.*max_length of 16"):
        model.apply(params, jnp.zeros((1, 17), jnp.int32))


def test_rope_base_changes_the_function():
    tokens = random_tokens(LLAMA, 1, 8)
    logits = []
    for base in (500.0, 1e5):
        model, params = build(dataclasses.replace(LLAMA, rope_base=base))
        logits.append(jax.jit(model.apply)(lively(params), tokens))
    assert jnp.abs(logits[0] - logits[1]).max() > 1e-2
