"""The disk: whose a folder is while a run writes into it, why a write fails, JSON.

A lock is a small file that the kernel locks for the process that made it. It ends with
the process, however that ends: a file that a killed one left behind holds nobody up.
"""

import contextlib
import errno
import json
import os
import re
import reprlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from gradlab.errors import GradlabError

LOCK, PARTIAL = ".lock", ".partial-"
MAX_JSON_BYTES = 1 << 24  # empty lists take 25 times that in memory
TRIES = 100  # of taking a lock whose file others remove at the same time
_REASONS = {
    errno.ENOSPC: "no space is left on its disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file would grow over the size limit",
    errno.EIO: "its disk reports an error",
    errno.EROFS: "it lies on a read-only file system",
    errno.EACCES: "it is not writable",
    errno.EPERM: "it is not writable",
    errno.ENOTDIR: "a part of that path is a file, not a folder",
    errno.EEXIST: "it is a file; a folder was expected",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ELOOP: "its lock file is a link to elsewhere, or its path a circle of links",
}
# What no program can foresee: a write of any kind may end in these.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
# What a path may end in that no file can be reached by, however it is used.
UNREACHABLE = (
    errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EACCES,
    errno.EPERM,
)  # fmt: skip
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # of some network disks


def reason(error: OSError) -> str:
    """Why a write failed, in words."""
    return _REASONS.get(error.errno or 0, error.strerror or str(error))


def refusal(error: OSError, path: str | os.PathLike) -> GradlabError:
    """The message for a folder or file that can't be written."""
    return GradlabError(
        f"can't write into {path}: {reason(error)}; nothing was changed there"
    )


def is_content(path: Path) -> bool:
    """False for what a process leaves in a folder that was killed while it wrote."""
    return path.name != LOCK and not path.name.startswith(PARTIAL)


def hold(file: IO[Any], *, wait: bool = False) -> bool:
    """Locks an open file for this process; the lock ends when the file is closed.

    Args:
      file: open.
      wait: until another process gives it up.

    Returns:
      Whether it is held. True also where the system has no locks.
    """
    try:
        import fcntl
    except ImportError:  # no such module on Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Holds a lock file for this process.

    Args:
      path: of the lock file; it and its folder are made when missing.
      wait: until another process gives it up.

    Yields:
      Whether it is held; always when waiting.

    Raises:
      GradlabError: the file can't be made.

    Guarantees:
      Afterwards the file is gone, and so are folders that were made for it and that
      stayed empty.
    """
    made = [p for p in path.parents if not os.path.lexists(p)]
    file = None
    try:
        file = _taken(path, wait)
        yield file is not None
    finally:
        if file is not None:
            with contextlib.suppress(OSError):
                path.unlink()
            file.close()
        with contextlib.suppress(OSError):  # a folder that now has files stays
            for folder in made:
                folder.rmdir()


def _taken(path: Path, wait: bool) -> IO[str] | None:
    """The lock file, open and locked; None where another process holds it."""
    for _ in range(TRIES):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = _opened(path)
        except FileNotFoundError:
            continue  # its holder has just removed it, with the folder
        except OSError as error:
            raise refusal(error, path.parent) from error
        try:
            if not hold(file, wait=wait):
                file.close()
                return None
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                _sign(file)
                return file
        except FileNotFoundError:
            pass
        except BaseException:
            file.close()
            raise
        file.close()  # its holder has removed the file that was waited for
    raise GradlabError(f"can't write into {path.parent}: {path.name} can't be made")


def _opened(path: Path) -> IO[str]:
    """A file, made when missing; not one elsewhere, since it will be written over."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    return os.fdopen(os.open(path, flags, 0o666), "r+", encoding="utf-8")


def _sign(file: IO[str]) -> None:
    """Says whose the lock is; a lock holds on a full disk too."""
    with contextlib.suppress(OSError):
        file.truncate(0)
        file.write(f"{os.getpid()} on {socket.gethostname()}")
        file.flush()


def only_writer(folder: Path, file: str = "") -> contextlib.AbstractContextManager:
    """Holds a folder, or one file in it, for this process.

    Args:
      folder: made when missing, and removed again if it stays empty.
      file: its name; other files of the folder are then free.

    Raises:
      GradlabError: another process holds it, or the folder can't be written.
    """
    return _only_writer(folder, folder / (f".{file}{LOCK}" if file else LOCK), file)


@contextlib.contextmanager
def _only_writer(folder: Path, lock: Path, file: str) -> Iterator[None]:
    with locked(lock) as held:
        if not held:
            raise GradlabError(
                f"{folder / file}: another process{_holder(lock)} is writing there; "
                "expected it to end, or another --out"
            )
        yield


def _holder(lock: Path) -> str:
    """' (1234 on host)', where the lock tells."""
    try:
        text = lock.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
    return f" ({text})" if re.fullmatch(r"\d+ on [\w.-]{1,64}", text) else ""


def read_object(
    path: str | os.PathLike, error: type[GradlabError] = GradlabError
) -> dict[str, Any]:
    """The JSON object that a file holds.

    Args:
      path: the file; it may come from anywhere.
      error: the kind of error to raise.

    Raises:
      GradlabError: no such file, no regular one (a pipe would never end), too large,
        not JSON, nested too deeply, not an object, or one with a key twice, of which
        one reader takes the first and another the last.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise error(f"{path}: not a regular file")
        if path.stat().st_size > MAX_JSON_BYTES:
            raise error(f"{path}: larger than {MAX_JSON_BYTES:,} bytes")
        found = json.loads(
            path.read_text(encoding="utf-8"), object_pairs_hook=_without_repeats
        )
    except FileNotFoundError:
        raise error(f"{path}: no such file") from None
    except GradlabError:
        raise
    except (OSError, ValueError, RecursionError) as cause:
        raise error(f"{path}: not readable as JSON: {cause}") from cause
    if not isinstance(found, dict):
        raise error(f"{path}: expected a JSON object, found {reprlib.repr(found)}")
    return found


def _without_repeats(items: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in items:
        if key in found:
            raise ValueError(f"the key {key[:40]!r} stands twice in one object")
        found[key] = value
    return found
