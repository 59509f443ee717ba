"""Make a virtual environment with pip, also where Python came without ensurepip.

    python3 tools/make_environment.py FOLDER

Debian splits ensurepip into another package (python3-venv). Without it the environment
is made empty, and pip, which runs from its own wheel, installs itself into it. Standard
library only; Python >= 3.11.
"""

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
import venv
from pathlib import Path

LEAST = (3, 11)
PIP_INDEX = "https://pypi.org/pypi/pip/json"


def main(folder: Path) -> None:
    """Make the environment, or remove what was begun and say what to do."""
    if sys.version_info < LEAST:
        found = ".".join(map(str, sys.version_info[:3]))
        sys.exit(
            f"gradlab needs Python >= 3.11; {sys.executable} is {found}. "
            "Name another one: make PYTHON=python3.12 ..."
        )
    try:
        bundled = importlib.util.find_spec("ensurepip") is not None
        venv.create(folder, with_pip=bundled, clear=True)
        if not bundled:
            install_pip(folder)
    except (OSError, ValueError, KeyError, subprocess.CalledProcessError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        sys.exit(
            f"can't make the environment {folder}: {error}. On Debian and Ubuntu "
            "'apt install python3-venv' provides what is missing."
        )


def install_pip(folder: Path) -> None:
    """Fetch pip's wheel and let it install itself."""
    with tempfile.TemporaryDirectory() as temporary:
        with urllib.request.urlopen(PIP_INDEX, timeout=60) as answer:
            files = json.load(answer)["urls"]
        wheel = next(f for f in files if f["packagetype"] == "bdist_wheel")
        path = Path(temporary) / wheel["filename"]
        place = urllib.parse.urljoin(PIP_INDEX, wheel["url"])  # mirrors: relative
        with urllib.request.urlopen(place, timeout=60) as answer:
            content = answer.read()
        if hashlib.sha256(content).hexdigest() != wheel["digests"]["sha256"]:
            raise OSError(f"the download of {wheel['filename']} is damaged")
        path.write_bytes(content)
        python = folder / "bin" / "python"
        pip = f"{path}/pip"
        subprocess.run([python, pip, "install", "--quiet", str(path)], check=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
