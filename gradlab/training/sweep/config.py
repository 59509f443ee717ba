"""Settings of `gradlab sweep`. No jax here: the command line's help reads them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class SweepConfig:
    """Train a language model once for every combination of some settings.

    Each run is one of `gradlab train`, in a folder of its own below runs/. Called
    again, the sweep skips runs that are finished and goes on with those that were
    interrupted. sweep.csv and sweep.parquet hold one row for each run.
    """

    file: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="FILE")]]
    """YAML or JSON: settings as for `gradlab train --config`, and under `sweep` a list
    of values for each dotted key, e.g. optimiser.learning_rate: [1e-5, 1e-4]."""

    out: Path | None = None
    """Folder of the sweep. Default: runs/NAME, after the file."""

    shard: str = "1/1"
    """Do part I of N: I/N, from 1/N to N/N. auto: the task of a Slurm array; auto/N:
    also the completion index of a Kubernetes job of N."""

    together: int = 1
    """Up to so many runs that differ in learning rate, numbers of the loss or seed are
    trained at the same time, as one program. On a CPU it gains nothing."""

    list_runs: tyro.conf.FlagCreatePairsOff[
        Annotated[bool, tyro.conf.arg(name="list")]
    ] = False
    """Only print the runs and where each of them stands."""
