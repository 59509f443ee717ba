"""What `gradlab losses` and `gradlab cite` print."""

import rich.box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gradlab.commands.config import CiteConfig, LossesConfig
from gradlab.errors import GradlabError
from gradlab.losses.citations import bibtex
from gradlab.losses.describe import describe_loss, list_losses


def losses(settings: LossesConfig) -> None:
    """Print the table of losses, or the named ones whole."""
    console = _console()
    for number, name in enumerate(settings.names):
        if number:
            console.rule()
        console.print(Text(describe_loss(name).text()))
    if not settings.names:
        _list(console, settings.family)


def cite(settings: CiteConfig) -> None:
    """Print BibTeX to stdout, ready to be redirected into a file."""
    if not settings.names:
        raise GradlabError("cite needs the name of a loss; 'gradlab losses' lists them")
    print(bibtex(settings.names))


def _console() -> Console:
    """A file has no width: never wrap a formula there."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 140
    return console


def _list(console: Console, family: str | None) -> None:
    rows = list_losses()
    families = list(dict.fromkeys(row["family"] for row in rows))
    if family is not None and family not in families:
        raise GradlabError(
            f"--family {family!r} is unknown; expected one of {', '.join(families)}"
        )
    table = Table(box=rich.box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("loss", "family", "value of one pair", "reference", "citation"):
        table.add_column(heading, no_wrap=heading == "loss", overflow="fold")
    for row in rows:
        if family in (None, row["family"]):
            reference = "yes" if row["needs_reference"] else "no"
            cells = (row["name"], row["family"], row["formula"], reference)
            table.add_row(*map(Text, (*cells, row["citation"])))
    console.print(table)
