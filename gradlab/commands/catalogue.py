"""What `gradlab losses` and `gradlab cite` print."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import rich.box
from rich.console import Console
from rich.table import Table
from rich.text import Text

import gradlab
from gradlab.commands.config import CiteConfig, LossesConfig
from gradlab.errors import GradlabError
from gradlab.escapes import plain
from gradlab.losses import ALIASES, LOSSES
from gradlab.losses.citations import bibtex, entry
from gradlab.losses.describe import describe_loss, list_losses
from gradlab.measures.sources import MEASURED_BY, SOURCES
from gradlab.tables import read_manifest, read_table

OURSELVES = """@software{{gradlab,
  title = {{{{gradlab}}: gradient analysis for preference optimisation of language
    models}},
  author = {{{{The gradlab developers}}}},
  year = {{2026}},
  version = {{{version}}},
  url = {{https://github.com/gradlab/gradlab}},
}}"""


# A word of a loss's label that names no setting and no part of a user's module.
NAME = re.compile(r"(?<![\w.:=])[a-z_0-9]+(?![\w.:=])")


def losses(settings: LossesConfig) -> None:
    """Print the table of losses, or the named ones whole."""
    console = _console()
    for number, name in enumerate(settings.names):
        if number:
            console.rule()
        console.print(Text(plain(describe_loss(name).text(), keep="\n")))
    if not settings.names:
        _list(console, settings.family)


def cite(settings: CiteConfig) -> None:
    """Print BibTeX to stdout, ready to be redirected into a file."""
    if not settings.names:
        raise GradlabError(
            "cite needs the name of a loss ('gradlab losses' lists them), the folder "
            "of a run, or gradlab"
        )
    print("\n\n".join(dict.fromkeys(_entries(settings.names))))


def _entries(names: Sequence[str]) -> Iterator[str]:
    """Entries of losses, of runs by their folders, and of gradlab."""
    for name in names:
        if name == "gradlab":
            yield OURSELVES.format(version=gradlab.__version__)
        elif name not in (*LOSSES, *ALIASES) and Path(name).is_dir():
            yield from _of_run(Path(name))
        else:
            yield bibtex([name])


def _of_run(folder: Path) -> Iterator[str]:
    """The losses that a manifest names, the measures of its summary, and gradlab."""
    manifest = read_manifest(folder / "manifest.json")
    # A comparison has several losses with their settings, a training run one.
    several = manifest.get("losses")
    labels = [*several] if isinstance(several, dict) else [several]
    for name in NAME.findall(" ".join(map(str, [*labels, manifest.get("loss")]))):
        if name in LOSSES or name in ALIASES:
            yield bibtex([name])
    if (folder / "summary.csv").is_file():
        for column in read_table(folder / "summary.csv").columns:
            if key := MEASURED_BY.get(str(column)):
                yield entry(key, SOURCES[key])
    yield OURSELVES.format(version=gradlab.__version__)


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
