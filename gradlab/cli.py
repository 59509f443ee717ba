"""The command line. Only settings are loaded here; a command loads what it needs."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Union

import tyro

from gradlab.commands.config import CiteConfig, LossesConfig
from gradlab.comparison.config import CompareConfig
from gradlab.disk import FULL, UNREACHABLE, reason
from gradlab.doctor.config import DoctorConfig
from gradlab.drift.config import DriftConfig
from gradlab.errors import GradlabError
from gradlab.escapes import plain
from gradlab.length.config import LengthConfig
from gradlab.paper.config import TableConfig
from gradlab.rank.config import RankConfig
from gradlab.report.config import ReportConfig
from gradlab.training.config import TrainConfig
from gradlab.training.config_file import read_config
from gradlab.training.sweep.config import SweepConfig

# command -> (its settings, module:function that carries it out)
COMMANDS: dict[str, tuple[type, str]] = {
    "compare": (CompareConfig, "gradlab.comparison.command:compare"),
    "drift": (DriftConfig, "gradlab.drift.command:drift"),
    "length": (LengthConfig, "gradlab.length.command:length"),
    "train": (TrainConfig, "gradlab.training.command:train"),
    "sweep": (SweepConfig, "gradlab.training.sweep.runner:sweep"),
    "rank": (RankConfig, "gradlab.rank.command:rank"),
    "report": (ReportConfig, "gradlab.report.command:report"),
    "table": (TableConfig, "gradlab.paper.command:table"),
    "losses": (LossesConfig, "gradlab.commands.catalogue:losses"),
    "cite": (CiteConfig, "gradlab.commands.catalogue:cite"),
    "doctor": (DoctorConfig, "gradlab.doctor.command:doctor"),
}

DESCRIPTION = """What a preference loss does to a language model, token by token.

Compiled programs are kept in ~/.cache/gradlab (JAX_COMPILATION_CACHE_DIR names another
folder) and found again by later runs; JAX_ENABLE_COMPILATION_CACHE=0 turns that off."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
      arguments: of the command line, without the program's name.

    Returns:
      Exit status: 0; 1 when `gradlab doctor` finds a fault; 2 for refused input, with
      one message on stderr, an unusable path or a full disk; 130 when interrupted, 143
      when terminated.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    _keep_compiled()
    try:
        settings: Any = tyro.cli(
            _commands(arguments),
            prog="gradlab",
            description=DESCRIPTION,
            args=arguments,
        )
        with _terminable():
            found = _carry_out(settings)
        return found if isinstance(found, int) else 0
    except GradlabError as error:
        print("gradlab: " + plain(str(error), keep="\n"), file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        how = "terminated" if isinstance(stop, _Terminated) else "interrupted"
        print(f"gradlab: {how}; nothing unfinished was left behind", file=sys.stderr)
        return 143 if isinstance(stop, _Terminated) else 130
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.errno in FULL:
            where = error.filename or "a file can't be written"
            why = f"{where}: {reason(error)}"
        elif error.filename and error.errno in UNREACHABLE:
            why = f"{error.filename}: {error.strerror}"
        else:
            raise
        print(f"gradlab: {plain(why)}", file=sys.stderr)
        return 2
    return 0


class _Terminated(KeyboardInterrupt):
    """SIGTERM, from a scheduler say: like Ctrl-C, everything begun is cleared away."""


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM raises, unless whoever called `main` does something about it."""

    def terminate(number: int, frame: Any) -> None:
        raise _Terminated

    try:
        ours = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        if ours:
            signal.signal(signal.SIGTERM, terminate)
    except ValueError:  # signals reach the main thread only
        ours = False
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _carry_out(settings: Any) -> Any:
    target = next(t for kind, t in COMMANDS.values() if type(settings) is kind)
    module, function = target.split(":")
    # A user's own loss, my_module:my_loss, is looked for in the current folder too.
    sys.path.insert(0, "")
    try:
        return getattr(import_module(module), function)(settings)
    finally:
        sys.path.remove("")


def _keep_compiled() -> None:
    """Has jax keep what it compiles for later runs; it reads this when it is loaded."""
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # a user without a home, in a container say
        return
    folder = str(cache / "gradlab" / "compiled")
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", folder)


def _commands(arguments: Sequence[str]) -> Any:
    """All commands as one type; a file named by --config gives a command's defaults."""
    kinds = []
    for name, (kind, _) in COMMANDS.items():
        given: dict[str, Any] = {}
        if arguments[:1] == [name] and (path := _config_file(arguments)) is not None:
            given["default"] = read_config(path, kind)
        kinds.append(Annotated[kind, tyro.conf.subcommand(name, **given)])
    return Union[tuple(kinds)]  # noqa: UP007


def _config_file(arguments: Sequence[str]) -> str | None:
    """The value of --config, before all other flags are read."""
    for place, argument in enumerate(arguments):
        option, _, value = argument.partition("=")
        if option in ("--config", "-c"):
            return value or next(iter(arguments[place + 1 :]), None)
    return None
