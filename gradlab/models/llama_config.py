"""The config.json of a Hugging Face Llama, both ways, through one table of fields."""

import reprlib
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from gradlab.errors import CheckpointError, GradlabError
from gradlab.models.config import DecoderConfig

# DecoderConfig field -> (config.json field, type, value where the file has none).
_REQUIRED = object()
_CONFIG = {
    "vocab_size": ("vocab_size", int, _REQUIRED),
    "width": ("hidden_size", int, _REQUIRED),
    "layers": ("num_hidden_layers", int, _REQUIRED),
    "heads": ("num_attention_heads", int, _REQUIRED),
    "ff_width": ("intermediate_size", int, _REQUIRED),
    "max_length": ("max_position_embeddings", int, _REQUIRED),
    "kv_heads": ("num_key_value_heads", int, None),
    "head_dim": ("head_dim", int, None),
    "norm_eps": ("rms_norm_eps", float, 1e-6),
    "rope_base": ("rope_theta", float, 10000.0),
    "tied": ("tie_word_embeddings", bool, False),
    "attention_bias": ("attention_bias", bool, False),
    "mlp_bias": ("mlp_bias", bool, False),
}
# config.json field -> the values under which this decoder computes the same function.
_SUPPORTED = {
    "model_type": ("llama",),
    "hidden_act": ("silu", None),
    "partial_rotary_factor": (1, None),
    "quantization_config": (None,),
}
_LARGEST = 2**1023  # of integers that are floats too
_MAX_LAYERS = 1000  # far above any model; keeps a hostile file from stalling the reader


def config_from_fields(fields: Mapping[str, Any], source: str) -> DecoderConfig:
    """The decoder that a Llama config.json describes.

    Args:
      fields: the parsed file.
      source: its name, for messages.

    Raises:
      CheckpointError: a field is missing, has the wrong type, or asks for something
        that the decoder does not compute.
    """
    for name, supported in _SUPPORTED.items():
        if fields.get(name) not in supported:
            found = reprlib.repr(fields.get(name))
            raise CheckpointError(
                f"{source}: {name} is {found}, expected {supported[0]!r}"
            )
    fields = dict(fields) | _rope_fields(fields, source)
    values: dict[str, Any] = {
        ours: _field(fields, theirs, kind, default, source)
        for ours, (theirs, kind, default) in _CONFIG.items()
    }
    if values["layers"] > _MAX_LAYERS:
        raise CheckpointError(
            f"{source}: num_hidden_layers is {values['layers']}, expected at most "
            f"{_MAX_LAYERS}"
        )
    try:
        return DecoderConfig(**values)
    except GradlabError as error:
        raise CheckpointError(f"{source}: {error}") from None


def config_to_fields(config: DecoderConfig, dtype: Any) -> dict[str, Any]:
    """The config.json of a Llama-shaped decoder; tensor_table says what is one."""
    filled = {
        "kv_heads": config.key_value_heads,
        "head_dim": config.head_width,
    }
    fields: dict[str, Any] = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "torch_dtype": jnp.dtype(dtype).name,
    }
    for ours, (theirs, _, _) in _CONFIG.items():
        fields[theirs] = filled.get(ours, getattr(config, ours))
    return fields


def _rope_fields(fields: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Rotary settings, beside the rest or in an object of their own."""
    found = {}
    for name in ("rope_scaling", "rope_parameters"):
        value = fields.get(name)
        if value is None:
            continue
        kind = value.get("rope_type", value.get("type")) if _is_object(value) else value
        partial = value.get("partial_rotary_factor", 1) if _is_object(value) else 1
        if kind != "default" or partial != 1:
            raise CheckpointError(
                f"{source}: {name} is {reprlib.repr(value)}, expected none or "
                "rope_type 'default'; scaled rotary positions are not supported"
            )
        if "rope_theta" in value:
            found["rope_theta"] = value["rope_theta"]
    return found


def _is_object(value: Any) -> bool:
    return isinstance(value, Mapping)


def _field(fields: Mapping[str, Any], name: str, kind: type, default: Any, source: str):
    value = fields.get(name)
    if value is None:
        if default is _REQUIRED:
            raise CheckpointError(f"{source}: the field {name} is missing")
        return default
    if kind is float and type(value) is int and abs(value) < _LARGEST:
        return float(value)
    wrong = not isinstance(value, kind)
    if kind is int and not wrong:
        wrong = isinstance(value, bool) or abs(value) >= 2**63
    if wrong:
        raise CheckpointError(
            f"{source}: {name} is {reprlib.repr(value)}, expected {kind.__name__}"
        )
    return value
