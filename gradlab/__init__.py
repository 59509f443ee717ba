"""gradlab: what a preference loss does to a language model, token by token.

Names load on first use, so that `import gradlab` and the command line's help load
neither jax nor flax.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradlab.errors import GradlabError as GradlabError
    from gradlab.gradients.drift import predicted_drift as predicted_drift
    from gradlab.gradients.drift import realised_drift as realised_drift
    from gradlab.gradients.drift import split_drift as split_drift
    from gradlab.gradients.sides import side_gradients as side_gradients
    from gradlab.gradients.step import split_step as split_step
    from gradlab.gradients.token import logit_gradient_norm as logit_gradient_norm
    from gradlab.gradients.token import token_weights as token_weights
    from gradlab.losses import LOSSES as LOSSES
    from gradlab.losses import example_pair as example_pair
    from gradlab.losses import plain as plain
    from gradlab.losses import weighted_sum as weighted_sum
    from gradlab.types import PairLogps as PairLogps
    from gradlab.types import PairWeights as PairWeights
    from gradlab.types import TokenStats as TokenStats

__version__ = "0.1.0"

_HOME = {
    "GradlabError": "gradlab.errors",
    "LOSSES": "gradlab.losses",
    "PairLogps": "gradlab.types",
    "PairWeights": "gradlab.types",
    "TokenStats": "gradlab.types",
    "example_pair": "gradlab.losses",
    "logit_gradient_norm": "gradlab.gradients",
    "plain": "gradlab.losses",
    "predicted_drift": "gradlab.gradients",
    "realised_drift": "gradlab.gradients",
    "side_gradients": "gradlab.gradients",
    "split_drift": "gradlab.gradients",
    "split_step": "gradlab.gradients",
    "token_weights": "gradlab.gradients",
    "weighted_sum": "gradlab.losses",
}
_MODULES = (
    "data", "gradients", "losses", "measures", "models", "plotting", "report", "tables",
)  # fmt: skip

__all__ = ["__version__", *_HOME, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _MODULES:
        return import_module(f"gradlab.{name}")
    raise AttributeError(f"module 'gradlab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
