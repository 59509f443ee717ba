"""Locks between processes, and JSON from outside."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from gradlab.disk import LOCK, hold, locked, only_writer, read_object, refusal
from gradlab.errors import DataError, GradlabError

HOLDER = """
import sys, time
from pathlib import Path
from gradlab.disk import only_writer
with only_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(folder):
    """A process that holds the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_is_refused_and_told_who_writes(tmp_path):
    process = holder(tmp_path / "out")
    try:
        with pytest.raises(GradlabError) as refused, only_writer(tmp_path / "out"):
            pass
        assert f"({process.pid} on " in str(refused.value)
        assert "is writing there; expected it to end" in str(refused.value)
    finally:
        process.kill()
        process.communicate()


def test_the_lock_of_a_killed_process_holds_nobody_up(tmp_path):
    process = holder(tmp_path / "out")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (tmp_path / "out" / LOCK).exists()
    with only_writer(tmp_path / "out"):
        pass
    assert not (tmp_path / "out" / LOCK).exists()


def test_nothing_is_left_behind(tmp_path):
    with only_writer(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b" / LOCK).is_file()
    assert not (tmp_path / "a").exists()
    with only_writer(tmp_path / "a"):
        (tmp_path / "a" / "result").write_text("")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["result"]


def test_files_of_one_folder_are_held_apart(tmp_path):
    with only_writer(tmp_path, "one"):
        with only_writer(tmp_path, "two"):
            pass
        with pytest.raises(GradlabError, match="one: another"), only_writer(
            tmp_path, "one"
        ):  # fmt: skip
            pass


def test_a_lock_file_that_is_removed_meanwhile_is_made_anew(tmp_path, monkeypatch):
    """Between opening and locking its holder may have ended, and removed it."""
    path = tmp_path / LOCK
    calls = []

    def first_time_removed(file, *, wait):
        calls.append(wait)
        if len(calls) == 1:
            path.unlink()
        return hold(file, wait=wait)

    monkeypatch.setattr("gradlab.disk.hold", first_time_removed)
    with locked(path) as held:
        assert held
        assert path.exists()
    assert len(calls) == 2


def test_waiting_for_a_lock(tmp_path):
    code = (
        "import sys; from pathlib import Path; from gradlab.disk import locked\n"
        "with locked(Path(sys.argv[1]), wait=True) as held: print(held)"
    )
    with locked(tmp_path / LOCK):
        command = [sys.executable, "-c", code, str(tmp_path / LOCK)]
        waiting = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(1)
    assert waiting.communicate()[0] == "True\n"


def test_a_disk_without_locks_is_written_all_the_same(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr("fcntl.flock", none)
    with only_writer(tmp_path / "out"):
        pass


def test_a_place_that_can_not_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "out", tmp_path / ("x" * 300)):
        with pytest.raises(GradlabError, match="can't write into"), only_writer(out):
            pass


@pytest.mark.parametrize("there", [True, False])
def test_a_lock_that_is_a_link_is_not_followed(tmp_path, there):
    """The file at its end would be written over."""
    other = tmp_path / "other"
    if there:
        other.write_text("precious")
    out = tmp_path / "out"
    out.mkdir()
    (out / LOCK).symlink_to(other)
    with pytest.raises(GradlabError, match="is a link to elsewhere"), only_writer(out):
        pass
    assert other.exists() == there
    assert not there or other.read_text() == "precious"


def test_reasons_in_words():
    error = refusal(OSError(errno.ENOSPC, "x"), "out")
    assert str(error) == (
        "can't write into out: no space is left on its disk; nothing was changed there"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1, "a": 2}', "the key 'a' stands twice"),
        (b'{"b": {"a": 1, "a": 1}}', "the key 'a' stands twice"),
        (b'{"a":' * 100_000, "not readable as JSON"),
        (b"[1]", r"expected a JSON object, found \[1\]"),
        (b"\xff", "not readable as JSON"),
        (b'{"a": ' + b"1" * 5000 + b"}", "not readable as JSON"),
    ],
    ids=["twice", "twice inside", "deep", "list", "bytes", "long number"],
)
def test_objects_that_are_refused(content, message, tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as refused:
        read_object(path, DataError)
    assert str(refused.value).startswith(str(path))


def test_pipes_and_large_files_are_not_read(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(GradlabError, match="not a regular file"):
        read_object(tmp_path / "pipe")
    monkeypatch.setattr("gradlab.disk.MAX_JSON_BYTES", 3)
    (tmp_path / "large").write_text("{  }")
    with pytest.raises(GradlabError, match="larger than 3 bytes"):
        read_object(tmp_path / "large")
    with pytest.raises(GradlabError, match="absent: no such file"):
        read_object(tmp_path / "absent")
