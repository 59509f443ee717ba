"""Imports run one way, each heavy package in its own layer, and names load lazily."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import gradlab
from gradlab.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]

# A module may import from its own layer and from those above it in this list.
LAYERS = [
    "errors",
    "disk",
    "staging",
    "escapes",
    "types",
    "losses",
    "gradients",
    "measures",
    "models",
    "data",
    "tables",
    "plotting",
    "inputs",
    "report",
    "paper",
    "training",
    "bridges",
    "comparison",
    "drift",
    "length",
    "rank",
    "doctor",
    "commands",
    "cli",
]
# heavy package -> the layers that may import it
HEAVY = {
    "jax": {"types", "losses", "gradients", "measures", "models", "training"}
    | {"inputs", "comparison", "drift", "length", "rank", "doctor"},
    "flax": {"models"},
    "optax": {"training", "drift"},
    "orbax": {"training"},
    "pandas": {"tables", "plotting", "inputs", "training", "comparison", "drift"}
    | {"length", "report", "paper", "bridges"},
    "matplotlib": {"plotting"},
    "tokenizers": {"data"},
    "torch": {"bridges"},
    "transformers": {"bridges"},
    "trl": set(),
}
MODULES = sorted((ROOT / "gradlab").rglob("*.py"))


def layer(path: Path) -> str:
    return path.relative_to(ROOT / "gradlab").parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {node.module or ""}
            if node.module == "gradlab":
                names |= {f"gradlab.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path):
    if path.parent.name == "gradlab" and path.name in ("__init__.py", "__main__.py"):
        return
    here = layer(path)
    assert here in LAYERS, f"{path} lies in no known layer"
    for name in imported(path):
        top, _, rest = name.partition(".")
        if top == "gradlab" and rest:
            there = rest.partition(".")[0]
            assert LAYERS.index(there) <= LAYERS.index(here), f"{path} imports {name}"
        assert top not in ("analyses", "figures", "tests"), f"{path} imports {name}"
        assert here in HEAVY.get(top, {here}), f"{path} imports {name}"


@pytest.mark.parametrize("folder", ["figures", "analyses"])
def test_scripts_import_only_their_ring(folder):
    for path in sorted((ROOT / folder).glob("*.py")):
        for name in imported(path):
            if folder == "figures":
                assert not name.startswith(("jax", "flax", "optax")), path
                if name.startswith("gradlab"):
                    allowed = ("gradlab.tables", "gradlab.plotting")
                    allowed += ("gradlab.errors", "gradlab.escapes")
                    assert name.startswith(allowed), f"{path} imports {name}"
            assert not name.startswith("tests"), path


@pytest.mark.parametrize(
    "code",
    [
        "import gradlab; dir(gradlab)",
        "import gradlab.cli",
        "import gradlab.plotting, gradlab.tables, gradlab.data, gradlab.report.command",
        "import figures.gradient_comparison",
        *(
            "from gradlab.cli import main\n"
            f"try: main(['{command}', '--help'])\nexcept SystemExit: pass"
            for command in COMMANDS
        ),
        "import gradlab.rank.command, gradlab.data.ranking",
        "import gradlab.bridges.trainer_state, gradlab.bridges.rows",
        "import gradlab.training.probe_files, gradlab.training.probe_sets",
    ],
)
def test_what_needs_no_jax_loads_none(code):
    check = f"import sys\n{code}\nassert 'jax' not in sys.modules, 'jax was loaded'"
    done = subprocess.run(
        [sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_every_public_name_loads():
    for name in gradlab.__all__:
        assert getattr(gradlab, name) is not None
    assert set(gradlab.__all__) <= set(dir(gradlab))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = gradlab.nothing


def test_modules_stay_short():
    long = {
        str(p.relative_to(ROOT)): n
        for folder in ("gradlab", "analyses", "figures")
        for p in (ROOT / folder).rglob("*.py")
        if (n := len(p.read_text().splitlines())) > 300
    }
    assert not long
