"""Several processes that train one model: how they find each other and stay in step.

All of them run the same program on the same rows; what is split between them is the
work of a step and the arrays on the devices. The first one writes the run's folder.
The others work in a copy of their own that is thrown away, so that nothing else has to
know how many there are. Checkpoints are written by all of them together.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils

from gradlab.errors import GradlabError
from gradlab.training.config import MeshSettings
from gradlab.training.config_checks import refuse

WAIT_SECONDS = 300  # for the other processes to begin


def connect(settings: MeshSettings) -> None:
    """Joins the other processes; must run before jax looks for devices.

    Raises:
      GradlabError: no cluster is found, or the processes don't find each other.
    """
    if settings.distributed == "off" and settings.coordinator is None:
        return
    try:
        jax.distributed.initialize(
            settings.coordinator,
            settings.processes,
            settings.process,
            initialization_timeout=WAIT_SECONDS,
        )
    except (RuntimeError, ValueError) as error:
        if settings.coordinator is not None:
            refuse(
                "mesh.coordinator",
                settings.coordinator,
                f"{settings.processes} processes that reach process 0 there: {error}",
            )
        refuse(
            "mesh.distributed",
            "auto",
            f"Slurm, Kubernetes, a TPU pod or mpirun around this process: {error}",
        )


def is_first() -> bool:
    """Whether this process writes the run's folder."""
    return jax.process_index() == 0


def anywhere(flag: bool) -> bool:
    """Whether the flag is set in any process; all of them must ask."""
    if jax.process_count() == 1:
        return flag
    return bool(np.any(multihost_utils.process_allgather(np.array(flag))))


def everywhere(flag: bool) -> bool:
    """Whether the flag is set in every process; all of them must ask."""
    return not anywhere(not flag)


def wait_for_all() -> None:
    """Goes on when all processes have come here."""
    anywhere(False)


@contextlib.contextmanager
def own_folder(folder: Path) -> Iterator[Path]:
    """The run's folder for the first process, a copy of it for each other one.

    Args:
      folder: as the first process has made it, on a disk that all processes see.

    Raises:
      GradlabError: a process doesn't see the folder.
    """
    wait_for_all()  # until the first one has made the folder
    if is_first():  # and writes into it, once the others have copied it
        _all_see(folder)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="gradlab-") as scratch:
        copy = Path(scratch, "run")
        if folder.is_dir():
            skipped = shutil.ignore_patterns("checkpoints", "model", "tensorboard")
            shutil.copytree(folder, copy, ignore=skipped)
        _all_see(folder)
        yield copy


def _all_see(folder: Path) -> None:
    if not everywhere(folder.is_dir()):
        raise GradlabError(
            f"{folder}: not every process sees it; expected a folder on a disk that "
            "all of them share"
        )
