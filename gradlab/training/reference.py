"""Log-probabilities of the frozen reference: computed once, then found on the disk.

An entry is a safetensors file named by the SHA-256 of everything that its numbers
depend on: the model's shape and parameters, the tokenizer, the rows' ids, the source
code of the scoring path, versions, dtype, precision and device. A change of any of them
gives another name; so an entry is never out of date. Entries are written whole or not
at all, by any number of processes at once.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from gradlab.data.tokenized import TokenizedPair
from gradlab.data.tokenizer import Tokenizer
from gradlab.models.functional import LanguageModel
from gradlab.models.sharding import gathered
from gradlab.training.processes import everywhere
from gradlab.training.rounds import Table
from gradlab.types import Params

# The packages and modules whose code decides what a score is.
SCORING_PATH = (
    "gradlab.models",
    "gradlab.data.batches",
    "gradlab.data.packing",
    "gradlab.data.packing_shapes",
    "gradlab.training.batching",
    "gradlab.training.forward",
    "gradlab.training.reference",
    "gradlab.training.rounds",
)
VERSIONS = ("jax", "jaxlib", "flax", "numpy")


def ingredients(
    model: LanguageModel,
    params: Params,
    tokenizer: Tokenizer,
    rows: Sequence[TokenizedPair],
    **settings: Any,
) -> dict[str, Any]:
    """Everything that reference log-probabilities depend on, as plain values.

    Args:
      model: with a config; the functions of other models can't be hashed.
      params: of the reference.
      tokenizer: whose ids the rows hold.
      rows: what is scored.
      settings: what else decides the numbers, rounding included: sides, compute dtype,
        rows of a batch, shapes.
    """
    return {
        "model": None if model.config is None else asdict(model.config),
        "params": params_digest(params),
        "tokenizer": tokenizer_digest(tokenizer),
        "rows": rows_digest(rows),
        "code": code_digest(),
        "versions": {name: metadata.version(name) for name in VERSIONS},
        "device": [jax.default_backend(), jax.devices()[0].device_kind],
        "precision": str(jax.config.jax_default_matmul_precision),  # pyright: ignore
        "float64": bool(jax.config.jax_enable_x64),  # pyright: ignore
        **{name: str(value) for name, value in settings.items()},
    }


def reference_table(
    compute: Callable[[], Table],
    lengths: np.ndarray,
    folder: str | os.PathLike[str] | None,
    ingredients: Mapping[str, Any],
    note: Callable[[str], Any] = lambda text: None,
) -> Table:
    """The table that `compute` gives, from the disk where it is there already.

    Args:
      compute: gives log-probabilities by row and side, float32, in nats.
      lengths: [N, S] tokens of each response; a stored table must fit them.
      folder: of the entries, made where missing; None: nothing is stored.
      ingredients: from the function of that name.
      note: told in one line what was read, computed, broken or not written.

    Guarantees:
      What is read equals what was computed, bit for bit. A damaged entry is computed
      again and replaced. A folder that can't be written costs the storing alone.
    """
    if folder is None or ingredients.get("model") is None:
        return compute()
    text = json.dumps(ingredients, sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()
    path = Path(folder, f"{key}.safetensors")
    table = _found(path, lengths, note)
    # Processes compute together: none may while another one has read.
    if everywhere(table is not None) and table is not None:
        note(f"reference log-probabilities read from {path}")
        return table
    table = compute()
    try:
        _write(path, table, lengths, text)
    except OSError as error:
        reason = error.strerror or error
        note(f"reference log-probabilities can't be stored in {path}: {reason}")
    else:
        note(f"reference log-probabilities computed and stored in {path}")
    return table


def _found(path: Path, lengths: np.ndarray, note: Callable[[str], Any]) -> Table | None:
    if not path.exists():
        return None
    try:
        return _read(path, lengths)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        note(f"reference log-probabilities in {path} are damaged ({error})")
        return None


def _write(path: Path, table: Table, lengths: np.ndarray, text: str) -> None:
    logps = _flat(table)
    tensors = {"logps": logps, "lengths": np.asarray(lengths, np.int32)}
    header = {"ingredients": text, "sha256": _digest(logps)}
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own for each writer; the last rename wins with the same numbers.
    handle, partial = tempfile.mkstemp(prefix=".partial-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as opened:
            opened.write(save(tensors, metadata=header))
            opened.flush()
            os.fsync(opened.fileno())
        os.replace(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def _read(path: Path, lengths: np.ndarray) -> Table:
    with safe_open(path, framework="numpy") as opened:
        logps, stored = (opened.get_tensor(name) for name in ("logps", "lengths"))
        digest = (opened.metadata() or {})["sha256"]
    if not np.array_equal(stored, lengths) or len(logps) != stored.sum():
        raise ValueError("its lengths are not those of the rows")
    if _digest(logps) != digest:
        raise ValueError("its numbers differ from their digest")
    ends = np.cumsum(lengths)[:-1]
    parts = iter(np.split(logps, ends))
    return [[next(parts) for _ in sides] for sides in lengths]


def _flat(table: Table) -> np.ndarray:
    parts = [np.asarray(logps, np.float32) for sides in table for logps in sides]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def params_digest(params: Params) -> str:
    """SHA-256 over path, dtype, shape and bits of every leaf."""
    total = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]:
        array = np.ascontiguousarray(gathered(leaf))
        name = f"{jax.tree_util.keystr(path)} {array.dtype} {np.shape(leaf)}\n"
        total.update(name.encode())
        total.update(array.reshape(-1).view(np.uint8).data)
    return total.hexdigest()


def tokenizer_digest(tokenizer: Tokenizer) -> str:
    """SHA-256 over the tokenizer's file form, its special ids and its template."""
    parts = (
        tokenizer.inner.to_str(),
        tokenizer.bos_id,
        tokenizer.eos_id,
        tokenizer.adds_bos,
        tokenizer.chat_template,
    )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def rows_digest(rows: Sequence[TokenizedPair]) -> str:
    """SHA-256 over the ids of all rows, in order."""
    ids = [[list(map(int, r)) for r in (p.prompt, p.chosen, p.rejected)] for p in rows]
    return hashlib.sha256(json.dumps(ids).encode()).hexdigest()


@cache
def code_digest() -> str:
    """SHA-256 over the source of `SCORING_PATH`."""
    total = hashlib.sha256()
    for name in SCORING_PATH:
        for file, source in _sources(name):
            total.update(f"{file} {len(source)}\n".encode() + source)
    return total.hexdigest()


def _sources(name: str) -> list[tuple[str, bytes]]:
    """The source files of a package, or of one module."""
    package, _, module = name.rpartition(".")
    file = resources.files(package) / f"{module}.py"
    if file.is_file():
        return [(f"{name}.py", file.read_bytes())]
    files = [f for f in resources.files(name).iterdir() if f.name.endswith(".py")]
    return [(f"{name}/{f.name}", f.read_bytes()) for f in sorted(files, key=str)]
