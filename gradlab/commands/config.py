"""Settings of `gradlab losses` and `gradlab cite`. No jax here."""

from dataclasses import dataclass
from typing import Annotated

import tyro

Names = Annotated[tuple[str, ...], tyro.conf.arg(metavar="[NAME ...]")]


@dataclass(frozen=True)
class LossesConfig:
    """List the losses, or show some whole: formula, gradient, conventions, BibTeX."""

    names: tyro.conf.Positional[Names] = ()
    """Losses to show; without any, all are listed."""

    family: str | None = None
    """List only this family, e.g. "preserving"."""


@dataclass(frozen=True)
class CiteConfig:
    """Print the BibTeX entries of losses, of what a run used, or of gradlab itself."""

    names: tyro.conf.Positional[
        Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME")]
    ]
    """Names of losses, e.g. dpop gsil; folders of runs, for their losses and measures;
    gradlab."""
