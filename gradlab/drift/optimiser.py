"""The optimiser whose step is analysed, and how long the step is."""

import numpy as np
import optax

from gradlab.drift.config import DriftConfig
from gradlab.errors import GradlabError
from gradlab.gradients.groups import tree_norm
from gradlab.training.config import OptimiserSettings
from gradlab.training.optimisers import make_optimiser
from gradlab.types import Params

RELATIVE_STEP = 1e-5  # of the parameters' norm: small, and well above rounding


def build_optimiser(config: DriftConfig) -> optax.GradientTransformation:
    """The optimiser that `gradlab train` takes too; of rate 1 where a length is set.

    Raises:
      GradlabError: a rate, norm or decay that isn't positive, a rate and a length, or
        decay without adamw.
    """
    for option in ("lr", "clip_norm", "step_norm", "weight_decay"):
        value = getattr(config, option)
        bad = value is not None and not (np.isfinite(value) and value > 0)
        if bad and (option, value) != ("weight_decay", 0.0):
            name = option.replace("_", "-")
            raise GradlabError(f"--{name} is {value}; expected a positive number")
    if config.lr is not None and config.step_norm is not None:
        raise GradlabError(
            f"--lr {config.lr} and --step-norm {config.step_norm}: both say how long "
            "the step is; expected one of them"
        )
    if config.weight_decay and config.optimizer != "adamw":
        raise GradlabError(
            f"--weight-decay {config.weight_decay} with --optimizer "
            f"{config.optimizer}; expected adamw, the one that decays weights"
        )
    settings = OptimiserSettings(
        name=config.optimizer,
        learning_rate=1.0 if config.lr is None else config.lr,
        schedule="constant",
        clip_norm=config.clip_norm,
        weight_decay=config.weight_decay,
    )
    return make_optimiser(settings, steps=1)


def step_length(config: DriftConfig, params: Params) -> float | None:
    """The Euclidean length that every loss's step gets; None: what --lr makes it."""
    if config.lr is not None or config.step_norm is not None:
        return config.step_norm
    return RELATIVE_STEP * float(tree_norm(params))
