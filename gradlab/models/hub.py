"""Models from and to folders of the Hugging Face Llama layout, and from the hub.

A folder holds `config.json` and `model.safetensors`, or shards listed in
`model.safetensors.index.json`. Only safetensors are read: no pickle, no remote code.
"""

import json
import re
import reprlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from gradlab.disk import read_object
from gradlab.errors import CheckpointError, GradlabError, MissingExtraError
from gradlab.models.config import DecoderConfig
from gradlab.models.functional import LanguageModel, language_model
from gradlab.models.llama_config import config_from_fields, config_to_fields
from gradlab.models.llama_layout import StoredTensor, assemble, disassemble
from gradlab.staging import stage
from gradlab.types import Params

CONFIG, WEIGHTS = "config.json", "model.safetensors"
INDEX = "model.safetensors.index.json"
HUB_FILES = [
    CONFIG,
    "*.safetensors",
    INDEX,
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
]
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def load_model(
    path_or_hub_id: str | Path, *, dtype: Any = jnp.float32, revision: str | None = None
) -> tuple[LanguageModel, Params]:
    """A trained Llama-style model.

    Args:
      path_or_hub_id: a folder, a `.gguf` file, or a hub id `owner/name`. What exists on
        disk wins over the hub.
      dtype: of the parameters, whatever the file holds.
      revision: of the hub repository; None: its default branch.

    Returns:
      (model, params), as `gradlab.models.build` gives.

    Raises:
      CheckpointError: the model is absent, incomplete, inconsistent or not a plain
        Llama; the message names file, tensor, what was found and what was expected.
      MissingExtraError: the hub or a .gguf file needs a package that is not installed.
    """
    require_dtype(dtype)
    path = Path(path_or_hub_id).expanduser()
    if path.is_file() and path.suffix == ".gguf":
        from gradlab.models.gguf import load_gguf

        return load_gguf(path, dtype=dtype)
    folder = resolve_folder(path_or_hub_id, revision=revision)
    fields = read_object(folder / CONFIG, CheckpointError)
    config = config_from_fields(fields, str(folder / CONFIG))
    params = assemble(config, _stored_tensors(folder), str(folder), dtype)
    return language_model(config), params


def resolve_folder(path_or_hub_id: str | Path, *, revision: str | None = None) -> Path:
    """The local folder of a model: the path itself, or a download of the hub id.

    Raises:
      CheckpointError: neither a folder nor a hub id, or the download failed.
      MissingExtraError: a hub id, and huggingface_hub is not installed.
    """
    name = str(path_or_hub_id)
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise CheckpointError(
            f"model {name}: a file, expected a folder with {CONFIG} and {WEIGHTS}, or "
            "a .gguf file"
        )
    if not _HUB_ID.fullmatch(name) or ".." in name:
        raise CheckpointError(
            f"model {name}: no such folder, and no hub id of the form owner/name"
        )
    return _download(name, revision)


def save_model(
    folder: str | Path,
    config: DecoderConfig,
    params: Params,
    *,
    dtype: Any = None,
    bos_id: int | None = None,
    eos_id: int | None = None,
    pad_id: int | None = None,
) -> Path:
    """Writes config.json and model.safetensors, which transformers reads too.

    Args:
      folder: created where absent; other files in it are left alone.
      config: of a Llama-shaped decoder (RMSNorm, rotary positions, SwiGLU).
      params: of that decoder.
      dtype: stored; None: that of the embedding.
      bos_id: recorded in config.json for other software, like `eos_id` and `pad_id`.
      eos_id: id of the end-of-sequence token.
      pad_id: id of the padding token.

    Returns:
      The folder.

    Raises:
      GradlabError: the layout can't hold this decoder, params and config differ, the
        folder can't be written, or its disk is full.

    Guarantees:
      A failure while writing leaves an earlier model in the folder as it was; a stored
      dtype equal to that of the params gives back the same bits.
    """
    folder = Path(folder)
    tensors = disassemble(config, params, dtype)
    stored = tensors["model.embed_tokens.weight"].dtype
    fields = config_to_fields(config, stored) | {
        "bos_token_id": bos_id,
        "eos_token_id": eos_id,
        "pad_token_id": pad_id,
    }
    with stage(folder) as staged:
        try:
            # transformers refuses files without the "format" entry.
            save_file(tensors, staged / WEIGHTS, metadata={"format": "pt"})
        except SafetensorError as error:  # of any kind; a full disk is one
            raise CheckpointError(
                f"{folder}: {WEIGHTS} can't be written: {error}"
            ) from error
        text = json.dumps(fields, indent=2, sort_keys=True) + "\n"
        (staged / CONFIG).write_text(text, encoding="utf-8")
        for name in (WEIGHTS, CONFIG):
            (staged / name).chmod(0o644)
    return folder


def read_config(path: str | Path) -> DecoderConfig:
    """The shape that a config.json in Llama layout describes.

    Raises:
      CheckpointError: no such file, or not a plain Llama.
    """
    return config_from_fields(read_object(path, CheckpointError), str(path))


def require_dtype(dtype: Any) -> None:
    """Refuses a dtype that jax would narrow in silence, or that is no float."""
    wanted = jnp.dtype(dtype)
    if not jnp.issubdtype(wanted, jnp.floating):
        raise GradlabError(f"dtype is {wanted.name}, expected a floating-point type")
    if jax.dtypes.canonicalize_dtype(wanted) != wanted:
        raise GradlabError(
            f"dtype is {wanted.name}, which jax narrows here; expected float32 or "
            "narrower, or a call inside jax.enable_x64"
        )


def _download(name: str, revision: str | None) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise MissingExtraError(
            f"model {name}: no such folder here, and loading it from the hub needs "
            "huggingface_hub; run: pip install 'gradlab[hub]'"
        ) from None
    try:
        return Path(
            snapshot_download(name, revision=revision, allow_patterns=HUB_FILES)
        )
    except Exception as error:  # its errors share no base class: network, auth, absence
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise CheckpointError(
            f"model {name}: no such folder here, and the hub gave none: {reason}"
        ) from error


def _stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Every tensor of the folder by name; shapes are read, numbers are not."""
    if (folder / WEIGHTS).is_file():
        return dict(_tensors_of(folder / WEIGHTS))
    if not (folder / INDEX).is_file():
        raise CheckpointError(
            f"{folder}: neither {WEIGHTS} nor {INDEX}; pickled weights (.bin, .pt) are "
            "not read, convert them to safetensors"
        )
    places = _read_places(folder)
    stored: dict[str, StoredTensor] = {}
    for shard in sorted(set(places.values())):
        for name, tensor in _tensors_of(folder / shard):
            if places.get(name) != shard:
                raise CheckpointError(
                    f"{folder / shard}: holds tensor {name}, which {INDEX} places in "
                    f"{places.get(name)!r}"
                )
            stored[name] = tensor
    if lost := sorted(places.keys() - stored.keys()):
        raise CheckpointError(
            f"{folder / places[lost[0]]}: tensor {lost[0]} is not in it, expected "
            f"because {INDEX} places it there"
        )
    return stored


def _read_places(folder: Path) -> dict[str, str]:
    """Which shard holds each tensor, according to the index."""
    source = folder / INDEX
    places = read_object(source, CheckpointError).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise CheckpointError(f"{source}: weight_map is missing or empty")
    for name, shard in places.items():
        # Only plain names: an index must not reach outside its folder.
        plain = isinstance(shard, str) and re.fullmatch(r"[\w-][\w.-]*", shard)
        if not plain or not shard.endswith(".safetensors"):
            raise CheckpointError(
                f"{source}: weight_map puts {name} into {reprlib.repr(shard)}, "
                "expected the plain name of a .safetensors file in the same folder"
            )
    for shard in set(places.values()):
        if not (folder / shard).is_file():
            raise CheckpointError(f"{folder / shard}: no such file, named by {INDEX}")
        _require_inside(folder, shard)
    return places


def _require_inside(folder: Path, shard: str):
    """Refuses a link out of the folder, but for those of the hub's own cache."""
    place, roots = (folder / shard).resolve(), [folder.resolve()]
    if folder.parent.name == "snapshots":
        roots.append(folder.resolve().parents[1] / "blobs")
    if not any(place.is_relative_to(root) for root in roots):
        raise CheckpointError(
            f"{folder / shard}: a link to {place}, expected a file in the folder itself"
        )


def _tensors_of(file: Path) -> Iterable[tuple[str, StoredTensor]]:
    try:
        with safe_open(file, framework="numpy") as opened:
            shapes = {
                name: tuple(opened.get_slice(name).get_shape())
                for name in opened.keys()  # noqa: SIM118 (no mapping)
            }
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{file}: not a readable safetensors file: {error}"
        ) from (error)
    for name, shape in shapes.items():
        yield name, StoredTensor(str(file), shape, _reader(file, name))


def _reader(file: Path, name: str):
    def read() -> np.ndarray:
        try:
            with safe_open(file, framework="numpy") as opened:
                return opened.get_tensor(name)
        except Exception as error:  # a dtype that numpy lacks gives any of several
            raise CheckpointError(
                f"{file}: tensor {name} can't be read: {error}"
            ) from error

    return read
