"""Settings from a YAML or JSON file, and their comparison. No jax here."""

import dataclasses
import difflib
import reprlib
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from gradlab.errors import GradlabError

T = TypeVar("T")

# What says where a run lies and how it is watched, not what it computes.
NOT_COMPARED = ("config", "out", "resume", "trackers", "reference.cache", "mesh")


def read_config(path: str | Path, kind: type[T]) -> T:
    """The settings in a YAML file (JSON is a part of YAML).

    Args:
      path: holds a mapping; nested settings are nested mappings.
      kind: the dataclass that it fills; what the file leaves out keeps its default.

    Raises:
      GradlabError: no such file, not YAML, an unknown key (near misses are listed), or
        a value of the wrong type; the message names file and key.
    """
    return from_mapping(kind, read_mapping(path, "--config"), source=str(path))


def read_mapping(path: str | Path, given_by: str) -> Mapping[Any, Any]:
    """The keys and values in a YAML file; `given_by` says who named it.

    Raises:
      GradlabError: no such file, or no YAML with keys.
    """
    import yaml

    path = Path(path)
    try:
        if path.exists() and not path.is_file():  # a pipe would never end
            raise GradlabError(f"{path}: not a file, given by {given_by}")
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GradlabError(f"{path}: no such file, given by {given_by}") from None
    except GradlabError:
        raise
    # Of dates and numbers that are none, and of lists in lists without end, too.
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise GradlabError(f"{path}: not readable as YAML: {error}") from error
    if not isinstance(found, Mapping):
        # A few lines of aliases can stand for more than any memory holds.
        shown = reprlib.repr(found)
        raise GradlabError(f"{path}: found {shown}, expected keys with values")
    return found


def from_mapping(
    kind: type[T], found: Mapping[Any, Any], *, source: str, prefix: str = ""
) -> T:
    """A dataclass from plain values; see `read_config`.

    Example:
      >>> from gradlab.training.config import DataSettings
      >>> from_mapping(DataSettings, {"batch_size": 4}, source="x.yaml").batch_size
      4
    """
    hints = get_type_hints(kind)
    values = {}
    for key, value in found.items():
        name = f"{prefix}{key}"
        if key not in hints:
            near = difflib.get_close_matches(str(key), hints, n=2, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}? " if near else ""
            raise GradlabError(
                f"{source}: unknown key '{name}'; {hint}Known: {', '.join(hints)}"
            )
        if dataclasses.is_dataclass(hints[key]):
            if not isinstance(value, Mapping):
                raise _wrong(source, name, value, "keys with values")
            values[key] = from_mapping(
                hints[key],  # pyright: ignore[reportArgumentType]
                value,
                source=source,
                prefix=f"{name}.",
            )
        else:
            values[key] = _converted(hints[key], value, source, name)
    return kind(**values)


def _converted(hint: Any, value: Any, source: str, name: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        inner = next(kind for kind in arguments if kind is not type(None))
        return _converted(inner, value, source, name)
    if origin is Literal:
        if value not in arguments:
            raise _wrong(source, name, value, f"one of {', '.join(arguments)}")
        return value
    if origin is tuple:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise _wrong(source, name, value, "a list")
        return tuple(_converted(arguments[0], v, source, name) for v in value)
    if hint is float:
        return _number(value, source, name)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if type(value) is not hint:
        raise _wrong(source, name, value, hint.__name__)
    return value


def _number(value: Any, source: str, name: str) -> float:
    # YAML 1.1 takes 1e-4, without a point, for a text.
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    raise _wrong(source, name, value, "a number")


def _wrong(source: str, name: str, found: Any, expected: str) -> GradlabError:
    shown = reprlib.repr(found)
    return GradlabError(f"{source}: {name} is {shown}; expected {expected}")


def to_mapping(config: Any) -> dict[str, Any]:
    """The plain values of a settings dataclass, as JSON and YAML hold them."""
    return {f.name: _plain(getattr(config, f.name)) for f in dataclasses.fields(config)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_mapping(value)
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, Path) else value


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """One line for each setting that two runs don't share.

    Example:
      >>> differences({"seed": 0, "data": {"limit": 5}}, {"seed": 1, "data": {}})
      ['seed: 0 there, 1 here', 'data.limit: 5 there, absent here']
    """
    one, other = _flat(old), _flat(new)
    return [
        f"{key}: {one.get(key, 'absent')!s} there, {other.get(key, 'absent')!s} here"
        for key in dict.fromkeys([*one, *other])
        if key not in NOT_COMPARED
        and key.partition(".")[0] not in NOT_COMPARED
        and one.get(key, "absent") != other.get(key, "absent")
    ]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
