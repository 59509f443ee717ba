"""The tensors of the Hugging Face Llama layout, both ways, through one table of names.

Nothing is guessed: a tensor that the table doesn't hold is refused, since a model that
loads with a wrong detail runs, and gives wrong numbers.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.errors import CheckpointError, GradlabError
from gradlab.models.config import DecoderConfig
from gradlab.types import Params

# Hub name -> (path in params, shape on the hub). The hub stores matrices [out, in], and
# kernels here are [in, out]. V vocabulary, D width, F feed-forward, Q all query heads,
# K all key-value heads.
_GLOBAL = {
    "model.embed_tokens.weight": ("embed/embedding", "VD"),
    "model.norm.weight": ("norm/scale", "D"),
}
_HEAD = {"lm_head.weight": ("unembed/kernel", "VD")}
_LAYER = {
    "input_layernorm.weight": ("attention_norm/scale", "D"),
    "self_attn.q_proj.weight": ("attention/query/kernel", "QD"),
    "self_attn.k_proj.weight": ("attention/key/kernel", "KD"),
    "self_attn.v_proj.weight": ("attention/value/kernel", "KD"),
    "self_attn.o_proj.weight": ("attention/out/kernel", "DQ"),
    "post_attention_layernorm.weight": ("mlp_norm/scale", "D"),
    "mlp.gate_proj.weight": ("mlp/gate/kernel", "FD"),
    "mlp.up_proj.weight": ("mlp/up/kernel", "FD"),
    "mlp.down_proj.weight": ("mlp/down/kernel", "DF"),
}
_ATTENTION_BIAS = {
    "self_attn.q_proj.bias": ("attention/query/bias", "Q"),
    "self_attn.k_proj.bias": ("attention/key/bias", "K"),
    "self_attn.v_proj.bias": ("attention/value/bias", "K"),
    "self_attn.o_proj.bias": ("attention/out/bias", "D"),
}
_MLP_BIAS = {
    "mlp.gate_proj.bias": ("mlp/gate/bias", "F"),
    "mlp.up_proj.bias": ("mlp/up/bias", "F"),
    "mlp.down_proj.bias": ("mlp/down/bias", "D"),
}
# Old exports store the rotary frequencies, which follow from the config.
_REDUNDANT = re.compile(r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq")


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in some file: its shape is known, its numbers are read on demand."""

    file: str
    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]


@dataclass(frozen=True)
class Slot:
    """Where a hub tensor goes in the parameters, and its shape on the hub."""

    path: tuple[str, ...]
    shape: tuple[int, ...]

    @property
    def transposed(self) -> bool:
        """Whether hub and gradlab store transposes of each other."""
        return self.path[-1] == "kernel"


def tensor_table(config: DecoderConfig) -> dict[str, Slot]:
    """Every hub tensor of a Llama model of this shape, with its place in the params.

    Raises:
      GradlabError: the decoder is no Llama, so the layout has no names for it.
    """
    expected = {"norm": "rms", "positions": "rotary", "mlp": "swiglu"}
    for field, value in expected.items():
        if getattr(config, field) != value:
            raise GradlabError(
                f"the Llama layout has {field}={value!r}, and this decoder has "
                f"{field}={getattr(config, field)!r}"
            )
    head_width = config.head_width
    sizes = {
        "V": config.vocab_size,
        "D": config.width,
        "F": config.ff_width,
        "Q": config.heads * head_width,
        "K": config.key_value_heads * head_width,
    }
    rows = dict(_GLOBAL) if config.tied else _GLOBAL | _HEAD
    layer = dict(_LAYER)
    layer |= _ATTENTION_BIAS if config.attention_bias else {}
    layer |= _MLP_BIAS if config.mlp_bias else {}
    for number in range(config.layers):
        for name, (path, letters) in layer.items():
            rows[f"model.layers.{number}.{name}"] = (f"layers/{number}/{path}", letters)
    return {
        name: Slot(tuple(path.split("/")), tuple(sizes[letter] for letter in letters))
        for name, (path, letters) in rows.items()
    }


def parameter_count(config: DecoderConfig) -> int:
    """How many parameters a Llama-shaped decoder has; allocates nothing.

    Example:
      >>> parameter_count(DecoderConfig(vocab_size=9, width=8, layers=1, heads=2,
      ...                               ff_width=16, max_length=4))
      736
    """
    return sum(math.prod(slot.shape) for slot in tensor_table(config).values())


def assemble(
    config: DecoderConfig, stored: Mapping[str, StoredTensor], source: str, dtype: Any
) -> Params:
    """Parameters from hub-named tensors, each one checked.

    Args:
      config: the shape of the model.
      stored: every tensor of the checkpoint by its hub name.
      source: the checkpoint's name, for messages.
      dtype: of the parameters.

    Raises:
      CheckpointError: a tensor is missing, unexpected, of the wrong shape or not
        finite, or a tied model stores a head that differs from its embedding.
    """
    table = tensor_table(config)
    extra = {name for name in stored.keys() - table if not _REDUNDANT.fullmatch(name)}
    if config.tied:
        extra -= {"lm_head.weight"}
    _refuse_names(source, "misses", table.keys() - stored.keys())
    _refuse_names(source, "has unexpected", extra)
    for name, slot in table.items():
        if stored[name].shape != slot.shape:
            raise CheckpointError(
                f"{stored[name].file}: tensor {name} has shape {stored[name].shape}, "
                f"expected {slot.shape} from the model's config"
            )
    if config.tied and "lm_head.weight" in stored:
        _check_same_head(stored)
    params: dict[str, Any] = {}
    for name, slot in table.items():
        array = _read(stored[name], name, dtype)
        node = params
        for key in slot.path[:-1]:
            node = node.setdefault(key, {})
        node[slot.path[-1]] = jnp.asarray(array.T if slot.transposed else array)
    return params


def disassemble(
    config: DecoderConfig, params: Params, dtype: Any = None
) -> dict[str, np.ndarray]:
    """The hub-named tensors of parameters: the inverse of `assemble`.

    Raises:
      GradlabError: the params are not those of a decoder of this shape.
    """
    slots = {slot.path: (name, slot) for name, slot in tensor_table(config).items()}
    leaves = {
        tuple(str(getattr(key, "key", key)) for key in path): leaf
        for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]
    }
    if different := sorted(leaves.keys() ^ slots.keys()):
        where = "params" if different[0] not in leaves else "config"
        raise GradlabError(f"{where}: {'/'.join(different[0])} is missing there")
    tensors = {}
    for path, (name, slot) in slots.items():
        array = np.asarray(leaves[path])
        array = array.T if slot.transposed else array
        if array.shape != slot.shape:
            raise GradlabError(
                f"params: {'/'.join(path)} has shape {leaves[path].shape}, which does "
                f"not fit the config ({name} is {slot.shape} on the hub)"
            )
        tensors[name] = np.ascontiguousarray(array, dtype)
        if not np.isfinite(tensors[name]).all():
            raise GradlabError(
                f"params: {'/'.join(path)} has a value that is not finite as "
                f"{tensors[name].dtype}; such a model could not be loaded again"
            )
    return tensors


def _refuse_names(source: str, what: str, names: set[str]):
    if names:
        some = ", ".join(sorted(names)[:3])
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise CheckpointError(
            f"{source}: {what} tensor {some}{more}; expected exactly those that "
            "the model's config implies"
        )


def _check_same_head(stored: Mapping[str, StoredTensor]):
    """A stored head is harmless beside tied embeddings only if it is the embedding."""
    head, table = stored["lm_head.weight"], stored["model.embed_tokens.weight"]
    if head.shape != table.shape or not np.array_equal(head.read(), table.read()):
        raise CheckpointError(
            f"{head.file}: lm_head.weight differs from model.embed_tokens.weight, and "
            "config.json says tie_word_embeddings; expected equal tensors or false"
        )


def _read(stored: StoredTensor, name: str, dtype: Any) -> np.ndarray:
    array = stored.read()
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise CheckpointError(
            f"{stored.file}: tensor {name} has dtype {array.dtype}, expected a float"
        )
    for given in (array, array := _cast(array, dtype)):
        if not np.isfinite(given).all():
            raise CheckpointError(
                f"{stored.file}: tensor {name} has a value that is not finite as "
                f"{given.dtype}, expected finite numbers"
            )
    return array


def _cast(array: np.ndarray, dtype: Any) -> np.ndarray:
    with np.errstate(over="ignore"):  # reported as not finite
        return array.astype(jnp.dtype(dtype))
