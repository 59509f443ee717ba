"""`python -m figures [NAME ...]`: redraws figures from the committed tables, no jax."""

import argparse
import difflib
import hashlib
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from gradlab.errors import GradlabError
from gradlab.escapes import plain
from gradlab.plotting import save_figure
from gradlab.tables import read_manifest, read_table, stage

FOLDER = Path(__file__).resolve().parent
TABLES = FOLDER.parent / "analyses" / "tables"


def names() -> list[str]:
    """The figure scripts of this folder, each named as its table."""
    return sorted(p.stem for p in FOLDER.glob("*.py") if not p.stem.startswith("_"))


def redraw(name: str, *, tables: Path = TABLES, out: Path = FOLDER) -> list[Path]:
    """Redraws the figures of one study, all or none of its files.

    Args:
      name: a script of this folder; its table is `<tables>/<name>.csv`, with a manifest
        `<name>.json` beside it.
      tables: where the table is.
      out: where `<name>_<figure>.pdf` and `.png` go.
    Returns:
      The paths written.
    Raises:
      GradlabError: an unknown name, a table that is missing or isn't what the script
        reads, or a folder that can't be written.
    """
    if name not in names():
        near = difflib.get_close_matches(name, names(), cutoff=0.4) or names()
        raise GradlabError(
            f"no figure script {name!r}; did you mean {', '.join(near)}?"
        )
    path = tables / f"{name}.csv"
    if not path.is_file():
        raise GradlabError(
            f"{path}: there is no such table; `python -m analyses {name}` makes it"
        )
    table = read_table(path)
    read_manifest(path.with_suffix(".json"))  # a table without one can't be trusted
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    figures = importlib.import_module(f"figures.{name}").draw(table)
    if not figures:
        raise GradlabError(f"{path}: holds no metric that figures/{name}.py draws")
    written = []
    with stage(out) as staged:
        for suffix, figure in figures.items():
            stem = f"{name}_{suffix}"
            source = f"{name}.csv, SHA-256 {digest}"
            written += [
                p.name for p in save_figure(figure, staged / stem, source=source)
            ]
    return [out / file for file in written]


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; 0 when all figures asked for were drawn."""
    parser = argparse.ArgumentParser(prog="python -m figures", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--tables", type=Path, default=TABLES, help="folder of tables")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder for figures")
    options = parser.parse_args(argv)
    wanted = options.names
    if not wanted:
        print("figure scripts:")
        for name in names():
            there = (options.tables / f"{name}.csv").is_file()
            print(f"  {name}" + ("" if there else f"  (no table in {options.tables})"))
            wanted += [name] * there
    try:
        for name in wanted:
            for path in redraw(name, tables=options.tables, out=options.out):
                print(path)
    except GradlabError as error:
        print("error: " + plain(str(error), keep="\n"), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
