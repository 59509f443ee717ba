"""Notebooks are their scripts, executed: in sync, small, and without errors."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))


def cells(name):
    return json.loads((FOLDER / f"{name}.ipynb").read_text())["cells"]


def test_there_are_notebooks_and_each_has_a_script():
    assert len(NAMES) >= 2
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_executed_small_and_without_errors(name):
    assert (FOLDER / f"{name}.ipynb").stat().st_size <= 300_000
    code = [cell for cell in cells(name) if cell["cell_type"] == "code"]
    assert [c["execution_count"] for c in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert outputs
    assert all(output["output_type"] != "error" for output in outputs)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_holds_the_text_of_its_script(name):
    """Line by line, without jupytext; a marker of the format begins each cell."""
    script = (FOLDER / f"{name}.py").read_text().split("# ---\n", 2)[2]
    lines = [line for line in script.splitlines() if not line.startswith("# %%")]
    found = []
    for cell in cells(name):
        prefix = "# " if cell["cell_type"] == "markdown" else ""
        source = "".join(cell["source"]).splitlines()
        found += [(prefix + line).rstrip() for line in source]
    assert squeezed(found) == squeezed(lines)


def squeezed(lines):
    return [line.rstrip() for line in lines if line.strip("# ")]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_jupytext_agrees_and_every_cell_runs(name):
    for extra in ("jupytext", "nbclient", "ipykernel"):
        pytest.importorskip(extra, reason="needs the docs extra")
    check = (
        "import json, sys\n"
        "from docs.execute import FOLDER, executed\n"
        "made = executed(FOLDER / f'{sys.argv[1]}.py')\n"
        "kept = json.loads((FOLDER / f'{sys.argv[1]}.ipynb').read_text())\n"
        "both = [[c['cell_type'], ''.join(c['source'])] for c in kept['cells']]\n"
        "assert both == [[c.cell_type, c.source] for c in made.cells]\n"
    )
    root = FOLDER.parents[1]
    subprocess.run([sys.executable, "-c", check, name], check=True, cwd=root)
