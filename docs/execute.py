"""Runs the notebooks' scripts and keeps their outputs: `python -m docs.execute`.

A notebook is a script in jupytext's percent format, docs/notebooks/NAME.py, and beside
it the executed NAME.ipynb, in which only the outputs are new.
"""

import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent / "notebooks"
PYTHON = {"display_name": "Python 3", "language": "python", "name": "python3"}


def scripts() -> list[Path]:
    """Every notebook's script."""
    return sorted(FOLDER.glob("*.py"))


def read_script(path: Path) -> nbformat.NotebookNode:
    """A script as a notebook without outputs; cells are numbered, not random."""
    notebook = jupytext.read(path)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata.clear()
    notebook.metadata = nbformat.from_dict({"kernelspec": PYTHON})
    notebook.nbformat_minor = 5
    return notebook


def executed(path: Path) -> nbformat.NotebookNode:
    """The notebook of a script with its outputs.

    Raises:
      nbclient.exceptions.CellExecutionError: a cell fails.
    """
    notebook = read_script(path)
    where = {"metadata": {"path": str(FOLDER)}}
    NotebookClient(notebook, timeout=600, resources=where).execute()
    for cell in notebook.cells:
        cell.metadata.clear()
        if cell.cell_type == "code":
            cell.outputs = [shown(o) for o in cell.outputs if o.get("name") != "stderr"]
    notebook.metadata = nbformat.from_dict({"kernelspec": PYTHON})
    return notebook


def shown(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """An output as it is kept: tables as text, frames and pictures as they are."""
    data = output.get("data", {})
    if "text/html" in data and "<iframe" not in data["text/html"]:
        del data["text/html"]
    return output


def main(names: list[str]) -> None:
    """Execute the named notebooks, or all."""
    for path in scripts():
        if not names or path.stem in names:
            nbformat.write(executed(path), path.with_suffix(".ipynb"))
            print(path.with_suffix(".ipynb"))


if __name__ == "__main__":
    main(sys.argv[1:])
