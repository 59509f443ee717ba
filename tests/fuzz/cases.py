"""What the fuzz tests share: how many cases, what is drawn, and what is allowed.

Every input either loads or is refused by a `GradlabError` that names its file. Cases
are drawn from a fixed seed; the slow tier draws far more of them.
"""

import contextlib
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gradlab.errors import GradlabError

SECONDS = 20  # a case that takes longer hangs

HUGE = st.sampled_from([10**400, -(10**400), 2**63, 2**31, -1, 0, 1e308, -1e-320])
ANY_TEXT = st.text(st.characters(), max_size=12)  # lone surrogates too
WORDS = st.sampled_from(
    ["a", " b", "2 + 2 =", "4", "", "</s>", "\0", "Ü\u202e", "x" * 99]
)
TEXTS = WORDS | ANY_TEXT
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | HUGE | TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(TEXTS, inner, max_size=4)
        | inner.map(lambda value: [[[[value]]]])
    ),
    max_leaves=8,
)


def sizes(few: int, many: int):
    """The number of cases `most`: few by default, many in the slow tier."""
    return pytest.mark.parametrize(
        "most", [few, pytest.param(many, marks=pytest.mark.slow)]
    )


def fuzz(most: int, check: Callable[..., Any], *drawn: st.SearchStrategy) -> None:
    """Calls `check` with `most` drawn cases, each of which may take `SECONDS`."""

    @settings(
        max_examples=most,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],  # shrinking a case to the smallest takes minutes
        suppress_health_check=list(HealthCheck),
    )
    @given(st.tuples(*drawn))
    def cases(case):
        with _in_time():
            check(*case)

    cases()


@contextlib.contextmanager
def _in_time() -> Iterator[None]:
    def late(number, frame):
        raise TimeoutError(f"a case took more than {SECONDS} s")

    earlier = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, earlier)


def loads_or_refuses(load: Callable[[], Any], name: str | Path) -> Any:
    """What `load` gives; None where it refuses, naming the file and a reason."""
    try:
        return load()
    except GradlabError as error:
        message = str(error)
        assert str(name) in message, message
        assert len(message) > len(str(name)) + 8, message
        assert len(message) < 20_000, len(message)
        return None


@st.composite
def damaged(draw, whole: bytes) -> bytes:
    """A file with some bytes changed, put in, taken out, doubled or cut off."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        length = draw(st.integers(1, 16))
        kind = draw(st.sampled_from(["change", "insert", "delete", "double", "cut"]))
        if kind == "change":
            junk = draw(
                st.sampled_from([b"\xff" * 8, b"\0" * 8]) | st.binary(max_size=8)
            )
            data[place : place + len(junk)] = junk
        elif kind == "insert":
            data[place:place] = draw(st.binary(max_size=16))
        elif kind == "delete":
            del data[place : place + length]
        elif kind == "double":
            data[place:place] = data[place : place + length]
        elif draw(st.booleans()):
            del data[place:]
    return bytes(data)


def objects(known: dict[str, st.SearchStrategy]) -> st.SearchStrategy[dict]:
    """Objects whose known keys hold what suits them, or anything, or are absent."""
    usual = {key: value | VALUES for key, value in known.items()}
    return st.fixed_dictionaries({}, optional=usual | {"other": VALUES})


def changed(good: dict) -> st.SearchStrategy[dict]:
    """A good object in which some keys hold other things, or are absent."""
    instead = st.dictionaries(st.sampled_from(sorted(good)), VALUES, max_size=3)
    absent = st.sets(st.sampled_from(sorted(good)), max_size=1)
    return st.builds(
        lambda new, gone: {k: v for k, v in (good | new).items() if k not in gone},
        instead,
        absent,
    )


def as_lines(rows: list[Any]) -> bytes:
    """JSON Lines; lone surrogates are escaped, and NaN is written as Python does."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode()
