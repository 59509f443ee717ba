"""The optimiser whose step is analysed, and how long the step is."""

import numpy as np
import optax

from gradlab.drift.config import DriftConfig
from gradlab.errors import GradlabError
from gradlab.gradients.groups import tree_norm
from gradlab.types import Params

RELATIVE_STEP = 1e-5  # of the parameters' norm: small, and well above rounding


def build_optimiser(config: DriftConfig) -> optax.GradientTransformation:
    """The optimiser that the settings name; of rate 1 where the length is set instead.

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
    rate = 1.0 if config.lr is None else config.lr
    made = {
        "sgd": lambda: optax.sgd(rate),
        "rmsprop": lambda: optax.rmsprop(rate),
        "adamw": lambda: optax.adamw(rate, weight_decay=config.weight_decay),
    }[config.optimizer]()
    if config.clip_norm is None:
        return made
    return optax.chain(optax.clip_by_global_norm(config.clip_norm), made)


def step_length(config: DriftConfig, params: Params) -> float | None:
    """The Euclidean length that every loss's step gets; None: what --lr makes it."""
    if config.lr is not None or config.step_norm is not None:
        return config.step_norm
    return RELATIVE_STEP * float(tree_norm(params))
