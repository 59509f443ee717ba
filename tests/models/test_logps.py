"""Statistics of response tokens: the right positions, the head on them alone."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.errors import GradlabError
from gradlab.models import LanguageModel, build, response_logps, response_stats
from gradlab.models.logps import token_stats, token_stats_from_logits
from tests.models.cases import LLAMA, lively, random_tokens

REAL = ("logps", "entropy", "log_sum_sq", "max_logp")
START = jnp.array([3, 1, 6, 2], jnp.int32)
LENGTH = jnp.array([5, 9, 4, 0], jnp.int32)
WIDTH = 9


@pytest.fixture(scope="module")
def trained():
    model, params = build(LLAMA)
    return model, lively(params), random_tokens(LLAMA, 4, 12)


compiled = partial(jax.jit, static_argnames=("model", "width"))
stats_of, logps_of = compiled(response_stats), compiled(response_logps)


def by_hand(model, params, tokens):
    """log p of each response token, from the full softmax, one row after the other."""
    full = jax.nn.log_softmax(jax.jit(model.apply)(params, tokens))
    result = np.zeros((len(tokens), WIDTH))
    for row, (start, length) in enumerate(zip(START, LENGTH, strict=True)):
        for t in range(length):
            result[row, t] = full[row, start + t - 1, tokens[row, start + t]]
    return result


def test_gathers_the_position_before_each_response_token(trained):
    stats = stats_of(*trained, START, LENGTH, width=WIDTH)
    np.testing.assert_allclose(stats.logps, by_hand(*trained), atol=2e-6)
    logps = logps_of(*trained, START, LENGTH, width=WIDTH)
    np.testing.assert_allclose(logps, stats.logps, rtol=1e-6)


def test_a_model_with_apply_alone_gives_the_same(trained):
    model, params, tokens = trained
    plain = LanguageModel(apply=model.apply)
    rest = (params, tokens, START, LENGTH)
    expected = stats_of(model, *rest, width=WIDTH)
    found = stats_of(plain, *rest, width=WIDTH)
    for name in REAL:
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), atol=3e-6
        )
    np.testing.assert_array_equal(found.argmax, expected.argmax)
    logps = logps_of(plain, *rest, width=WIDTH)
    np.testing.assert_allclose(logps, found.logps, rtol=1e-6)


def test_entries_past_a_response_are_zero_in_value_and_gradient(trained):
    model, params, tokens = trained
    outside = np.arange(WIDTH) >= np.asarray(LENGTH)[:, None]
    stats = stats_of(model, params, tokens, START, LENGTH, width=WIDTH)
    for name in (*REAL, "argmax"):
        assert (getattr(stats, name)[outside] == 0).all()

    @jax.jit
    def slope(params):
        def total(params):
            logps = logps_of(model, params, tokens, START, LENGTH, width=WIDTH)
            return jnp.where(outside, logps, 0).sum()

        return jax.grad(total)(params)

    assert all((leaf == 0).all() for leaf in jax.tree.leaves(slope(params)))


def test_the_head_runs_on_response_positions_only(trained):
    model, params, tokens = trained
    seen = []
    spy = LanguageModel(
        apply=lambda *_: pytest.fail("the full logits were computed"),
        hidden=model.hidden,
        head=lambda params: seen.append(1) or model.head(params),
    )

    def logps(params):
        return response_logps(spy, params, tokens, START, LENGTH, width=2)

    jaxpr = str(jax.make_jaxpr(logps)(params))
    assert seen == [1]
    assert "f32[4,12,37]" not in jaxpr  # [B, T, V]
    assert "f32[8,37]" in jaxpr  # [B * width, V]


def test_drift_by_jvp_equals_the_difference_of_two_models(trained):
    """The use that forward mode is for: d logps along a direction of parameters."""
    model, params, tokens = trained
    with jax.enable_x64(True):
        params = lively(params, dtype="float64")
        direction = jax.tree.map(lambda leaf: 0.1 * jnp.sin(leaf), params)

        @jax.jit
        def logps(step):
            moved = jax.tree.map(lambda p, d: p + step * d, params, direction)
            return logps_of(model, moved, tokens, START, LENGTH, width=WIDTH)

        drift = jax.jit(lambda: jax.jvp(logps, (0.0,), (1.0,))[1])()
        numeric = (logps(1e-5) - logps(-1e-5)) / 2e-5
        np.testing.assert_allclose(drift, numeric, rtol=1e-6, atol=1e-7)


def test_target_ids_out_of_range_give_finite_numbers():
    hidden, head = jnp.ones((1, 3, 2)), jnp.ones((2, 5))
    targets = jnp.array([[-100, 5, 10**9]])
    for stats in (
        token_stats(hidden, head, targets),
        token_stats_from_logits(hidden @ head, targets),
    ):
        assert jnp.isfinite(stats.logps).all()
        assert (stats.logps <= 0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": jnp.zeros((1, 4), int)}, r"targets \(1, 4\)"),
        ({"head": jnp.zeros((3, 5))}, r"head \(3, 5\)"),
        ({"position_chunk": 0}, "position_chunk is 0, expected a positive integer"),
        ({"vocab_chunk": 2.5}, "vocab_chunk is 2.5"),
        (
            {"hidden": jnp.zeros((1, 0, 2)), "targets": jnp.zeros((1, 0), int)},
            r"shape \(1, 0\) holds no token",
        ),
    ],
)
def test_refuses_what_does_not_fit(change, message):
    given = {
        "hidden": jnp.zeros((1, 3, 2)),
        "head": jnp.zeros((2, 5)),
        "targets": jnp.zeros((1, 3), int),
    }
    with pytest.raises(GradlabError, match=message):
        token_stats(**given | change)


def test_refuses_logits_and_targets_of_different_shapes():
    with pytest.raises(GradlabError, match=r"targets: shape \(1, 2\)"):
        token_stats_from_logits(jnp.zeros((1, 3, 5)), jnp.zeros((1, 2), int))
