"""One page per command: its guide, where there is one, and every setting."""

import contextlib
import inspect
import io
import os
from pathlib import Path
from unittest import mock

from docs.pages.text import escape
from gradlab.cli import COMMANDS, main

DOCS = Path(__file__).resolve().parents[1]
# command -> guide whose name isn't the command's
GUIDES = {"rank": "ranking.md", "sweep": "sweeps.md"}
WIDTH = 84  # columns that a page shows without scrolling


def address(command: str) -> str:
    """Where the page of a command lies in the site."""
    for place in (GUIDES.get(command), f"commands/{command}.md", f"{command}.md"):
        if place and (DOCS / place).is_file():
            return place
    return f"commands/{command}.md"


def pages() -> dict[str, str]:
    """Address in the site -> text, of the commands that no guide describes yet."""
    made = {"commands/index.md": index_page()}
    for command, (kind, _) in COMMANDS.items():
        if not (DOCS / address(command)).is_file():
            summary = escape(inspect.getdoc(kind) or "")
            made[address(command)] = f"# gradlab {command}\n\n{summary}"
    return made


def index_page() -> str:
    """All commands with the first line of their help."""
    lines = ["| command | what it does |", "| --- | --- |"]
    for command, (kind, _) in COMMANDS.items():
        summary = (inspect.getdoc(kind) or "").splitlines()[0]
        link = os.path.relpath(address(command), "commands")
        lines.append(f"| [`gradlab {command}`]({link}) | {escape(summary)} |")
    return "# Commands\n\n" + "\n".join(lines)


def all_settings(command: str) -> str:
    """The section that every command's page ends with."""
    return f"## All settings\n\n```text\n{help_text(command)}\n```\n"


def help_text(command: str) -> str:
    """What `gradlab COMMAND --help` prints about settings, `WIDTH` columns wide."""
    printed = io.StringIO()
    size = {"COLUMNS": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb"}
    with (
        mock.patch.dict(os.environ, size),
        contextlib.redirect_stdout(printed),
        contextlib.suppress(SystemExit),
    ):
        main([command, "--help"])
    # Sections are underlined; what comes before the first is the page's summary.
    lines = [line.rstrip() for line in printed.getvalue().splitlines()]
    first = next(i for i, line in enumerate(lines) if line.strip(" -") == "" != line)
    return "\n".join(lines[first - 1 :]).strip("\n")
