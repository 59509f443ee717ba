"""`python -m figures`: redraws from tables alone, without jax, in seconds."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from figures.__main__ import main, names, redraw
from gradlab.errors import GradlabError
from gradlab.tables import build_manifest, write_study
from tests.figures.synthetic import study_table

ROOT = Path(__file__).resolve().parents[2]
NAME = "gradient_comparison"


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    write_study(folder, study_table(), build_manifest(config={}, seed=[0, 1, 2]))
    return folder


def test_redraws_without_jax_in_seconds(tables, tmp_path):
    code = (
        "import sys; from figures.__main__ import main;"
        "code = main(sys.argv[1:]);"
        "loaded = {'jax', 'flax', 'optax'} & set(sys.modules);"
        "sys.exit(code or (7 if loaded else 0))"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", code, NAME, "--tables", tables, "--out", tmp_path],
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    written = sorted(p.name for p in tmp_path.iterdir())
    assert f"{NAME}_mass.pdf" in written
    assert len(written) == 14
    assert done.stdout.split() == [
        str(tmp_path / p.name) for p in map(Path, done.stdout.split())
    ]
    png = (tmp_path / f"{NAME}_mass.png").read_bytes()
    assert b"gradient_comparison.csv, SHA-256" in png
    # Processor time, since other processes may hold the machine.
    seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    assert seconds < 7


def test_unknown_name_gives_near_misses(capsys):
    assert main(["gradient_comparson"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: no figure script 'gradient_comparson'; ")
    assert "did you mean gradient_comparison" in message


@pytest.mark.parametrize("name", ["../evil", "os", "__main__", ""])
def test_a_name_is_never_imported_unless_it_is_a_script(name):
    with pytest.raises(GradlabError, match="no figure script"):
        redraw(name)


def test_missing_table_and_manifest(tables, tmp_path):
    with pytest.raises(GradlabError, match="`python -m analyses gradient_comparison`"):
        redraw(NAME, tables=tmp_path, out=tmp_path)
    (tmp_path / f"{NAME}.csv").write_bytes((tables / f"{NAME}.csv").read_bytes())
    with pytest.raises(GradlabError, match=r"json: no such file"):
        redraw(NAME, tables=tmp_path, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_table_of_other_metrics_draws_nothing(tmp_path):
    table = study_table(seeds=1, pairs=1)
    write_study(tmp_path, table[table["metric"] == "corr_length"], {})
    with pytest.raises(GradlabError, match="holds no metric"):
        redraw(NAME, tables=tmp_path, out=tmp_path / "out")


def test_without_a_name_lists_all_and_redraws_those_with_tables(tmp_path, capsys):
    assert main(["--tables", str(tmp_path), "--out", str(tmp_path)]) == 0
    assert f"{NAME}  (no table in" in capsys.readouterr().out
    assert NAME in names()


def test_an_interrupted_redraw_leaves_the_old_figures(tables, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    (tmp_path / f"{NAME}_mass.png").write_bytes(b"old")
    monkeypatch.setattr("figures.__main__.save_figure", interrupt)
    with pytest.raises(KeyboardInterrupt):
        redraw(NAME, tables=tables, out=tmp_path)
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"old"]
