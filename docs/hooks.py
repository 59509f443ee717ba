"""What mkdocs calls while it builds the site: made pages, order, links."""

import sys
from functools import cache
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from docs.pages import commands, links, site
from gradlab.cli import COMMANDS

pages = cache(site.pages)


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Add what isn't under docs/: made pages, pages and figures of the repository."""
    for address, content in pages().items():
        files.append(File.generated(config, address, content=content))
    for address, path in links.outside().items():
        files.append(File.generated(config, address, abs_src_path=str(path)))
    known = [f.src_uri for f in files if f.is_documentation_page()]
    config.nav = site.navigation(config.nav, known)
    return files


def on_page_markdown(markdown: str, page: Any, files: Files, **_: Any) -> str:
    """End a command's page with its settings, and set the links for the site."""
    address = page.file.src_uri
    for command in COMMANDS:
        if address == commands.address(command):
            markdown = f"{markdown}\n\n{commands.all_settings(command)}"
    return links.for_site(markdown, address, {file.src_uri for file in files})
