"""The lock file fits pyproject.toml, and is the environment of the committed tables."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MANIFESTS = sorted((ROOT / "analyses" / "tables").glob("*.json"))


def locked() -> dict[str, str]:
    """Package -> version, torch's from its own file."""
    text = (ROOT / "requirements" / "lock.txt").read_text()
    text += (ROOT / "requirements" / "torch.txt").read_text()
    found = re.findall(r"^([\w.-]+)==([^\s\\]+)", text, re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


LOCKED = locked()


@pytest.mark.parametrize("group", ["dependencies", "test", "parity", "docs"])
def test_versions_are_within_the_bounds(group):
    texts = PROJECT.get(group) or PROJECT["optional-dependencies"][group]
    for need in map(Requirement, texts):
        version = LOCKED.get(canonicalize_name(need.name))
        assert version, f"{need} is not in requirements/lock.txt; run make lock"
        assert need.specifier.contains(version), f"{need}, but {version} is locked"


def test_every_package_has_hashes():
    text = (ROOT / "requirements" / "lock.txt").read_text()
    blocks = re.split(r"^(?=\S+==)", text, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(LOCKED) - 1  # torch
    for block in blocks:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block.splitlines()[0]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_tables_were_made_in_this_environment(path):
    manifest = json.loads(path.read_text())
    assert manifest["python"].startswith("3.11.")
    for name, version in manifest["versions"].items():
        if name != "gradlab":
            public = version.partition("+")[0]  # torch's local part names its build
            assert LOCKED[canonicalize_name(name)] == public, name


def test_hooks_run_the_locked_ruff():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert {hook["entry"].split()[0] for hook in hooks} == {"ruff"}
    for hook in hooks:
        assert hook["additional_dependencies"] == [f"ruff=={LOCKED['ruff']}"]
