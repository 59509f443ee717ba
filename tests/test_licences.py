"""The page of licences names every direct dependency, with its bounds and a licence."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
GROUPS = {"gradlab": PROJECT["dependencies"]} | {
    f"gradlab[{extra}]": texts
    for extra, texts in PROJECT["optional-dependencies"].items()
}


@pytest.fixture(scope="module")
def rows():
    """Package -> who needs it, versions, licence."""
    page = (ROOT / "docs" / "licences.md").read_text()
    lines = re.findall(r"^\| (\S+) \| (.*) \| (.*) \| (.*) \|$", page, re.MULTILINE)
    return {name: rest for name, *rest in lines if name not in ("package", "---")}


@pytest.mark.parametrize("group", GROUPS)
def test_every_direct_dependency_is_listed(rows, group):
    for need in map(Requirement, GROUPS[group]):
        needed_by, versions, _ = rows[canonicalize_name(need.name)]
        if "gradlab" not in needed_by.split(", "):
            assert group in needed_by.split(", ")
        assert str(need.specifier) in versions.split(", "), "run make licences"


def test_every_package_names_its_licence(rows):
    assert len(rows) > len(PROJECT["dependencies"])
    for name, (_, _, licence) in rows.items():
        assert licence.strip() not in ("", "not named"), name
