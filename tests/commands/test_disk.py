"""Full and read-only disks, interrupts, and two runs at once: nothing half-written."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from gradlab import staging
from gradlab.cli import main
from gradlab.disk import only_writer
from tests.commands.conftest import WRITERS

SHORT = ("rank", "report", "table")  # they load no jax
LONG = [pytest.param(name, marks=pytest.mark.slow) for name in WRITERS]
EACH = pytest.mark.parametrize("command", [*SHORT, "compare", *LONG])


def contents(folder):
    return {p.relative_to(folder): p.is_file() for p in folder.rglob("*")}


def one_message(capsys) -> str:
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert error.count("gradlab: ") == 1
    return error.partition("gradlab: ")[2]


@pytest.mark.parametrize("command", ["compare", "drift", "length", "train", "rank"])
def test_the_second_of_two_runs_is_refused(command, arguments, tmp_path, capsys):
    out = tmp_path / "out"
    with only_writer(out, "p.jsonl" if command == "rank" else ""):
        before = contents(out)
        assert main(arguments(command, out)) == 2
        assert contents(out) == before
    message = one_message(capsys)
    assert str(out) in message
    assert f"another process ({os.getpid()} on " in message


@EACH
def test_a_full_disk(command, arguments, tmp_path, capsys, monkeypatch):
    """There is no room for the first result that the command makes."""

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(staging, "_commit", full)
    out = tmp_path / "out"
    assert main(arguments(command, out)) == 2
    assert "no space is left on its disk" in one_message(capsys)
    assert not finished(out)


def finished(out):
    """Results of a run; checkpoints, settings and judgements may stay."""
    names = ("*.parquet", "summary.csv", "manifest.json", "p.html", "t.tex", "p.jsonl")
    return [path for name in names for path in out.rglob(name)]


@EACH
@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM"])
def test_stopped_while_writing(command, how, arguments, tmp_path, capsys, monkeypatch):
    def stop(*_, **__):
        if how == "Ctrl-C":
            raise KeyboardInterrupt
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(staging, "_commit", stop)
    if command in ("train", "sweep"):
        pytest.skip("they take a signal as a request, between two steps")
    out = tmp_path / "out"
    status = main(arguments(command, out))
    assert status == (130 if how == "Ctrl-C" else 143)
    assert "nothing unfinished was left behind" in one_message(capsys)
    assert not finished(out)
    if command != "rank":  # whose judgements stay
        assert not out.exists()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@EACH
def test_a_read_only_disk(command, arguments, mounted, capsys):
    out = mounted(64, "ro") / "out"
    assert main(arguments(command, out)) == 2
    assert "read-only file system" in one_message(capsys)
    assert not out.exists()


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [4, 16, 48, 128])
@pytest.mark.parametrize("command", WRITERS)
def test_a_small_disk(command, kilobytes, arguments, mounted, capsys):
    """A real disk, full at some moment or other: all is written, or nothing."""
    out = mounted(kilobytes) / "out"
    given = arguments(command, out)
    if command in ("train", "sweep"):  # orbax's threads may fail later than the command
        done = subprocess.run(
            [sys.executable, "-m", "gradlab", *given], capture_output=True, text=True
        )
        status, message = done.returncode, done.stderr
        assert "Traceback" not in message, message
        assert message.count("gradlab: ") == (status != 0)
    else:
        status = main(given)
        message = one_message(capsys) if status else ""
    if status == 0:
        assert finished(out)
        return
    assert status == 2
    assert "no space is left on its disk" in message, message
    assert not [path for path in out.rglob(".partial-*")]
    left = finished(out)
    assert not left, left


def test_a_small_disk_is_too_small_for_a_report(arguments, mounted, capsys):
    out = mounted(8) / "out"
    assert main(arguments("report", out)) == 2
    assert "no space is left on its disk" in one_message(capsys)
    assert not out.exists()
