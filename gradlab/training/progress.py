"""Progress of a training run: a bar on a terminal, plain lines elsewhere."""

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from gradlab.inputs.progress import EVERY_SECONDS, say

Watch = Callable[[int, dict[str, float]], None]


@contextlib.contextmanager
def training_progress(console: Console, total: int, first: int = 0) -> Iterator[Watch]:
    """Shows loss, margin, drift of the chosen responses, tokens/s and time left.

    Args:
      console: where to show it.
      total: steps of the run.
      first: steps that were finished before.

    Yields:
      watch(step, numbers), to be called behind every step.
    """
    watch = _Shown(total, first)
    if not console.is_terminal:
        yield lambda step, numbers: watch.line(console, step, numbers)
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("compiling", total=total, completed=first)

        def update(step: int, numbers: dict[str, float]) -> None:
            text = watch.text(step, numbers)
            bar.update(task, completed=step, description=text)

        yield update


class _Shown:
    """What is said of a step."""

    def __init__(self, total: int, first: int) -> None:
        self.total = total
        # The first step compiles: speed is measured from its end on.
        self.begun: tuple[float, int, float] | None = None
        self.said = time.monotonic()
        self.first = first

    def text(self, step: int, numbers: dict[str, float]) -> str:
        now = time.monotonic()
        if self.begun is None:
            self.begun = (now, step, numbers["num_tokens"])
        parts = [f"loss {numbers['loss']:.4g}"]
        margin = numbers.get("rewards/margins", numbers.get("logps_sum/margins"))
        for name, value in (
            ("margin", margin),
            ("chosen drift", numbers.get("drift/chosen")),
        ):
            if value is not None:
                parts.append(f"{name} {value:+.3g}")
        seconds, steps = now - self.begun[0], step - self.begun[1]
        if steps:
            rate = (numbers["num_tokens"] - self.begun[2]) / max(seconds, 1e-9)
            left = seconds / steps * (self.total - step)
            parts += [f"{rate:,.0f} tokens/s", f"{_clock(left)} left"]
        return ", ".join(parts)

    def line(self, console: Console, step: int, numbers: dict[str, float]) -> None:
        text = self.text(step, numbers)
        now = time.monotonic()
        due = now - self.said >= EVERY_SECONDS
        if due or step in (self.first + 1, self.total):
            self.said = now
            line = f"step {step}/{self.total}: {text}"
            say(console, line)


def _clock(seconds: float) -> str:
    """An example: 3725 seconds are 1:02:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
