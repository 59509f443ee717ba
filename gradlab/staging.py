"""The one way of results onto the disk: written whole or not at all.

Files appear in their folder together, after the last of them was written without an
error.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gradlab.disk import FULL, PARTIAL, refusal
from gradlab.errors import GradlabError


@contextlib.contextmanager
def stage(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives an empty folder whose files move into `folder` when the block succeeds.

    Args:
      folder: where the files shall end up; made when missing.
    Yields:
      A temporary folder inside `folder`, so that moving is a rename.
    Raises:
      GradlabError: `folder` can't be made or written, or its disk is full.
    Guarantees: if the block (or the move) ends in any exception, KeyboardInterrupt
      included, `folder` is as it was: new files gone, replaced files restored, folders
      that were made removed. JSON files move last, so a manifest that is there
      describes files that are there.
    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as out, stage(out) as folder:
      ...     _ = (folder / "note.txt").write_text("whole")
    """
    target = Path(folder)
    made = [p for p in (target, *target.parents) if not os.path.lexists(p)]
    partial = None
    try:
        target.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=target))
        yield partial
        _commit(partial, target)
    except OSError as error:
        staged = partial is None or str(partial) in str(error.filename)
        if staged or error.errno in FULL:
            raise refusal(error, target) from error
        raise
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
        with contextlib.suppress(OSError):  # a folder that now has files stays
            for path in made:
                path.rmdir()


def _commit(partial: Path, target: Path) -> None:
    """Moves all files of `partial` into `target`, or none of them."""
    files = [p for p in partial.rglob("*") if p.is_file()]
    files.sort(key=lambda p: (p.suffix == ".json", p))
    for path in files:
        with path.open("rb") as opened:
            os.fsync(opened.fileno())  # a full disk shows here at the latest
    backup = Path(tempfile.mkdtemp(prefix="old-", dir=partial))
    undo: list[tuple[Path, Path, bool]] = []
    try:
        for number, path in enumerate(files):
            final, old = target / path.relative_to(partial), backup / str(number)
            if final.is_dir():
                raise GradlabError(f"can't write {final}: a folder has that name")
            final.parent.mkdir(parents=True, exist_ok=True)
            undo.append((final, old, os.path.lexists(final)))
            if undo[-1][2]:
                os.replace(final, old)
            os.replace(path, final)
    except BaseException:
        for final, old, existed in reversed(undo):
            if old.exists():
                os.replace(old, final)
            elif not existed:
                final.unlink(missing_ok=True)
        raise
