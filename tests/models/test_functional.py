"""The decoder as pure functions of a plain dict."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.models import LanguageModel, build, language_model
from gradlab.models.functional import param_shapes
from tests.models import oracle
from tests.models.cases import CONFIGS, LLAMA, lively, random_tokens


def _plain(tree):
    if isinstance(tree, dict):
        return all(isinstance(key, str) and _plain(tree[key]) for key in tree)
    return isinstance(tree, jax.Array)


@pytest.mark.parametrize("name", CONFIGS)
def test_params_are_a_nested_dict_with_string_keys(name):
    _, params = build(CONFIGS[name])
    assert _plain(params)
    assert sorted(params["layers"]) == ["0", "1"]
    shapes = jax.tree.map(lambda leaf: leaf.shape, param_shapes(CONFIGS[name]))
    assert shapes == jax.tree.map(jnp.shape, params)


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_are_hidden_times_head(name):
    model, params = build(CONFIGS[name])
    tokens = random_tokens(CONFIGS[name], 2, 5)
    logits = jax.jit(model.apply)(params, tokens)
    assert logits.shape == (2, 5, 37)
    parts = jax.jit(model.hidden)(params, tokens) @ model.head(params)
    np.testing.assert_allclose(logits, parts, atol=1e-6)


def test_layers_stay_in_order_beyond_ten():
    """String keys sort 0, 1, 10, 11, 2: the model must not."""
    config = dataclasses.replace(LLAMA, layers=12)
    model, params = build(config)
    params, tokens = lively(params), random_tokens(config, 1, 4)
    found = jax.jit(model.apply)(params, tokens)[0]
    expected = oracle.logits(
        config, jax.tree.map(np.asarray, params), np.asarray(tokens[0])
    )
    np.testing.assert_allclose(found, expected, atol=1e-3)
    swapped = dict(params["layers"])
    swapped["2"], swapped["10"] = swapped["10"], swapped["2"]
    other = jax.jit(model.apply)(params | {"layers": swapped}, tokens)[0]
    assert jnp.abs(found - other).max() > 0.1


def test_the_gradient_of_a_tied_embedding_sums_both_uses():
    tied, params = build(LLAMA, seed=1)
    params = lively(params)
    untied = language_model(dataclasses.replace(LLAMA, tied=False))
    table = params["embed"]["embedding"]
    split = params | {"unembed": {"kernel": table.T}}
    tokens = random_tokens(LLAMA, 3, 8)

    def loss(model):
        def of(params):
            return jax.nn.log_softmax(model.apply(params, tokens))[..., 5].mean()

        return of

    whole = jax.jit(jax.grad(loss(tied)))(params)
    parts = jax.jit(jax.grad(loss(untied)))(split)
    lookup, head = parts["embed"]["embedding"], parts["unembed"]["kernel"].T
    np.testing.assert_allclose(whole["embed"]["embedding"], lookup + head, atol=1e-6)
    assert min(jnp.linalg.norm(lookup), jnp.linalg.norm(head)) > 0.01


def test_every_parameter_gets_a_gradient():
    for config in CONFIGS.values():
        model, params = build(config)
        tokens = random_tokens(config, 2, 16)

        def loss(params, model=model, tokens=tokens):
            return (jax.nn.log_softmax(model.apply(params, tokens)) ** 2).sum()

        slopes = jax.jit(jax.grad(loss))(lively(params))
        assert all(jnp.abs(leaf).max() > 0 for leaf in jax.tree.leaves(slopes))


def test_the_seed_decides_the_weights():
    first, again, other = (build(LLAMA, seed=s)[1] for s in (4, 4, 5))
    same = jax.tree.map(lambda a, b: bool((a == b).all()), first, again)
    assert all(jax.tree.leaves(same))
    assert (first["embed"]["embedding"] != other["embed"]["embedding"]).any()


def test_equal_configs_share_one_model_so_that_jit_compiles_once():
    model, params = build(LLAMA)
    assert language_model(dataclasses.replace(LLAMA)) is model
    traces = []

    def logits(model, params, tokens):
        traces.append(1)
        return model.apply(params, tokens)

    jitted = jax.jit(logits, static_argnums=0)
    for seed in (0, 1):
        model, params = build(dataclasses.replace(LLAMA), seed=seed)
        jitted(model, params, random_tokens(LLAMA, 2, 5, seed))
    assert len(traces) == 1


def test_build_gives_the_asked_dtype():
    _, params = build(LLAMA, dtype=jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("bfloat16")}


def test_a_model_from_elsewhere_needs_apply_alone():
    model = LanguageModel(apply=lambda params, tokens: params[tokens])
    assert model.hidden is None
    assert model.head is None


@pytest.mark.parametrize("option", ["scan", "remat"])
def test_scan_and_remat_change_nothing_but_the_program(option):
    """The same parameters, values, gradients and forward-mode derivatives."""
    config = dataclasses.replace(CONFIGS["untied"], layers=5)
    plain, other = language_model(config), language_model(config, **{option: True})
    tokens = random_tokens(config, 2, 6)

    def derivatives(model, params):
        def loss(params):
            return jax.nn.log_softmax(model.apply(params, tokens))[..., 3].mean()

        direction = jax.tree.map(jnp.cos, params)
        value, slopes = jax.value_and_grad(loss)(params)
        return value, slopes, jax.jvp(loss, (params,), (direction,))[1]

    with jax.enable_x64(True):
        params = lively(build(config, dtype=jnp.float64)[1])
        compiled = jax.jit(derivatives, static_argnums=0)
        found, expected = (jax.device_get(compiled(m, params)) for m in (other, plain))
        programs = [
            str(jax.make_jaxpr(m.apply)(params, tokens)) for m in (other, plain)
        ]
    for one, right in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        scale = max(1.0, np.abs(right).max())
        np.testing.assert_allclose(one, right, rtol=0, atol=1e-12 * scale)
    names = {"scan": r"\bscan\[", "remat": r"\b(remat\d?|checkpoint)\["}
    shown = [re.search(names[option], program) is not None for program in programs]
    assert shown == [True, False]


def test_options_that_are_off_give_the_identical_model():
    model = language_model(LLAMA)
    assert language_model(LLAMA, scan=False, remat=False) is model
    scanned = language_model(LLAMA, scan=True)
    assert scanned is language_model(dataclasses.replace(LLAMA), scan=True)
    assert scanned is not model
