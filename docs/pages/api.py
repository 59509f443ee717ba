"""The API reference: one page per package, filled by mkdocstrings."""

import ast
from pathlib import Path

import gradlab

ROOT = Path(__file__).resolve().parents[2] / "gradlab"
# What carries out one command, and is no library.
COMMANDS = (
    "cli",
    "commands",
    "comparison",
    "drift",
    "length",
    "rank",
    "inputs",
    "paper",
)
HIDDEN = ("entries", "closed_form", "sources", "catalogue")


def pages() -> dict[str, str]:
    """Address in the site -> text of every page of the reference."""
    made = {f"api/{name}.md": package_page(name) for name in packages()}
    return {"api/index.md": index_page(), **made}


def packages() -> list[str]:
    """Names of the library's packages and single modules."""
    names = {path.stem for path in ROOT.iterdir() if path.suffix == ".py"}
    names |= {path.parent.name for path in ROOT.glob("*/__init__.py")}
    return sorted(n for n in names if n not in COMMANDS and not n.startswith("_"))


def index_page() -> str:
    """What the packages are for, and which way they import."""
    head = (
        "# API\n\nThe names that most code needs are in `gradlab` itself and load on "
        "first use. Imports run one way: errors and types, losses, gradients, "
        "measures, models; then data, tables, plotting, report, training."
    )
    lines = ["| package | what it holds |", "| --- | --- |"]
    for name in packages():
        lines.append(f"| [`gradlab.{name}`]({name}.md) | {summary(place(name))} |")
    top = "## gradlab\n\n" + "\n".join(f"* `gradlab.{name}`" for name in top_names())
    return "\n\n".join([head, "\n".join(lines), top])


def top_names() -> list[str]:
    """What `gradlab` itself offers beside its packages."""
    return [
        name for name in gradlab.__all__ if name not in (*packages(), "__version__")
    ]


def package_page(name: str) -> str:
    """The modules of one package, in order of their names."""
    blocks = [f"# gradlab.{name}", f"{summary(place(name))}"]
    for path in modules(name):
        dotted = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
        blocks.append(f"## {dotted}\n\n::: {dotted}")
    return "\n\n".join(blocks)


def modules(name: str) -> list[Path]:
    """Files of a package that define something public, tables of data left out."""
    if (single := ROOT / f"{name}.py").is_file():
        return [single]
    return [
        path
        for path in sorted((ROOT / name).rglob("*.py"))
        if path.stem not in (*HIDDEN, "__init__")
        and not set(path.relative_to(ROOT).parts) & set(HIDDEN)
        and defines_public(path)
    ]


def defines_public(path: Path) -> bool:
    """Whether a module has a function or class without a leading underscore."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    body = ast.parse(path.read_text()).body
    return any(isinstance(n, kinds) and not n.name.startswith("_") for n in body)


def place(name: str) -> Path:
    """The file that says what a package is for."""
    single = ROOT / f"{name}.py"
    return single if single.is_file() else ROOT / name / "__init__.py"


def summary(path: Path) -> str:
    """First line of a module's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")[0]
