"""Links that hold on the site as they do in the repository."""

import os
import posixpath
import re
from collections.abc import Collection
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# place in the repository -> address in the site, for pages from outside docs/
OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "analyses/README.md": "analyses/index.md",
    "analyses/CLAIMS.md": "analyses/claims.md",
    "figures/README.md": "figures/index.md",
}
SOURCE = "https://github.com/gradlab/gradlab/blob/main"
_LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")


def outside() -> dict[str, Path]:
    """Address in the site -> file, of pages and pictures from outside docs/."""
    files = {address: ROOT / place for place, address in OUTSIDE.items()}
    for picture in sorted((ROOT / "figures").glob("*.png")):
        files[f"figures/{picture.name}"] = picture
    return files


def place_of(address: str) -> str:
    """Where a page of the site lies in the repository."""
    for place, other in OUTSIDE.items():
        if other == address:
            return place
    return f"docs/{address}"


def address_of(place: str) -> str:
    """Where a file of the repository lies in the site, if it is there."""
    return OUTSIDE.get(place, place.removeprefix("docs/"))


def for_site(text: str, address: str, known: Collection[str]) -> str:
    """Links of a page as the site needs them.

    A link to a file of the repository that is on the site leads there, one to any other
    file of the repository to its source; everything else stays.

    Args:
      text: Markdown whose links are relative to the page's place in the repository.
      address: of the page in the site.
      known: addresses of all files of the site.
    """
    folder = posixpath.dirname(place_of(address))

    def replace(match: re.Match) -> str:
        target = match[2]
        if re.match(r"[a-z]+:", target):
            return match[0]
        place = posixpath.normpath(posixpath.join(folder, target))
        there = address_of(place)
        if there in known:
            target = os.path.relpath(there, posixpath.dirname(address) or ".")
        elif (ROOT / place).exists():
            target = f"{SOURCE}/{place}"
        return f"{match[1]}{target}{match[3]}"

    return _LINK.sub(replace, text)
