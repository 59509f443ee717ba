"""All pages that aren't written by hand, and the order of the site."""

from collections.abc import Collection, Sequence
from fnmatch import fnmatch
from typing import Any

from docs.pages import api, commands, losses, measures, notebooks
from gradlab.cli import COMMANDS

GENERATED = (losses, measures, commands, api, notebooks)


def pages() -> dict[str, str | bytes]:
    """Address in the site -> content."""
    made: dict[str, str | bytes] = {}
    for part in GENERATED:
        made |= part.pages()
    return made


def navigation(nav: Sequence[Any], known: Collection[str]) -> list[Any]:
    """The order of the site with its placeholders filled.

    Args:
      nav: of mkdocs.yml; an entry may be "commands", "losses", "measures" or a pattern
        such as "api/*.md", which stands for all pages that no entry names.
      known: addresses of all pages.
    """
    grouped = {
        "(commands)": [{name: commands.address(name)} for name in COMMANDS],
        "(losses)": _groups("losses", losses.families()),
        "(measures)": _groups("measures", measures.topics()),
    }
    named = {*_named(nav), *_named(list(grouped.values()))}
    rest = sorted(page for page in known if page not in named)

    def filled(entry: Any) -> list[Any]:
        if isinstance(entry, dict):
            ((title, below),) = entry.items()
            inside = below if isinstance(below, str) else navigation_of(below)
            return [{title: inside}]
        if entry in grouped:
            return grouped[entry]
        if "*" in entry:
            depth = entry.count("/")
            matches = [p for p in rest if fnmatch(p, entry) and p.count("/") == depth]
            return matches
        return [entry]

    def navigation_of(entries: Sequence[Any]) -> list[Any]:
        return [one for entry in entries for one in filled(entry)]

    return navigation_of(nav)


def _groups(folder: str, groups: dict[str, list[str]]) -> list[Any]:
    return [
        {title: [{name: f"{folder}/{name}.md"} for name in names]}
        for title, names in groups.items()
    ]


def _named(nav: Any) -> set[str]:
    """Every page that a part of the order names."""
    if isinstance(nav, str):
        return {nav}
    below = nav.values() if isinstance(nav, dict) else nav
    return {page for part in below for page in _named(part)}
