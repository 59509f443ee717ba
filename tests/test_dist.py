"""Wheel and source archive: what is in them, and that the wheel works by itself."""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.slow


def run(*command, cwd, **environment):
    """Runs a command that finds neither this checkout nor its environment."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    kept = {k: v for k, v in os.environ.items() if k not in hidden} | environment
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd, env=kept, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(out, *what, source=ROOT):
    """The file that `python -m build` makes."""
    command = [sys.executable, "-m", "build", "--no-isolation", *what]
    run(*command, "--outdir", out, source, cwd=out.parent)
    (made,) = out.iterdir()
    return made


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    return {kind: build(folder / kind, f"--{kind}") for kind in ("wheel", "sdist")}


@pytest.fixture(scope="module")
def tracked():
    """The files of the repository, also those that no commit has yet."""
    listed = run("git", "ls-files", "-coz", "--exclude-standard", cwd=ROOT)
    return {name for name in listed.split("\0") if name}


def test_the_wheel_holds_the_package_and_nothing_else(built, tracked):
    names = set(zipfile.ZipFile(built["wheel"]).namelist())
    package = {name for name in names if name.startswith("gradlab/")}
    assert package == {name for name in tracked if name.startswith("gradlab/")}
    assert "gradlab/py.typed" in package
    rest = {name.partition("/")[2] for name in names - package}
    assert rest == {
        "METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE",
    }  # fmt: skip


def test_the_source_archive_is_the_repository(built, tracked):
    with tarfile.open(built["sdist"]) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers()}
    assert names == tracked | {"PKG-INFO"}


def test_the_same_bytes_each_time_and_from_the_source_archive(built, tmp_path):
    with tarfile.open(built["sdist"]) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    for number, place in enumerate((ROOT, source)):
        again = build(tmp_path / str(number), "--wheel", source=place)
        digests = [
            hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (built["wheel"], again)
        ]
        assert digests[0] == digests[1], place


def test_the_metadata_is_valid(built):
    from packaging.metadata import Metadata

    wheel = zipfile.ZipFile(built["wheel"])
    (name,) = (n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
    metadata = Metadata.from_email(wheel.read(name), validate=True)
    assert metadata.license_expression == "Apache-2.0"
    assert str(metadata.requires_python) == ">=3.11"


@pytest.fixture(scope="module", params=["python3.11", "python3.12"])
def empty_room(built, tmp_path_factory, request):
    """A folder, and the programs of an environment with the wheel alone."""
    python = sys.executable
    if request.param != "python{}.{}".format(*sys.version_info):
        python = shutil.which(request.param) or ""
        if not python or subprocess.run([python, "-c", ""]).returncode:
            pytest.skip(f"{request.param} is not there")
    place = tmp_path_factory.mktemp("installed")
    run(python, ROOT / "tools/make_environment.py", place / "env", cwd=place)
    programs = place / "env" / "bin"
    run(programs / "pip", "install", "--quiet", built["wheel"], cwd=place)
    room = place / "room"
    room.mkdir()
    return room, programs


def test_the_commands_run_from_the_wheel_alone(empty_room):
    room, programs = empty_room
    home = run(
        programs / "python", "-c", "import gradlab; print(gradlab.__file__)", cwd=room
    )
    assert Path(home.strip()).is_relative_to(programs.parent)
    gradlab = programs / "gradlab"
    assert "dpo" in run(gradlab, "losses", cwd=room)
    run(gradlab, "compare", "--losses", "dpo,simpo", "--out", "run", cwd=room)
    run(gradlab, "drift", "--losses", "dpo", "--limit", "4", "--out", "step", cwd=room)
    assert "dpo" in run(gradlab, "table", "step", cwd=room)
    run(gradlab, "report", "run", "step", "--out", "report.html", cwd=room)
    assert "<html" in (room / "report.html").read_text()
    assert {path.name for path in room.iterdir()} == {"run", "step", "report.html"}
