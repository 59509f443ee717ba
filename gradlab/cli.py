"""The command line. Only settings are loaded here; a command loads what it needs."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import tyro

from gradlab.commands.config import CiteConfig, LossesConfig
from gradlab.comparison.config import CompareConfig
from gradlab.drift.config import DriftConfig
from gradlab.errors import GradlabError
from gradlab.rank.config import RankConfig

# command -> (its settings, module:function that carries it out)
COMMANDS: dict[str, tuple[type, str]] = {
    "compare": (CompareConfig, "gradlab.comparison.command:compare"),
    "drift": (DriftConfig, "gradlab.drift.command:drift"),
    "rank": (RankConfig, "gradlab.rank.command:rank"),
    "losses": (LossesConfig, "gradlab.commands.catalogue:losses"),
    "cite": (CiteConfig, "gradlab.commands.catalogue:cite"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
      arguments: of the command line, without the program's name.

    Returns:
      Exit status: 0; 2 for refused input, with one message on stderr; 130 when
      interrupted.
    """
    settings = tyro.extras.subcommand_cli_from_dict(
        {name: kind for name, (kind, _) in COMMANDS.items()},
        prog="gradlab",
        description="What a preference loss does to a language model, token by token.",
        args=arguments,
    )
    target = next(t for kind, t in COMMANDS.values() if type(settings) is kind)
    module, function = target.split(":")
    # A user's own loss, my_module:my_loss, is looked for in the current folder too.
    sys.path.insert(0, "")
    try:
        getattr(import_module(module), function)(settings)
    except GradlabError as error:
        print(f"gradlab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("gradlab: interrupted; no result was written", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        sys.path.remove("")
    return 0
