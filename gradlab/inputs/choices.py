"""What the user chose by name: the losses, and the folder for the results."""

from pathlib import Path

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


def output_folder(config: InputConfig, command: str) -> Path:
    """Where the results go; an earlier result is replaced only on request.

    Raises:
      GradlabError: the folder holds files and `overwrite` isn't set.
    """
    if config.out is None:
        return free_folder(command)
    if config.out.is_dir() and any(config.out.iterdir()) and not config.overwrite:
        raise GradlabError(
            f"--out {config.out} holds files already; expected a new or empty folder "
            "(--overwrite replaces an earlier run)"
        )
    return config.out


def free_folder(command: str) -> Path:
    """The next runs/COMMAND-N that isn't there."""
    numbered = (Path("runs") / f"{command}-{number}" for number in range(1, 10**6))
    return next(folder for folder in numbered if not folder.exists())


def check_pair(pair: int | None, count: int) -> None:
    """Refuses a pair for the figures that doesn't exist."""
    if pair is not None and not 0 <= pair < count:
        raise GradlabError(f"--pair {pair} does not exist; expected 0 to {count - 1}")
