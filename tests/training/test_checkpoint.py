"""A checkpoint that can't be written says so once."""

import asyncio
import sys
import threading

import numpy as np
import pytest

from gradlab.errors import CheckpointError
from gradlab.training.checkpoint import Checkpoints

FULL = ValueError("RESOURCE_EXHAUSTED: No space left on device")


class FailsLate:
    """What a thread of the storage does whose event loop is closed already."""

    def __del__(self):
        loop = asyncio.new_event_loop()
        loop.close()
        loop.call_soon_threadsafe(print)


class FailsOtherwise:
    def __del__(self):
        raise RuntimeError("another")


def in_a_thread(kind):
    thread = threading.Thread(target=lambda: [kind()].clear())
    thread.start()
    thread.join()


@pytest.fixture
def shown(monkeypatch):
    """What an interpreter would show of exceptions that nobody can catch."""
    found = []
    monkeypatch.setattr(
        sys, "unraisablehook", lambda report: found.append(str(report.exc_value))
    )
    return found


def test_a_full_disk_is_reported_once(tmp_path, monkeypatch, shown):
    checkpoints = Checkpoints(tmp_path / "run")

    def save(*_, **__):
        in_a_thread(FailsLate)
        raise FULL

    monkeypatch.setattr(checkpoints._manager, "save", save)
    with pytest.raises(CheckpointError, match="no space is left on its disk"):
        checkpoints.save(1, {"w": np.zeros(2)}, {})
    in_a_thread(FailsLate)
    assert not shown
    in_a_thread(FailsOtherwise)
    assert shown == ["another"]
    checkpoints.close()


def test_a_written_one_leaves_reports_alone(tmp_path, shown):
    before = sys.unraisablehook
    checkpoints = Checkpoints(tmp_path / "run")
    checkpoints.save(1, {"w": np.zeros(2)}, {"seen": 3})
    assert sys.unraisablehook is before
    in_a_thread(FailsLate)
    assert shown == ["Event loop is closed"]
    checkpoints.close()
