"""Llama-style models from GGUF files (llama.cpp), quantised ones included.

Reading needs the optional `gguf` package. Quantised tensors are dequantised, so the
result is the model that llama.cpp runs, not the checkpoint it was made from.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from gradlab.errors import CheckpointError, MissingExtraError
from gradlab.models.config import DecoderConfig
from gradlab.models.functional import LanguageModel, language_model
from gradlab.models.gguf_header import check_header
from gradlab.models.llama_config import config_from_fields
from gradlab.models.llama_layout import StoredTensor, assemble
from gradlab.types import Params

# GGUF name -> hub name; N stands for the number of the layer.
_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
    "blk.N.attn_norm.weight": "model.layers.N.input_layernorm.weight",
    "blk.N.ffn_norm.weight": "model.layers.N.post_attention_layernorm.weight",
    "blk.N.attn_q.weight": "model.layers.N.self_attn.q_proj.weight",
    "blk.N.attn_k.weight": "model.layers.N.self_attn.k_proj.weight",
    "blk.N.attn_v.weight": "model.layers.N.self_attn.v_proj.weight",
    "blk.N.attn_output.weight": "model.layers.N.self_attn.o_proj.weight",
    "blk.N.ffn_gate.weight": "model.layers.N.mlp.gate_proj.weight",
    "blk.N.ffn_up.weight": "model.layers.N.mlp.up_proj.weight",
    "blk.N.ffn_down.weight": "model.layers.N.mlp.down_proj.weight",
}
# config.json field -> GGUF key.
_FIELDS = {
    "hidden_size": "llama.embedding_length",
    "intermediate_size": "llama.feed_forward_length",
    "num_hidden_layers": "llama.block_count",
    "num_attention_heads": "llama.attention.head_count",
    "num_key_value_heads": "llama.attention.head_count_kv",
    "head_dim": "llama.attention.key_length",
    "max_position_embeddings": "llama.context_length",
    "rms_norm_eps": "llama.attention.layer_norm_rms_epsilon",
    "rope_theta": "llama.rope.freq_base",
}


def load_gguf(
    path: str | Path, *, dtype: Any = jnp.float32
) -> tuple[LanguageModel, Params]:
    """The model in a GGUF file of architecture "llama".

    Args:
      path: the file.
      dtype: of the parameters.

    Returns:
      (model, params), as `gradlab.models.build` gives.

    Raises:
      CheckpointError: not a GGUF file, another architecture, scaled rotary positions,
        or tensors that do not fit the metadata.
      MissingExtraError: the gguf package is not installed.
    """
    reader, dequantize = _open(Path(path))
    stored = {}
    for tensor in reader.tensors:
        name = _hub_name(tensor.name)
        shape = tuple(int(size) for size in reversed(tensor.shape))
        read = _reader(str(path), tensor, shape, dequantize)
        stored[name] = StoredTensor(str(path), shape, read)
    config = _config(reader, stored, str(path))
    heads = {"q_proj": config.heads, "k_proj": config.key_value_heads}
    for name, tensor in stored.items():
        if match := re.search(r"\.(q_proj|k_proj)\.weight$", name):
            stored[name] = _rotate_half(tensor, heads[match[1]])
    return language_model(config), assemble(config, stored, str(path), dtype)


def _open(path: Path) -> tuple[Any, Callable[..., np.ndarray]]:
    try:
        from gguf import GGUFReader, dequantize
    except ImportError:
        raise MissingExtraError(
            f"{path}: reading GGUF needs the gguf package; run: pip install gguf"
        ) from None
    check_header(path)
    try:
        return GGUFReader(path), dequantize
    except Exception as error:  # the parser meets untrusted bytes with any exception
        raise CheckpointError(f"{path}: not a readable GGUF file: {error}") from error


def _config(reader: Any, stored: Mapping[str, StoredTensor], source: str):
    try:
        metadata = {name: field.contents() for name, field in reader.fields.items()}
    except Exception as error:  # text that is none, say
        raise CheckpointError(f"{source}: metadata can't be read: {error}") from error
    architecture = metadata.get("general.architecture")
    if architecture != "llama":
        raise CheckpointError(
            f"{source}: general.architecture is {architecture!r}, expected 'llama'"
        )
    scaling = metadata.get("llama.rope.scaling.type", "none")
    if scaling != "none":
        raise CheckpointError(
            f"{source}: llama.rope.scaling.type is {scaling!r}, expected 'none'"
        )
    fields = {name: metadata.get(key) for name, key in _FIELDS.items()}
    for name in ("rms_norm_eps", "rope_theta"):
        if isinstance(fields[name], float):
            # Stored as float32: 9.999999747e-06 stands for 1e-05.
            with np.errstate(over="ignore"):  # infinite, and refused
                fields[name] = float(str(np.float32(fields[name])))
    embedding = stored.get("model.embed_tokens.weight")
    if embedding is None or len(embedding.shape) != 2:
        raise CheckpointError(f"{source}: no matrix token_embd.weight")
    fields |= {
        "model_type": "llama",
        "vocab_size": embedding.shape[0],
        "tie_word_embeddings": "lm_head.weight" not in stored,
    }
    config = config_from_fields(fields, source)
    _check_rotary(config, metadata, source)
    return config


def _check_rotary(config: DecoderConfig, metadata: Mapping[str, Any], source: str):
    turned = metadata.get("llama.rope.dimension_count", config.head_width)
    if turned != config.head_width:
        raise CheckpointError(
            f"{source}: llama.rope.dimension_count is {turned}, expected the width of "
            f"a head, {config.head_width}"
        )


def _hub_name(name: str) -> str:
    """The hub's name of a GGUF tensor; an unknown one is marked, and refused later."""
    match = re.fullmatch(r"blk\.(\d+)\.(.+)", name)
    known = _NAMES.get(f"blk.N.{match[2]}" if match else name)
    if known is None:  # it may be the hub's name of a tensor that is there already
        return f"{name} (not of a Llama in GGUF)"
    return known.replace("N", match[1]) if match else known


def _reader(file: str, tensor: Any, shape: tuple[int, ...], dequantize: Callable):
    def read() -> np.ndarray:
        try:
            flat = np.asarray(dequantize(tensor.data, tensor.tensor_type), np.float32)
            return flat.reshape(shape)
        except (
            Exception
        ) as error:  # an unknown quantisation, or data that do not fit it
            raise CheckpointError(
                f"{file}: tensor {tensor.name} ({tensor.tensor_type.name}) can't be "
                f"dequantised: {error}"
            ) from error

    return read


def _rotate_half(tensor: StoredTensor, heads: int) -> StoredTensor:
    """Reorders a query or key projection from GGUF's rotary order to the hub's.

    GGUF pairs neighbouring coordinates of a head (0 1, 2 3, ...), the hub pairs the
    halves. Without this the model still runs, and is wrong.
    """

    def read() -> np.ndarray:
        array = tensor.read()
        outputs, inputs = array.shape
        pairs = array.reshape(heads, outputs // heads // 2, 2, inputs)
        return pairs.swapaxes(1, 2).reshape(outputs, inputs)

    return StoredTensor(tensor.file, tensor.shape, read)
