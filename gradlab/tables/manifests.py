"""Manifests: a JSON file beside every result that says how it came about."""

import contextlib
import dataclasses
import datetime
import hashlib
import importlib.metadata
import json
import math
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gradlab.disk import read_object
from gradlab.errors import GradlabError

PACKAGES = (
    "gradlab", "jax", "jaxlib", "flax", "optax", "numpy", "pandas",
    "matplotlib", "scipy", "pyarrow", "tokenizers", "safetensors",
    "transformers", "trl", "torch",
)  # fmt: skip


def build_manifest(
    *,
    config: Any,
    seed: int | Sequence[int] | None = None,
    dtype: str | None = None,
    device: str | None = None,
    data_digest: str | None = None,
    wall_seconds: float | None = None,
    commit: str | None = None,
    **extra: Any,
) -> dict[str, Any]:
    """Says how a result came about.

    Args:
      config: a dataclass instance or mapping: the resolved configuration.
      seed: the seed or seeds.
      dtype: the floating-point type, such as "float32".
      device: the device kind, such as "cpu"; passed in, since tables know no jax.
      data_digest: hex SHA-256 of the data that was read.
      wall_seconds: wall time of the run.
      commit: from `code_commit` when a long run began; by default that of now.
      **extra: further entries.

    Returns:
      A dict of plain JSON values, with versions, commit, platform and time added.
    """
    return {
        "created_utc": datetime.datetime.now(datetime.UTC).isoformat(
            timespec="seconds"
        ),
        "config": _plain(config),
        "seed": _plain(seed),
        "dtype": dtype,
        "device": device,
        "data_digest": data_digest,
        "wall_seconds": _plain(wall_seconds),
        **{key: _plain(value) for key, value in extra.items()},
        "versions": _versions(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "commit": commit or code_commit(),
    }


def config_digest(config: Any) -> str:
    """Hex SHA-256 of a configuration, or of what a manifest holds of it."""
    text = json.dumps(_plain(config), sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    """The same value in JSON's types; what JSON lacks becomes a string."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple | set | frozenset):
        entries = sorted(value) if isinstance(value, set | frozenset) else value
        return [_plain(entry) for entry in entries]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    name = getattr(value, "__qualname__", None)
    return f"{value.__module__}:{name}" if name else str(value)


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def code_commit() -> str | None:
    """The commit of gradlab's own checkout; "+changes" when tracked files differ."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():  # installed inside someone else's repository
        return None
    try:
        commit, changes = (
            subprocess.run(
                ["git", "-C", str(root), *command],
                capture_output=True, text=True, check=True, timeout=10,
            ).stdout.strip()
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "-uno"])
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+changes" if changes else "")


def write_manifest(manifest: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Writes a manifest as JSON and adds the digest of each file beside it."""
    path = Path(path)
    beside = sorted(p for p in path.parent.iterdir() if p.is_file() and p != path)
    files = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in beside}
    text = json.dumps({**_plain(manifest), "sha256": files}, indent=2, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_manifest(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a manifest.

    Raises:
      GradlabError: no such file, or not a JSON object.
    """
    try:
        return _plain(read_object(path))  # NaN and infinity are words
    except RecursionError:
        raise GradlabError(f"{path}: nested too deeply") from None
