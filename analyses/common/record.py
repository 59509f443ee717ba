"""What a run of a study has gathered so far, and how long it may go on."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import jax

from analyses.common.rows import Row

OVER = "the time limit was reached first"


@dataclass
class Record:
    """Rows and omissions of a run.

    Attributes:
      time_limit: seconds after which no further part is begun.
      rows: of the table.
      skipped: part, kind or claim -> why it has no rows, or not of every seed.
      started: when.
    """

    time_limit: float
    rows: list[Row] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """A progress line."""
        seconds = time.monotonic() - self.started
        print(f"{seconds:6.0f} s  {text}", file=sys.stderr, flush=True)

    def add(self, name: str, part: Callable[[], Iterable[Row]]) -> None:
        """Runs a part unless the time limit is over; then it is marked as skipped."""
        if time.monotonic() - self.started > self.time_limit:
            self.skipped[name] = OVER
            return
        self.rows.extend(part())


@contextlib.contextmanager
def compile_effort(*, quick: bool) -> Iterator[None]:
    """Lets XLA optimise less while the block runs, or as usual."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", quick)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)
