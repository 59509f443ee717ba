"""Bad rows: refused with file and row, or counted by reason. Never dropped silently."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, get_args

from gradlab.errors import DataError

OnBadRow = Literal["stop", "skip"]
EXAMPLES = 5  # bad rows kept as examples beside the counts


class RowError(Exception):
    """One row can't be used. Caught inside the data layer, never seen by a user.

    Attributes:
      reason: a short category, the same for all rows with this fault.
      detail: what was found and what was expected. It gives types, keys and lengths
        and not the texts, which may be offensive and would end up in logs.
    """

    def __init__(self, reason: str, detail: str) -> None:
        """Keeps both parts, so that rows can be counted by reason."""
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class BadRow:
    """A row that was left out.

    Attributes:
      row: line number (JSON Lines) or row number, from 1.
      reason: the category it is counted under.
      detail: what was found and what was expected.
    """

    row: int
    reason: str
    detail: str


@dataclass
class BadRowLog:
    """Stops at the first bad row, or counts bad rows by reason.

    Attributes:
      source: the file or data set, for messages.
      on_bad_row: "stop" or "skip".
      unit: what a row is called in messages: "line" or "row".
      counts: rows left out so far, by reason.
      examples: the first few of them.
    """

    source: str
    on_bad_row: OnBadRow
    unit: str = "row"
    counts: dict[str, int] = field(default_factory=dict)
    examples: list[BadRow] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Refuses an unknown choice."""
        require_choice("on_bad_row", self.on_bad_row, get_args(OnBadRow))

    def add(self, row: int, error: RowError) -> None:
        """Counts the row, or raises DataError where bad rows stop the reading."""
        bad = BadRow(row, error.reason, error.detail)
        if self.on_bad_row == "stop":
            raise DataError(
                f"{self.describe(bad)}. Mend the {self.unit}, or leave bad rows out"
                " with on_bad_row='skip' (command line: --on-bad-row skip)."
            )
        self.counts[bad.reason] = self.counts.get(bad.reason, 0) + 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(bad)

    def describe(self, bad: BadRow) -> str:
        """'FILE, line 7: REASON: DETAIL'."""
        return f"{self.source}, {self.unit} {bad.row}: {bad.reason}: {bad.detail}"

    def summary(self) -> str:
        """The counts in words: '3 rows left out (2 empty response, 1 not JSON)'."""
        return summarise(self.counts)

    def require_some(self, kept: int, what: str) -> None:
        """Raises DataError unless at least one row is left."""
        if kept:
            return
        if not self.counts:
            raise DataError(f"{self.source}: found no row, expected {what}.")
        raise DataError(
            f"{self.source}: no good row: {self.summary()}."
            f" The first: {self.describe(self.examples[0])}."
        )


def summarise(counts: dict[str, int]) -> str:
    """Counts by reason in words, the most frequent first."""
    total = sum(counts.values())
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    parts = ", ".join(f"{count} {reason}" for reason, count in ordered)
    return f"{total} row{'s'[: total != 1]} left out" + (f" ({parts})" if parts else "")


def require_choice(name: str, found: object, choices: Iterable[str]) -> None:
    """Raises DataError unless the argument is one of the choices."""
    choices = tuple(choices)
    if found not in choices:
        expected = ", ".join(repr(choice) for choice in choices)
        raise DataError(f"{name}: found {found!r}, expected one of {expected}.")


def require_count(name: str, found: object, least: int = 1) -> None:
    """Raises DataError unless the argument is an integer of at least `least`."""
    if not isinstance(found, int) or isinstance(found, bool) or found < least:
        raise DataError(f"{name}: found {found!r}, expected an integer >= {least}.")
