"""What the user chose by name: the losses, and the folder for the results."""

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

from gradlab.disk import LOCK, is_content, locked, only_writer
from gradlab.errors import GradlabError
from gradlab.inputs.config import InputConfig
from gradlab.losses import LOSSES, BoundLoss, resolve
from gradlab.losses.resolve import split_outside


def chosen_losses(text: str) -> list[BoundLoss]:
    """The losses that a comma-separated list, or "all", names.

    Raises:
      GradlabError: an unknown or repeated loss, or none at all.
    """
    if text.strip() == "all":
        return [resolve(name) for name in LOSSES if not LOSSES[name].required]
    specs = [spec.strip() for spec in split_outside(text, ",") if spec.strip()]
    if not specs:
        raise GradlabError(f"--losses {text!r} names no loss; expected e.g. dpo,ipo")
    losses = [resolve(spec) for spec in specs]
    labels = [loss.label for loss in losses]
    repeated = next((x for x in labels if labels.count(x) > 1), None)
    if repeated is not None:
        raise GradlabError(f"--losses names '{repeated}' twice")
    return losses


def loss_settings(loss: BoundLoss) -> dict:
    """Every hyperparameter of a loss, defaults included, for a manifest."""
    defaults = loss.info.defaults if loss.info else {}
    return {k: v for k, v in (defaults | loss.hyper).items() if not callable(v)}


@contextlib.contextmanager
def output_folder(config: InputConfig, command: str) -> Iterator[Path]:
    """Where the results go: held for this process, and removed again if it stays empty.

    An earlier result is replaced only on request.

    Raises:
      GradlabError: the folder holds files and `overwrite` isn't set, can't be written,
        or another process writes into it.
    """
    with held_folder(config.out, command) as folder:
        if not config.overwrite and any(map(is_content, folder.iterdir())):
            raise GradlabError(
                f"--out {folder} holds files already; expected a new or empty folder "
                "(--overwrite replaces an earlier run)"
            )
        yield folder


@contextlib.contextmanager
def held_folder(out: Path | None, command: str) -> Iterator[Path]:
    """A folder that this process alone writes into; by default the next runs/COMMAND-N.

    Raises:
      GradlabError: it can't be written, or another process writes into it.
    """
    if out is not None:
        with only_writer(out):
            yield out
        return
    for number in itertools.count(1):
        folder = Path("runs") / f"{command}-{number}"
        if folder.exists():
            continue
        with locked(folder / LOCK) as held:
            # Another process may have taken the number in this moment.
            if held and not any(map(is_content, folder.iterdir())):
                yield folder
                return


def check_pair(pair: int | None, count: int) -> None:
    """Refuses a pair for the figures that doesn't exist."""
    if pair is not None and not 0 <= pair < count:
        raise GradlabError(f"--pair {pair} does not exist; expected 0 to {count - 1}")
