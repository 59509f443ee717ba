"""Settings of training runs and sweeps: YAML of any kind, and any flags."""

import contextlib
import io
import json
import os

import pytest
import tyro
import yaml
from hypothesis import strategies as st

from gradlab.cli import _commands
from gradlab.errors import GradlabError
from gradlab.training.config import TrainConfig
from gradlab.training.config_checks import check as check_settings
from gradlab.training.config_file import read_config, to_mapping
from gradlab.training.run_folder import CONFIG, inspect_folder
from gradlab.training.sweep.grid import read_sweep
from tests.fuzz.cases import SCALARS, VALUES, damaged, fuzz, loads_or_refuses, sizes

PLAIN = to_mapping(TrainConfig())
DOTTED = [
    f"{key}.{inner}" if isinstance(value, dict) else key
    for key, value in PLAIN.items()
    for inner in (value if isinstance(value, dict) else [""])
]
GRID = {"sweep": {"seed": [0, 1], "optimiser.learning_rate": [1e-4, 1e-3]}, "steps": 3}


def nested(flat: dict) -> dict:
    found: dict = {}
    for key, value in flat.items():
        first, _, rest = key.partition(".")
        if rest and isinstance(found.setdefault(first, {}), dict):
            found[first][rest] = value
        else:
            found[first] = value
    return found


DRAWN = st.dictionaries(st.sampled_from(DOTTED) | st.text(), VALUES, max_size=4)
TEXT = yaml.safe_dump(PLAIN).encode()


def as_yaml(found) -> bytes:
    return json.dumps(found).encode()  # JSON is a part of YAML


@sizes(30, 900)
def test_settings_of_a_run(most, tmp_path):
    path = tmp_path / "run.yaml"

    def check(content):
        path.write_bytes(content)
        config = loads_or_refuses(lambda: read_config(path, TrainConfig), path)
        if config is not None:
            with contextlib.suppress(GradlabError):
                check_settings(config)

    fuzz(most, check, DRAWN.map(nested).map(as_yaml) | damaged(TEXT))


@sizes(20, 500)
def test_sweeps(most, tmp_path):
    path = tmp_path / "sweep.yaml"
    grids = st.dictionaries(
        st.sampled_from(DOTTED), st.lists(SCALARS, max_size=2) | VALUES, max_size=3
    )
    files = st.builds(lambda grid, rest: nested(rest) | {"sweep": grid}, grids, DRAWN)

    def check(content):
        path.write_bytes(content)
        loads_or_refuses(lambda: read_sweep(path), path)

    fuzz(most, check, files.map(as_yaml) | damaged(as_yaml(GRID)))


@sizes(20, 300)
def test_the_settings_of_an_earlier_start(most, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    config = TrainConfig(out=folder, resume=True)
    good = json.dumps(to_mapping(config)).encode()

    def check(content):
        (folder / CONFIG).write_bytes(content)
        loads_or_refuses(lambda: inspect_folder(folder, config), folder)

    fuzz(most, check, damaged(good) | VALUES.map(as_yaml))
    (folder / CONFIG).write_bytes(good)
    assert inspect_folder(folder, config)


@sizes(3, 60)
def test_flags(most):
    """Flags give settings, or a message for the user and status 2."""
    words = st.sampled_from(
        ["seed", "limit", "losses", "out", "batch-size", "nonsense"]
    )
    flags = words.map(lambda word: f"--{word}") | st.text(max_size=4)
    commands = st.sampled_from(["compare", "drift", "rank", "table", "doctor"])

    def check(command, arguments):
        given = [command, *arguments]
        silent = io.StringIO()
        with contextlib.redirect_stderr(silent), contextlib.redirect_stdout(silent):
            status = 0
            try:
                tyro.cli(_commands(given), args=given)
            except SystemExit as stop:
                status = stop.code
            except GradlabError as refused:  # a file given by --config
                status = 2 if str(refused) else 1
            assert status in (0, 2)

    fuzz(most, check, commands, st.lists(flags | SCALARS.map(str), max_size=4))


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefghijk", "bcdefghijkl", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        f"{BOMB}seed: *l",
        "&a [*a]",
        "seed: &a [*a]",
        "[" * 5000,
        "seed: " + "1" * 5000,
        "seed: 2001-99-99",
        "optimiser: {learning_rate: 1" + "0" * 400 + "}",
        "? [1, 2]\n: 3",
        "seed: !!python/object/apply:os.system ['true']",
        "\0",
    ],
)
def test_what_needs_care(text, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(text)

    def check(found):
        assert loads_or_refuses(found, path) is None

    fuzz(1, check, st.just(lambda: read_config(path, TrainConfig)))
    fuzz(1, check, st.just(lambda: read_sweep(path)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: -1", "--seed is -1"),
        (f"seed: {2**64}", "--seed is"),
        ("epochs: .inf", "epochs is inf; expected a finite number"),
        ("optimiser: {learning_rate: .nan}", "expected a finite number"),
    ],
)
def test_numbers_out_of_any_range(text, message, tmp_path):
    (tmp_path / "run.yaml").write_text(text)
    with pytest.raises(GradlabError, match=message):
        check_settings(read_config(tmp_path / "run.yaml", TrainConfig))


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "run.yaml")
    with pytest.raises(GradlabError, match="not a file"):
        read_config(tmp_path / "run.yaml", TrainConfig)
