"""The findings as a table on a terminal, and as plain lines elsewhere."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gradlab.doctor.findings import Finding
from gradlab.inputs.printing import plain

STYLES = {"ok": "green", "warn": "yellow", "FAIL": "bold red"}


def print_findings(findings: Sequence[Finding]) -> None:
    """Prints a line for each finding to stdout, and how many there are of a kind."""
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(_table(findings))
    else:
        width = max(len(plain(finding.name)) for finding in findings)
        for found in findings:
            line = f"{found.verdict:4}  {plain(found.name):{width}}  {_words(found)}"
            print(line)
    count = Counter(finding.verdict for finding in findings)
    parts = [f"{count[verdict]} {verdict}" for verdict in STYLES]
    print(f"{len(findings)} findings: {', '.join(parts)}")


def _words(finding: Finding) -> str:
    """Number and limit, then the text; nothing in it steers a terminal."""
    return plain(
        f"{finding.number}: {finding.text}" if finding.number else finding.text
    )


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for overflow in (None, "fold", "fold"):
        table.add_column(overflow=overflow or "ellipsis", no_wrap=overflow is None)
    for found in findings:
        verdict = Text(found.verdict, style=STYLES[found.verdict])
        table.add_row(verdict, Text(plain(found.name)), Text(_words(found)))
    return table
