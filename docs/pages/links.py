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
# a package -> the page that lists what it holds
LISTED = {"gradlab/losses": "losses/index.md", "gradlab/measures": "measures/index.md"}
MEASURES = ("gradlab/gradients/", "gradlab/measures/")
SOURCE = "https://github.com/gradlab/gradlab/blob/main"
_LINK = re.compile(r"(\]\()([^)#\s]+)(?:#([^)\s]*))?\)")


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


def address_of(place: str, name: str, known: Collection[str]) -> str:
    """Where a link into the repository leads on the site; "" where it doesn't.

    Args:
      place: of a file or folder in the repository.
      name: behind `#`: of a heading, or of what a module defines; else "".
      known: addresses of all files of the site.
    """
    there = OUTSIDE.get(place) or LISTED.get(place) or place.removeprefix("docs/")
    if there in known:
        return f"{there}#{name}" if name else there
    measure = f"measures/{name}.md"
    if place.startswith(MEASURES) and measure in known:
        return measure
    package, _, module = place.removeprefix("gradlab/").partition("/")
    page = f"api/{package}.md"
    if name and module and page in known:
        return f"{page}#{place.removesuffix('.py').replace('/', '.')}.{name}"
    return ""


def for_site(text: str, address: str, known: Collection[str]) -> str:
    """Links of a page as the site needs them.

    A link to a file of the repository that is on the site leads there; one to a
    definition, FILE.py#NAME, to the page that describes it; one to any other file of
    the repository to its source. Everything else stays.

    Args:
      text: Markdown whose links are relative to the page's place in the repository.
      address: of the page in the site.
      known: addresses of all files of the site.
    """
    folder = posixpath.dirname(place_of(address))

    def replace(match: re.Match) -> str:
        head, target, name = match[1], match[2], match[3] or ""
        if re.match(r"[a-z]+:", target):
            return match[0]
        place = posixpath.normpath(posixpath.join(folder, target))
        if there := address_of(place, name, known):
            return f"{head}{os.path.relpath(there, posixpath.dirname(address) or '.')})"
        if not (ROOT / place).exists():
            return match[0]
        return f"{head}{SOURCE}/{place}{'#' * bool(name)}{name})"

    return _LINK.sub(replace, text)
