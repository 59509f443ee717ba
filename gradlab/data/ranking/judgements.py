"""Judgements on the disk: JSON Lines that only grow, so that no question is paid twice.

The first line names the judge. Every other one is a question (`row`, the numbers
`first` and `second` of the completions as shown, a `digest` of line and texts, and of
scores and solution where the judge reads them) with the `preference` for the first one,
or with the reason why there is none (`failed`). Both tell what was spent: `unanswered`
attempts by reason, and tokens.
"""

import json
import os
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gradlab.data.badrows import RowError
from gradlab.data.ranking.judges import Question, digest
from gradlab.data.ranking.retry import Trial
from gradlab.data.sources import jsonl_rows
from gradlab.disk import hold, reason
from gradlab.errors import DataError, JudgeError

FORMAT = "gradlab judgements 1"
MAX_LINE_BYTES = 1 << 20
MAX_REPLY = 2000  # characters of a judge's words that are kept
Key = tuple[int, int, str]


@dataclass
class Cost:
    """What judgements cost.

    Attributes:
      judgements: questions that were answered.
      failed: questions that weren't, all attempts together.
      unanswered: attempts that failed, by reason.
      prompt_tokens: that the judge read, where it tells.
      completion_tokens: that it wrote, where it tells.
    """

    judgements: int = 0
    failed: int = 0
    unanswered: Counter[str] = field(default_factory=Counter)
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def attempts(self) -> int:
        """How often the judge was asked."""
        return self.judgements + self.unanswered.total()

    def add(self, line: dict[str, Any]) -> None:
        """Adds one line of the file."""
        if "failed" in line:
            self.failed += 1
        else:
            self.judgements += 1
        self.unanswered.update(line.get("unanswered", ()))
        self.prompt_tokens += line.get("prompt_tokens", 0)
        self.completion_tokens += line.get("completion_tokens", 0)

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, for a manifest."""
        return {
            "judgements": self.judgements,
            "failed": self.failed,
            "attempts": self.attempts,
            "unanswered": dict(sorted(self.unanswered.items())),
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
        }


class Judgements:
    """A file of judgements, open for finding and adding. A context manager.

    Guarantees: a judgement is in the file before `add` returns, whole or (when the
    process is killed in that moment) not at all: what is left of a line is cut off when
    the file is opened again. One process at a time has the file open.
    """

    def __init__(self, path: str | Path, identity: dict[str, Any]) -> None:
        """Opens the file, and reads it where there is one.

        Args:
          path: the file; made when missing.
          identity: of the judge.

        Raises:
          DataError: it holds something else, is damaged, or can't be written.
          JudgeError: it holds the judgements of another judge.
        """
        self.path = Path(path)
        self.cost = Cost()
        self._found: dict[Key, float] = {}
        self._writing = threading.Lock()
        self._header = json.dumps({"format": FORMAT, "judge": identity}) + "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a+b", buffering=0)
        except OSError as error:
            raise DataError(f"{path}: can't be written: {error.strerror}.") from error
        try:
            self._lock()
            self._mend()
            self._read(json.loads(self._header)["judge"])
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        """The open file."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the file, its lines safe on the disk; one without any goes away."""
        with self._writing:
            try:
                os.fsync(self._file.fileno())
            except OSError as failure:
                raise DataError(
                    f"{self.path}: can't be written: {reason(failure)}"
                ) from failure
            finally:
                if not (self.cost.judgements or self.cost.failed):
                    self.path.unlink(missing_ok=True)
                self._file.close()

    def __len__(self) -> int:
        """How many questions are answered."""
        return len(self._found)

    def find(self, question: Question) -> float | None:
        """The preference for the first one, if the question was answered before."""
        return self._found.get(_key(question))

    def add(self, question: Question, trial: Trial) -> None:
        """Writes down what became of a question; may be called from any thread.

        Raises:
          DataError: the line can't be written, for want of space say.
        """
        line = _line(question, trial)
        with self._writing:
            self._write((json.dumps(line) + "\n").encode())
            self._keep(line)

    def _write(self, text: bytes) -> None:
        before = self._file.seek(0, os.SEEK_END)
        try:
            if self._file.write(text) == len(text):
                return
            why = "no space is left on its disk"
        except OSError as error:
            why = reason(error)
        self._file.truncate(before)
        raise DataError(
            f"{self.path}: can't be written: {why}; run again to go on from there"
        )

    def _keep(self, line: dict[str, Any]) -> None:
        self.cost.add(line)
        if "failed" not in line:
            key = (line["first"], line["second"], line["digest"])
            self._found[key] = float(line["preference"])

    def _lock(self) -> None:
        if not hold(self._file):
            raise DataError(
                f"{self.path}: another process is adding judgements to it; wait for "
                "it, or name another file"
            )

    def _mend(self) -> None:
        """Begins a new file; cuts a torn last line off an old one."""
        self._file.seek(0)
        head = self._file.readline(MAX_LINE_BYTES)
        header = self._header.encode()
        if not head.endswith(b"\n"):
            if not header.startswith(head):
                raise self._foreign()
            self._file.truncate(0)
            self._write(header)
            return
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(max(0, size - MAX_LINE_BYTES))
        tail = self._file.read()
        whole = tail.rfind(b"\n") + 1
        # Its own first line is checked before a byte of the file is removed.
        if whole < len(tail) and head.startswith(b'{"format": "gradlab'):
            self._file.truncate(size - (len(tail) - whole))

    def _read(self, identity: dict[str, Any]) -> None:
        rows = jsonl_rows(self.path, max_line_bytes=MAX_LINE_BYTES)
        head = next(rows)[1]
        if isinstance(head, RowError) or head.get("format") != FORMAT:
            raise self._foreign()
        if head.get("judge") != identity:
            raise JudgeError(
                f"{self.path} holds judgements of another judge: found "
                f"{json.dumps(head.get('judge'))}, expected {json.dumps(identity)}; "
                "name another file (--judgements), or move this one away"
            )
        for number, line in rows:
            try:
                if isinstance(line, RowError):
                    raise line
                self._keep(dict(line))
            except (RowError, KeyError, TypeError, ValueError) as error:
                raise DataError(
                    f"{self.path}, line {number}: not a judgement: {error}; mend or "
                    "remove the line"
                ) from error

    def _foreign(self) -> DataError:
        return DataError(
            f"{self.path}: found a file of something else, expected judgements that "
            "gradlab wrote, or no file yet"
        )


def _key(question: Question) -> Key:
    return question.first, question.second, _digest(question)


def _digest(question: Question) -> str:
    item, known = question.item, []
    if item.scores is not None:
        known += [item.scores[question.first], item.scores[question.second]]
    if item.solution is not None:
        known.append(item.solution)
    return digest(question.digest, *known) if known else question.digest


def _line(question: Question, trial: Trial) -> dict[str, Any]:
    line: dict[str, Any] = {
        "row": question.item.row,
        "first": question.first,
        "second": question.second,
        "digest": _digest(question),
    }
    if trial.answer is None:
        line["failed"] = trial.detail[:MAX_REPLY]
    else:
        line["preference"] = trial.answer.preference
    if trial.unanswered:
        line["unanswered"] = list(trial.unanswered)
    for key in ("prompt_tokens", "completion_tokens"):
        if getattr(trial, key):
            line[key] = getattr(trial, key)
    if trial.answer is not None and trial.answer.reply is not None:
        line["reply"] = trial.answer.reply[:MAX_REPLY]
    return line
