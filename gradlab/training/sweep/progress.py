"""Progress over the runs of a sweep: a bar on a terminal, plain lines elsewhere."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from gradlab.escapes import plain
from gradlab.inputs.progress import EVERY_SECONDS, say
from gradlab.training.progress import Watch


@dataclass
class Board:
    """What is shown of a sweep.

    Attributes:
      console: for lines.
      total: runs.
      show: replaces the line beside the bar, or prints it where there is none.
      ended: runs that need no more work here.
    """

    console: Console
    total: int
    show: Callable[[str, int], None]
    ended: int = 0

    def say(self, line: str) -> None:
        """Prints a line that stays."""
        say(self.console, line)

    def end(self, name: str, how: str) -> None:
        """One run is done with."""
        self.ended += 1
        say(self.console, f"{self.ended}/{self.total} {name}: {how}")

    def watch(self, name: str) -> Callable[[int, int], Watch]:
        """What sees the steps of a run: now and then its loss is shown."""

        def begin(steps: int, first: int) -> Watch:
            if first:
                self.say(f"{name}: goes on from step {first}")

            def seen(step: int, numbers: dict[str, float]) -> None:
                line = f"{name}: step {step}/{steps}, loss {numbers['loss']:.4g}"
                self.show(line, self.ended)

            return seen

        return begin


@contextlib.contextmanager
def board(console: Console, total: int) -> Iterator[Board]:
    """Shows the runs of a sweep until the block ends."""
    if not console.is_terminal:
        yield Board(console, total, _lines(console))
        return
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("loading", total=total)
        yield Board(
            console,
            total,
            lambda line, ended: bar.update(
                task, description=plain(line), completed=ended
            ),
        )


def _lines(console: Console) -> Callable[[str, int], None]:
    said = time.monotonic()

    def show(line: str, ended: int) -> None:
        nonlocal said
        del ended
        if time.monotonic() - said >= EVERY_SECONDS:
            said = time.monotonic()
            say(console, line)

    return show
