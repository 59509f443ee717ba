"""How every command ends: a manifest, a table on the screen, the list of files."""

from collections.abc import Sequence, Sized
from pathlib import Path
from typing import Protocol

import jax
import pandas as pd
from rich.console import Console
from rich.table import Table

from gradlab.inputs.choices import loss_settings
from gradlab.inputs.config import InputConfig
from gradlab.inputs.loading import Inputs
from gradlab.losses import BoundLoss
from gradlab.tables import build_manifest

TABLE_WIDTH = 120  # columns that the tables need where losses have usual names


class Provenance(Protocol):
    """What a manifest says of the inputs; see `gradlab.inputs.loading.Inputs`."""

    @property
    def pairs(self) -> Sized:
        """The pairs."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 of the data."""
        ...

    @property
    def notes(self) -> list[str]:
        """What was cut, merged or left out."""
        ...

    @property
    def policy_name(self) -> str:
        """The model under study."""
        ...

    @property
    def reference_name(self) -> str:
        """The reference."""
        ...


def run_manifest(
    config: InputConfig,
    inputs: Provenance,
    losses: Sequence[BoundLoss],
    *,
    command: str,
    dtype: str,
    seconds: float,
) -> dict:
    """The manifest of one run: settings, data, models, versions, time."""
    return build_manifest(
        config=config,
        seed=config.seed,
        dtype=dtype,
        device=jax.devices()[0].device_kind,
        data_digest=inputs.digest,
        wall_seconds=round(seconds, 2),
        command=command,
        losses={loss.label: loss_settings(loss) for loss in losses},
        pairs=len(inputs.pairs),
        notes=inputs.notes,
        policy=inputs.policy_name,
        reference=inputs.reference_name,
    )


def prompt_frame(inputs: Inputs) -> pd.DataFrame:
    """One row per pair: pair, row, and the text of its prompt as the model read it."""
    return pd.DataFrame(
        {
            "pair": range(len(inputs.pairs)),
            "row": [pair.row for pair in inputs.pairs],
            "prompt": [inputs.tokenizer.decode(pair.prompt) for pair in inputs.pairs],
        }
    )


def report(
    console: Console,
    table: Table,
    folder: Path,
    files: Sequence[str],
    figures: Sequence[str],
) -> None:
    """The table on stdout; on stderr the files of the run."""
    out = Console()
    if not out.is_terminal:
        out.width = TABLE_WIDTH  # a file has no width: never cut the numbers there
    out.print(table)
    console.print(f"Wrote into {folder}:", highlight=False, markup=False)
    for name in [*files, *(f"{figure}.pdf, {figure}.png" for figure in figures)]:
        console.print(f"  {name}", highlight=False, markup=False)
