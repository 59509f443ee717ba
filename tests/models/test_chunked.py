"""Chunked statistics equal the full computation, in value and in every derivative."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.models.logps import token_logps, token_stats, token_stats_from_logits

B, T, D, V = 2, 7, 5, 23
CHUNKS = [(None, None), (4, None), (5, 6), (1, 7), (100, 100)]
every_chunk = pytest.mark.parametrize(("positions", "vocab"), CHUNKS)
REAL = ("logps", "entropy", "log_sum_sq", "max_logp")


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def inputs(dtype="float64", scale=2.0):
    rng = np.random.default_rng(0)
    hidden = jnp.asarray(rng.normal(size=(B, T, D)) * scale, dtype)
    head = jnp.asarray(rng.normal(size=(D, V)), dtype)
    return hidden, head, jnp.asarray(rng.integers(V, size=(B, T)), jnp.int32)


def dense(hidden, head, targets):
    """The definitions, from all logits at once; a dict of [B, T]."""
    logits = (hidden @ head).astype(jnp.promote_types(hidden.dtype, jnp.float32))
    logps = jax.nn.log_softmax(logits)
    return {
        "logps": jnp.take_along_axis(logps, targets[..., None], -1)[..., 0],
        "entropy": -(jnp.exp(logps) * logps).sum(-1),
        "log_sum_sq": jax.nn.logsumexp(2 * logps, axis=-1),
        "max_logp": logps.max(-1),
    }


@partial(jax.jit, static_argnums=(3, 4))
def chunked(hidden, head, targets, positions, vocab):
    stats = token_stats(
        hidden, head, targets, position_chunk=positions, vocab_chunk=vocab
    )
    return {name: getattr(stats, name) for name in REAL}


def assert_close(found, expected, limit):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=limit, atol=limit),
        found,
        expected,
    )


@every_chunk
def test_values(positions, vocab):
    hidden, head, targets = inputs()
    options = {"position_chunk": positions, "vocab_chunk": vocab}
    stats = jax.jit(partial(token_stats, **options))(hidden, head, targets)
    found = {name: getattr(stats, name) for name in REAL}
    assert_close(found, dense(hidden, head, targets), 1e-12)
    np.testing.assert_array_equal(stats.argmax, (hidden @ head).argmax(-1))
    assert stats.argmax.dtype == jnp.int32
    alone = jax.jit(partial(token_logps, **options))(hidden, head, targets)
    np.testing.assert_allclose(alone, stats.logps, rtol=1e-15)


def derivatives(function, hidden, head):
    """A pull-back of all statistics and a push-forward of both inputs."""
    rng = np.random.default_rng(1)
    pulls = {name: rng.normal(size=(B, T)) for name in REAL}
    pushes = rng.normal(size=hidden.shape), rng.normal(size=head.shape)
    _, pull = jax.vjp(function, hidden, head)
    return pull(pulls), jax.jvp(function, (hidden, head), pushes)[1]


@every_chunk
def test_reverse_and_forward_mode(positions, vocab):
    hidden, head, targets = inputs()

    @jax.jit
    def found(*primals):
        return derivatives(lambda *p: chunked(*p, targets, positions, vocab), *primals)

    expected = derivatives(lambda *p: dense(*p, targets), hidden, head)
    assert_close(found(hidden, head), expected, 1e-12)


@pytest.mark.parametrize(("positions", "vocab"), [(4, None), (5, 6)])
def test_second_derivatives(positions, vocab):
    hidden, head, targets = inputs()
    direction = np.cos(np.arange(D * V)).reshape(D, V)

    def curvature(function):
        def total(head):
            return sum(jax.tree.leaves(jax.tree.map(jnp.sum, function(head))))

        return jax.jit(lambda head: jax.jvp(jax.grad(total), (head,), (direction,))[1])(
            head
        )

    found = curvature(lambda w: chunked(hidden, w, targets, positions, vocab))
    expected = curvature(lambda w: dense(hidden, w, targets))
    assert_close(found, expected, 1e-11)


def test_from_logits_equals_from_hidden():
    hidden, head, targets = inputs()
    found = token_stats_from_logits(hidden @ head, targets)
    assert_close(found, token_stats(hidden, head, targets), 1e-12)


@pytest.mark.parametrize(("positions", "vocab"), [(None, None), (4, 6)])
def test_bfloat16_inputs_are_summed_in_float32(positions, vocab):
    """Compared with float64 arithmetic on the same rounded numbers."""
    hidden, head, targets = inputs("bfloat16")
    exact = dense(hidden.astype("float64"), head.astype("float64"), targets)
    found = chunked(hidden, head, targets, positions, vocab)
    assert {leaf.dtype for leaf in found.values()} == {jnp.dtype("float32")}
    assert_close(found, exact, 3e-6)


def test_the_gradient_of_a_bfloat16_head_is_summed_in_float32():
    """700 chunks added in bfloat16 would lose the small contributions altogether."""
    rng = np.random.default_rng(2)
    hidden = jnp.asarray(rng.normal(size=(1, 700, D)), "bfloat16")
    head = jnp.asarray(rng.normal(size=(D, V)), "bfloat16")
    targets = jnp.zeros((1, 700), jnp.int32)

    def slope(hidden, head, chunk):
        def total(head):
            return token_logps(hidden, head, targets, position_chunk=chunk).sum()

        return jax.jit(jax.grad(total))(head)

    exact = slope(hidden.astype("float64"), head.astype("float64"), None)
    found = slope(hidden, head, 1)
    assert found.dtype == jnp.bfloat16
    np.testing.assert_allclose(found.astype("float64"), exact, rtol=2**-8, atol=1e-2)


@pytest.mark.parametrize("vocab", [None, 6])
def test_float32_stays_close_and_never_positive_at_extremes(vocab):
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(1, 40, V)) * 10.0 ** rng.uniform(-3, 4, size=(1, 40, 1))
    targets = jnp.asarray(logits.argmax(-1), jnp.int32).at[0, ::2].set(0)
    # The identity as head makes the logits whatever is wanted.
    stats = token_stats(
        jnp.asarray(logits, "float32"),
        jnp.eye(V, dtype="float32"),
        targets,
        vocab_chunk=vocab,
    )
    for name in REAL:
        assert jnp.isfinite(getattr(stats, name)).all()
    for name in ("logps", "max_logp"):
        assert (getattr(stats, name) <= 0).all()
    assert (stats.entropy >= 0).all()


def test_uniform_and_one_hot_distributions():
    flat = token_stats(jnp.zeros((1, 1, D)), jnp.ones((D, V)), jnp.array([[4]]))
    np.testing.assert_allclose(flat.logps, -np.log(V), rtol=1e-14)
    np.testing.assert_allclose(flat.entropy, np.log(V), rtol=1e-14)
    np.testing.assert_allclose(flat.log_sum_sq, -np.log(V), rtol=1e-14)
    spike = 1e4 * jnp.eye(D, V)
    sure = token_stats(jnp.ones((1, 1, D)).at[0, 0, 1:].set(0), spike, jnp.array([[0]]))
    for name in REAL:
        assert getattr(sure, name)[0, 0] == 0


@pytest.mark.parametrize("vocab", [None, 2])
def test_the_first_of_equal_logits_is_the_argmax(vocab):
    logits = jnp.array([[[1.0, 3.0, 0.0, 3.0, 3.0]]])
    stats = token_stats(logits, jnp.eye(5), jnp.array([[0]]), vocab_chunk=vocab)
    assert stats.argmax[0, 0] == 1


def test_memory_of_all_passes_does_not_grow_with_the_length():
    """The compiler's own account; the dense logits would take 4 to 16 MB here."""

    def temporary(mode, length):
        shapes = [(1, length, 8), (8, 2048)]
        arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
        targets = jax.ShapeDtypeStruct((1, length), jnp.int32)

        def logps(hidden, head, targets):
            return token_stats(hidden, head, targets, position_chunk=64).logps

        def reverse(*args):
            return jax.grad(lambda *a: logps(*a).sum(), (0, 1))(*args)

        def forward(hidden, head, targets):
            return jax.jvp(
                lambda *a: logps(*a, targets), (hidden, head), (hidden, head)
            )

        function = {"value": logps, "reverse": reverse, "forward": forward}[mode]
        compiled = jax.jit(function).lower(*arguments, targets).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    for mode in ("value", "reverse", "forward"):
        short, long = temporary(mode, 512), temporary(mode, 2048)
        assert long - short < 2**19, (mode, short, long)
