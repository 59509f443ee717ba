"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from gradlab.escapes import plain

EVERY_SECONDS = 10.0


def say(console: Console, line: str) -> None:
    """Prints a line as text: no markup, no colours, no breaks, nothing hidden."""
    shown = plain(line, keep="\n")
    console.print(shown, highlight=False, markup=False, emoji=False, soft_wrap=True)


@contextlib.contextmanager
def counting(
    console: Console, what: str, total: int, *, unit: str
) -> Iterator[Callable[[int], None]]:
    """Counts work up to `total`; gives the function that advances the count.

    Args:
      console: where to show it.
      what: the work, e.g. "scoring".
      total: how many units there are.
      unit: their name, in the plural.

    Yields:
      advance(n): n more units are done.
    """
    if console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(what, total=total)
            yield lambda n: bar.advance(task, n)
        return
    yield _Lines(console, what, total, unit)


class _Lines:
    """One line at the start, every few seconds, and at the end."""

    def __init__(self, console: Console, what: str, total: int, unit: str) -> None:
        self.console, self.what, self.total, self.unit = console, what, total, unit
        self.done = 0
        self.started = self.said = time.monotonic()
        say(console, f"{what} {total} {unit}")

    def __call__(self, n: int) -> None:
        self.done += n
        now = time.monotonic()
        if self.done >= self.total or now - self.said >= EVERY_SECONDS:
            self.said = now
            rest = (now - self.started) / self.done * (self.total - self.done)
            left = f", about {rest:.0f} s left" if self.done < self.total else ""
            line = (
                f"{self.what}: {self.done}/{self.total} {self.unit} in "
                f"{now - self.started:.0f} s{left}"
            )
            say(self.console, line)
