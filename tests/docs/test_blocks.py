"""Every code block of the documentation runs, or says why it can't."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gradlab.data.arithmetic import pairs, write_pairs
from gradlab.data.embedded import embedded_model_folder
from tests.docs.blocks import blocks_of, name, pages

ROOT = Path(__file__).resolve().parents[2]
PAGES = {name(path): blocks_of(path) for path in pages()}
TESTED_APART = ("bridges",)  # tests/docs/test_bridges.py: some of it needs torch
DATA = ("text", "json", "yaml", "bibtex", "")  # read, not run
LOSS = "def my_loss(pairs):\n    return -pairs.chosen[:, 0]\n"
RUNS = {  # what a page takes for granted
    "runs/compare-1": "compare --limit 6 --losses dpo,simpo",
    "runs/drift-1": "drift --limit 6 --losses dpo,simpo",
    "runs/dpo": "train --steps 2 --data.limit 16 --probes.pairs 2",
    "runs/dpop": "train --steps 2 --data.limit 16 --probes.pairs 2 --loss dpop",
}


def runs_python(block):
    return block.language == "python" and block.note != "not run"


QUICK = [
    page
    for page, blocks in PAGES.items()
    if page not in TESTED_APART
    and any(runs_python(b) and b.note != "slow" for b in blocks)
]
WHOLE = [
    page
    for page, blocks in PAGES.items()
    if page not in TESTED_APART
    and any(b.commands or (runs_python(b) and b.note == "slow") for b in blocks)
]


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder to work in, with the files that a reader is told to have."""
    write_pairs(tmp_path / "problems.jsonl", pairs(12, seed=0))
    package = tmp_path / "my_package"
    package.mkdir()
    (package / "__init__.py").touch()
    for folder in (package, tmp_path):
        (folder / "my_module.py").write_text(LOSS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for made in set(sys.modules) - before:  # the page's own modules
        if str(getattr(sys.modules[made], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[made]


def run_python(page, block, names, capsys):
    capsys.readouterr()
    code = "\n" * block.line + block.text
    exec(compile(code, f"docs/{page}.md", "exec"), names)
    if block.output is not None:
        printed = capsys.readouterr().out
        assert shape(printed) == shape(block.output)
        assert numbers(printed) == pytest.approx(numbers(block.output), rel=0.01)


def run_commands(block, desk):
    """One script in the shell, with `gradlab` of this checkout."""
    tool = desk / "bin" / "gradlab"
    if not tool.exists():
        tool.parent.mkdir()
        tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gradlab "$@"\n')
        tool.chmod(0o755)
    text = block.text.replace("PATH_OR_HUB_ID", str(embedded_model_folder()))
    path = f"{tool.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", text],
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "120"},
    )
    assert done.returncode == 0, f"{block.text}\n{done.stderr}"
    if block.output is not None:
        assert shape(block.output) == shape(done.stdout)


NUMBER = re.compile(r"[-+]?\d+\.?\d*(?:e[-+]\d+)?")


def numbers(text):
    return [float(number) for number in NUMBER.findall(text)]


def shape(text):
    """Lines of a printed text up to numbers, rules and the width of columns."""
    cut = NUMBER.sub("#", text)
    lines = [" ".join(line.replace("─", "").split()) for line in cut.splitlines()]
    return [line for line in lines if line]


def save_files(page, desk):
    """Blocks that are a file's text, said before them or in their first line."""
    for block in PAGES[page]:
        first = re.match(r"# ([\w.]+\.(?:yaml|py|json))\n", block.text)
        if block.note == "file" or first:
            (desk / (block.remark or first[1])).write_text(block.text)


@pytest.mark.parametrize("page", QUICK)
def test_python_of_a_page(page, desk, capsys):
    save_files(page, desk)
    names = {}
    for block in PAGES[page]:
        if runs_python(block) and block.note not in ("slow", "file"):
            run_python(page, block, names, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("page", WHOLE)
def test_all_of_a_page(page, desk, capsys):
    text = (ROOT / "docs" / f"{page}.md").read_text()
    if "--out pairs.jsonl" not in text:
        (desk / "problems.jsonl").rename(desk / "pairs.jsonl")
    for folder, command in RUNS.items():
        if re.search(rf"{folder}\b", text):
            arguments = [*command.split(), "--out", folder]
            subprocess.run([sys.executable, "-m", "gradlab", *arguments], check=True)
    save_files(page, desk)
    names = {}
    for block in PAGES[page]:
        if block.note in ("not run", "file"):
            continue
        if block.commands:
            run_commands(block, desk)
        elif runs_python(block):
            run_python(page, block, names, capsys)


@pytest.mark.parametrize("page", PAGES)
def test_blocks_are_of_a_known_kind_and_reasons_are_given(page):
    for block in PAGES[page]:
        known = block.commands or block.language in ("python", *DATA)
        assert known, f"{page}, line {block.line}: {block.language}"
        if block.note == "not run":
            assert len(block.remark.split()) > 2, f"{page}, line {block.line}"
        if block.note == "file":
            assert block.remark, f"{page}, line {block.line}"
