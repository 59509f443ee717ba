"""The table of tensor names: complete, and strict both ways."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.errors import CheckpointError, GradlabError
from gradlab.models import build
from gradlab.models.functional import param_shapes
from gradlab.models.llama_layout import (
    StoredTensor,
    assemble,
    disassemble,
    tensor_table,
)
from tests.models.cases import GPT2, LLAMA, UNTIED

EMBED = "model.embed_tokens.weight"
QUERY = "model.layers.1.self_attn.q_proj.weight"


def stored(tensors):
    return {
        name: StoredTensor("some.safetensors", array.shape, lambda array=array: array)
        for name, array in tensors.items()
    }


@pytest.fixture
def tensors():
    return disassemble(LLAMA, build(LLAMA)[1])


def load(tensors, config=LLAMA, dtype="float32"):
    return assemble(config, stored(tensors), "folder", dtype)


@pytest.mark.parametrize("config", [LLAMA, UNTIED])
def test_the_table_covers_every_parameter_with_its_shape(config):
    found = {
        slot.path: slot.shape[::-1] if slot.transposed else slot.shape
        for slot in tensor_table(config).values()
    }
    expected = {
        tuple(key.key for key in path): leaf.shape
        for path, leaf in jax.tree_util.tree_leaves_with_path(param_shapes(config))
    }
    assert found == expected


@pytest.mark.parametrize("config", [LLAMA, UNTIED])
def test_round_trip_keeps_every_bit(config):
    params = build(config)[1]
    again = load(disassemble(config, params), config)
    jax.tree.map(np.testing.assert_array_equal, again, params)


def test_matrices_are_stored_transposed(tensors):
    params = build(LLAMA)[1]
    kernel = params["layers"]["1"]["mlp"]["up"]["kernel"]
    array = tensors["model.layers.1.mlp.up_proj.weight"]
    assert array.shape == (24, 16)
    np.testing.assert_array_equal(array, kernel.T)
    np.testing.assert_array_equal(tensors[EMBED], params["embed"]["embedding"])


def test_refuses_missing_and_unexpected_tensors(tensors):
    query = tensors.pop(QUERY)
    with pytest.raises(CheckpointError, match=f"folder: misses tensor {QUERY}; exp"):
        load(tensors)
    tensors[QUERY] = query
    bias = "model.layers.0.self_attn.q_proj.bias"
    with pytest.raises(CheckpointError, match=f"folder: has unexpected tensor {bias}"):
        load(tensors | {bias: np.zeros(16)})
    with pytest.raises(CheckpointError, match=r"misses tensor .* and 17 more"):
        load({})


def test_ignores_stored_rotary_frequencies(tensors):
    name = "model.layers.0.self_attn.rotary_emb.inv_freq"
    load(tensors | {name: np.ones(2, np.float32)})


def test_refuses_a_wrong_shape(tensors):
    tensors[QUERY] = tensors[QUERY].reshape(8, 32)
    message = (
        rf"some.safetensors: tensor {QUERY} has shape \(8, 32\), expected \(16, 16\)"
    )
    with pytest.raises(CheckpointError, match=message):
        load(tensors)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_refuses_values_that_are_not_finite(tensors, value):
    tensors[QUERY] = tensors[QUERY].copy()
    tensors[QUERY][3, 2] = value
    with pytest.raises(CheckpointError, match=f"tensor {QUERY} has a value that is"):
        load(tensors)


def test_refuses_values_that_overflow_the_asked_dtype(tensors):
    tensors[QUERY] = tensors[QUERY] + np.float32(1e6)
    load(tensors)
    with pytest.raises(CheckpointError, match="not finite as float16"):
        load(tensors, dtype="float16")


def test_refuses_integers(tensors):
    with pytest.raises(CheckpointError, match="has dtype int8, expected a float"):
        load(tensors | {QUERY: tensors[QUERY].astype("int8")})


def test_a_redundant_head_must_be_the_embedding(tensors):
    load(tensors | {"lm_head.weight": tensors[EMBED]})
    for other in (tensors[EMBED] + 1, tensors[EMBED][:5]):
        with pytest.raises(CheckpointError, match=r"lm_head.weight differs from"):
            load(tensors | {"lm_head.weight": other})


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_half_precision_loads_as_the_asked_dtype(tensors, kind):
    half = {name: array.astype(jnp.dtype(kind)) for name, array in tensors.items()}
    wide = load(half)
    assert {leaf.dtype for leaf in jax.tree.leaves(wide)} == {jnp.dtype("float32")}
    np.testing.assert_array_equal(
        wide["embed"]["embedding"], half[EMBED].astype(np.float32)
    )
    narrow = load(half, dtype=kind)
    assert {leaf.dtype for leaf in jax.tree.leaves(narrow)} == {jnp.dtype(kind)}


def test_saving_refuses_params_that_do_not_fit():
    params = build(LLAMA)[1]
    with pytest.raises(GradlabError, match="the Llama layout has norm='rms', and this"):
        disassemble(GPT2, build(GPT2)[1])
    with pytest.raises(GradlabError, match=r"params: .* is missing there"):
        disassemble(UNTIED, params)
    with pytest.raises(GradlabError, match="config: extra is missing there"):
        disassemble(LLAMA, params | {"extra": jnp.zeros(2)})
    wrong = params | {"norm": {"scale": jnp.zeros(3)}}
    with pytest.raises(GradlabError, match=r"params: norm/scale has shape \(3,\)"):
        disassemble(LLAMA, wrong)
    broken = params | {"norm": {"scale": jnp.full(16, jnp.nan)}}
    with pytest.raises(GradlabError, match="norm/scale has a value that is not finite"):
        disassemble(LLAMA, broken)
