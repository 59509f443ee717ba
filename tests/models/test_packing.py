"""Packed rows against separate ones: values, gradients, forward mode."""

import dataclasses
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradlab.data.batches import TokenizedPair
from gradlab.data.packing import pack
from gradlab.data.packing_shapes import PackedShape
from gradlab.errors import GradlabError
from gradlab.models import LanguageModel, build, language_model, response_logps
from gradlab.models.logps import response_stats
from gradlab.models.packing import packed_logps, packed_stats
from tests.data.samples import quick
from tests.models.cases import GPT2, LLAMA, lively

# One shape for all cases, so that little is compiled: any two pairs fit in a row.
SHAPE = PackedShape(rows=2, length=56, slots=96, pairs=4, width=12)
CASES = [
    TokenizedPair(1, [5, 6, 7], [1, 2, 3], [1, 4, 5, 6]),  # same first token
    TokenizedPair(2, [9], [1, 2, 3], [1, 2, 3, 4]),  # chosen begins rejected
    TokenizedPair(3, [8, 8], [1, 2], [1]),  # rejected begins chosen
    TokenizedPair(4, [3, 1], [4] * 12, [2]),  # nothing in common, unlike lengths
]
ids = st.lists(st.integers(0, 3), min_size=1, max_size=12)
sides = st.tuples(ids, ids).filter(lambda both: both[0] != both[1])
prompts = st.lists(st.integers(0, 36), min_size=1, max_size=4)
pair_lists = st.lists(st.tuples(prompts, sides), min_size=1, max_size=4)


def separate(pairs, side):
    """The rows of one side: tokens [4, 16], start and length [4]."""
    tokens = np.zeros((4, 16), np.int32)
    start, length = np.ones(4, np.int32), np.zeros(4, np.int32)
    for row, pair in enumerate(pairs):
        text = pair.prompt + getattr(pair, side)
        tokens[row, : len(text)] = text
        start[row], length[row] = len(pair.prompt), len(getattr(pair, side))
    return tokens, start, length


def packed_total(model, params, batch, weights):
    both = packed_logps(model, params, batch, position_chunk=7)
    return sum((w * x).sum() for w, x in zip(weights, both, strict=True)), both


def separate_total(model, params, rows, weights):
    both = tuple(response_logps(model, params, *row, width=12) for row in rows)
    return sum((w * x).sum() for w, x in zip(weights, both, strict=True)), both


derivatives = [
    jax.jit(jax.value_and_grad(total, argnums=1, has_aux=True), static_argnums=0)
    for total in (packed_total, separate_total)
]


def both_ways(model, params, pairs):
    """Log-probs and the gradient of a random combination: packed, then separate."""
    dtype = params["norm"]["scale"].dtype
    weights = np.random.default_rng(3).normal(size=(2, 4, 12)).astype(dtype)
    batch = pack(pairs, range(len(pairs)), [SHAPE])
    rows = [separate(pairs, side) for side in ("chosen", "rejected")]
    packed, plain = derivatives
    (_, found), gradient = packed(model, params, batch, weights)
    (_, wanted), expected = plain(model, params, rows, weights)
    return found, wanted, gradient, expected


def assert_close(found, expected, limit):
    leaves = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    for one, other in (map(np.asarray, both) for both in leaves):
        scale = max(1.0, np.abs(other).max())
        np.testing.assert_allclose(one, other, rtol=0, atol=limit * scale)


@pytest.mark.parametrize("config", [LLAMA, GPT2])
def test_equals_separate_rows_in_float64(config):
    with jax.enable_x64(True):
        found, wanted, gradient, expected = both_ways(*_lively64(config), CASES)
    assert found[0].dtype == jnp.float64
    assert_close(found, wanted, 1e-12)
    assert_close(gradient, expected, 1e-12)
    assert np.abs(np.asarray(wanted[1])).max() > 1


def test_equals_separate_rows_in_float32():
    found, wanted, gradient, expected = both_ways(*_lively(LLAMA), CASES)
    assert_close(found, wanted, 1e-5)
    assert_close(gradient, expected, 1e-5)


@quick
@given(drawn=pair_lists)
def test_equals_separate_rows_whatever_the_pairs(drawn):
    pairs = [TokenizedPair(n, p, *both) for n, (p, both) in enumerate(drawn, 1)]
    with jax.enable_x64(True):
        found, wanted, gradient, expected = both_ways(*_lively64(GPT2), pairs)
    assert_close(found, wanted, 1e-12)
    assert_close(gradient, expected, 1e-12)


@cache
def _lively(config):
    model, params = build(config)
    return model, lively(params)


@cache
def _lively64(config):
    model, params = build(config, dtype=jnp.float64)
    return model, lively(params)


def test_forward_mode_equals_separate_rows():
    with jax.enable_x64(True):
        model, params = _lively64(LLAMA)
        direction = jax.tree.map(lambda leaf: 0.1 * jnp.cos(9 * leaf), params)
        batch = pack(CASES, range(4), [SHAPE])

        @jax.jit
        def drift(params):
            def packed(params):
                return packed_logps(model, params, batch)

            def plain(params):
                rows = [separate(CASES, side) for side in ("chosen", "rejected")]
                return tuple(response_logps(model, params, *r, width=12) for r in rows)

            return [
                jax.jvp(logps, (params,), (direction,))[1] for logps in (packed, plain)
            ]

        found, expected = drift(params)
    assert_close(found, expected, 1e-12)
    assert np.abs(np.asarray(expected[0])).max() > 0.01


def test_all_statistics_equal_those_of_separate_rows():
    model, params = _lively(LLAMA)
    batch = pack(CASES, range(4), [SHAPE])
    found = jax.jit(packed_stats, static_argnums=0)(model, params, batch)
    score = jax.jit(response_stats, static_argnums=0, static_argnames="width")
    for side, stats in zip(("chosen", "rejected"), found, strict=True):
        expected = score(model, params, *separate(CASES, side), width=12)
        assert_close(stats, expected, 1e-5)
        assert stats.argmax.tolist() == expected.argmax.tolist()


def test_one_branch_has_exactly_no_influence_on_the_other():
    model, params = _lively(LLAMA)
    logps = jax.jit(packed_logps, static_argnums=0)
    chosen, rejected = logps(model, params, pack(CASES, range(4), [SHAPE]))
    other = dataclasses.replace(CASES[0], rejected=[1, 30, 31, 32])
    changed = logps(model, params, pack([other, *CASES[1:]], range(4), [SHAPE]))
    np.testing.assert_array_equal(changed[0], chosen)
    np.testing.assert_array_equal(changed[1][1:], rejected[1:])
    assert (changed[1][0, 1:4] != rejected[0, 1:4]).all()


def test_entries_past_a_response_are_zero_in_value_and_gradient():
    model, params = _lively(LLAMA)
    batch = pack(CASES[:3], range(3), [SHAPE])
    outside = [~batch.chosen_mask, ~batch.rejected_mask]
    packed = derivatives[0]
    weights = [where.astype("float32") for where in outside]
    (_, both), slopes = packed(model, params, batch, weights)
    for logps, where in zip(both, outside, strict=True):
        assert (logps[where] == 0).all()
        assert (logps[~where] < 0).all()
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(slopes))


def test_the_head_runs_once_on_each_slot():
    model, params = _lively(LLAMA)
    batch = pack(CASES, range(4), [SHAPE])
    jaxpr = str(jax.make_jaxpr(partial(packed_logps, model))(params, batch))
    assert "f32[96,37]" in jaxpr  # [S, V]
    assert "f32[2,56,37]" not in jaxpr  # [rows, L, V]


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (LLAMA, {"scan": True, "remat": True}),
        (GPT2, {"scan": True}),
    ],
)
def test_scanned_and_recomputed_layers_equal_plain_ones(config, options):
    model, params = _lively(config)
    other = language_model(config, **options)
    batch = pack(CASES, range(4), [SHAPE])
    weights = [
        mask.astype("float32") for mask in (batch.chosen_mask, batch.chosen_mask)
    ]
    packed = derivatives[0]
    expected = packed(model, params, batch, weights)
    assert_close(packed(other, params, batch, weights), expected, 1e-6)


def test_a_model_that_cannot_is_refused():
    model, params = _lively(LLAMA)
    plain = LanguageModel(apply=model.apply)
    with pytest.raises(GradlabError, match="model: it has no hidden_packed"):
        packed_logps(plain, params, pack(CASES, range(4), [SHAPE]))
