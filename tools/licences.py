"""Write docs/licences.md: the licences of what gradlab needs.

    python tools/licences.py

Reads pyproject.toml and the metadata of installed packages, so it runs where gradlab is
installed with all its extras: `make licences`.
"""

import sys
import tomllib
from collections import defaultdict
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "licences.md"
HEAD = """\
<!-- Written by `make licences`, from pyproject.toml and installed metadata. -->

# Licences of dependencies

gradlab is under Apache-2.0. Its wheel holds no other project's code; pip fetches the
packages below, and each names its licence in its own metadata. What gradlab itself or
one of its extras, `gradlab[...]`, needs has the versions that it accepts.

| package | needed by | version | licence |
| --- | --- | --- | --- |
"""
LONGEST = 60  # characters of a licence's name; what is longer is its text

Needs = dict[str, dict[str, str]]
"""Package -> who needs it -> in which versions ("" for any)."""


def main() -> None:
    """Writes the page, or names a package that isn't installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    try:
        PAGE.write_text(page(project))
    except PackageNotFoundError as error:
        sys.exit(f"{error}; expected gradlab with all extras: make licences")


def page(project: dict) -> str:
    """The page's text from the table `project` of pyproject.toml."""
    needs = direct_needs(project)
    add_indirect(needs, project["dependencies"])
    rows = [row(name, needs[name]) for name in sorted(needs)]
    return HEAD + "\n".join(rows) + "\n"


def direct_needs(project: dict) -> Needs:
    """What pyproject.toml names, by package."""
    groups = {"gradlab": project["dependencies"]}
    for extra, texts in project["optional-dependencies"].items():
        groups[f"gradlab[{extra}]"] = texts
    needs: Needs = defaultdict(dict)
    for group, texts in groups.items():
        for one in map(Requirement, texts):
            needs[canonicalize_name(one.name)][group] = str(one.specifier)
    return needs


def add_indirect(needs: Needs, texts: list[str]) -> None:
    """Adds what those packages need on this platform, and what that needs."""
    waiting = [Requirement(text) for text in texts]
    done = set()
    while waiting:
        package = waiting.pop()
        name, extras = canonicalize_name(package.name), package.extras or {""}
        for one in map(Requirement, distribution(name).requires or ()):
            wanted = one.marker is None or any(
                one.marker.evaluate({"extra": extra}) for extra in extras
            )
            if wanted:
                needs[canonicalize_name(one.name)].setdefault(name, "")
                if str(one) not in done:
                    done.add(str(one))
                    waiting.append(one)


def row(name: str, needed_by: dict[str, str]) -> str:
    """One line of the table; what gradlab always needs is said to be its own need."""
    if "gradlab" in needed_by:
        needed_by = {"gradlab": needed_by["gradlab"]}
    by = ", ".join(sorted(needed_by))
    bounds = ", ".join(dict.fromkeys(filter(None, needed_by.values())))
    return f"| {name} | {by} | {bounds} | {licence(distribution(name))} |"


def licence(package: Distribution) -> str:
    """As its metadata has it: an SPDX expression, else a name, else the classifiers."""
    fields = package.metadata
    if expression := fields.get("License-Expression"):
        return expression
    name = (fields.get("License") or "").strip()
    if name and len(name) < LONGEST and "\n" not in name:
        return name
    classifiers = fields.get_all("Classifier") or []
    names = [c.split(" :: ")[-1] for c in classifiers if c.startswith("License ::")]
    return ", ".join(names) or "not named"


if __name__ == "__main__":
    main()
