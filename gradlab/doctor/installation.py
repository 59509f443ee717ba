"""Versions, extras, devices, precision and the cache of compiled programs."""

import importlib
import os
import platform
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from gradlab.doctor.findings import Finding

# distribution -> module; what gradlab can't do without. The command line itself needs
# tyro, rich and pyyaml: without them there is nobody to ask.
NEEDED = {
    "jax": "jax",
    "jaxlib": "jaxlib",
    "flax": "flax",
    "optax": "optax",
    "orbax-checkpoint": "orbax.checkpoint",
    "numpy": "numpy",
    "scipy": "scipy",
    "pandas": "pandas",
    "pyarrow": "pyarrow",
    "matplotlib": "matplotlib",
    "contourpy": "contourpy",
    "rapidfuzz": "rapidfuzz",
    "safetensors": "safetensors",
    "tokenizers": "tokenizers",
    "jinja2": "jinja2",
}
# extra of gradlab -> distributions
EXTRAS = {
    "hub": ("huggingface_hub", "datasets"),
    "gguf": ("gguf",),
    "tensorboard": ("tensorboardX",),
    "wandb": ("wandb",),
    "trackio": ("trackio",),
    "trl": ("torch", "transformers", "trl"),
}


def installation() -> Iterator[Finding]:
    """One finding for each package, extra and device, for precision and cache.

    Guarantees:
      A package that can't be imported is a finding, not an error.
    """
    yield Finding("python", "ok", f"{platform.python_version()}, {platform.platform()}")
    broken = False
    for name, module in NEEDED.items():
        finding = _package(name, module)
        broken |= finding.verdict == "FAIL"
        yield finding
    yield from map(_extra, EXTRAS)
    if not broken:
        yield _devices()
        yield _precision()
        yield _cache()


def _package(name: str, module: str) -> Finding:
    try:
        importlib.import_module(module)
        return Finding(name, "ok", metadata.version(name))
    except Exception as error:  # two packages that don't fit raise anything
        reason = f"{type(error).__name__}: {error}"
        return Finding(name, "FAIL", f"can't be imported: {reason}")


def _extra(extra: str) -> Finding:
    found, missing = [], []
    for name in EXTRAS[extra]:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    text = ", ".join(found)
    if missing:
        text += "; " if found else ""
        text += f"{', '.join(missing)} not installed: pip install 'gradlab[{extra}]'"
    return Finding(f"extra {extra}", "ok", f"{text} (optional)" if missing else text)


def _devices() -> Finding:
    import jax

    try:
        devices = jax.devices()
    except RuntimeError as error:  # a platform is asked for and not there
        return Finding("devices", "FAIL", " ".join(str(error).split()))
    kinds = sorted({device.device_kind for device in devices})
    text = f"{len(devices)} x {', '.join(kinds)} ({jax.default_backend()})"
    return Finding("devices", "ok", f"{text}, {os.cpu_count()} processor cores")


def _precision() -> Finding:
    import jax

    wide = jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]
    given = jax.config.jax_default_matmul_precision  # pyright: ignore
    text = (
        f"{'float64' if wide else 'float32'} by default; matrix products "
        f"{given or 'default'}, gradlab measures with highest"
    )
    return Finding("precision", "ok", text)


def _cache() -> Finding:
    import jax

    folder = jax.config.jax_compilation_cache_dir  # pyright: ignore
    if not folder or not jax.config.jax_enable_compilation_cache:  # pyright: ignore
        text = "off: every run compiles anew (JAX_ENABLE_COMPILATION_CACHE)"
        return Finding("compile cache", "warn", text)
    path = Path(folder)
    if reason := _unwritable(path):
        text = f"{path}: {reason}; every run compiles anew"
        return Finding("compile cache", "warn", text)
    files = [entry.stat().st_size for entry in _files(path)]
    text = f"{path}: {len(files)} files, {sum(files) / 1e6:.1f} MB, writable"
    return Finding("compile cache", "ok", text)


def _files(folder: Path) -> Iterator[os.DirEntry]:
    """Files of the folder itself: jax makes no folders in it."""
    if folder.is_dir():
        with os.scandir(folder) as entries:
            yield from (entry for entry in entries if entry.is_file())


def _unwritable(folder: Path) -> str:
    """Why nothing can be written there; empty if it can. Nothing is left behind."""
    there = next(p for p in (folder, *folder.absolute().parents) if os.path.lexists(p))
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"0")
    except OSError as error:
        return error.strerror or str(error)
    return ""
