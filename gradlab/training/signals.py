"""A request to stop, taken up between two steps."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

STOPPING = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Whether the process was asked to stop, and by which signal."""

    name: str | None = None

    def __bool__(self) -> bool:
        """Whether it was asked."""
        return self.name is not None


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Takes SIGTERM and SIGINT as requests; a second one acts as it always does."""
    request = StopRequest()
    earlier = {kind: signal.getsignal(kind) for kind in STOPPING}

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        request.name = signal.Signals(number).name
        for kind, handler in earlier.items():
            signal.signal(kind, handler)

    try:
        for kind in STOPPING:
            signal.signal(kind, note)
    except ValueError:  # signals reach the main thread only
        yield request
        return
    try:
        yield request
    finally:
        for kind, handler in earlier.items():
            signal.signal(kind, handler)
