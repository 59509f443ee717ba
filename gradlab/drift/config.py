"""Settings of `gradlab drift`. No jax here: the command line's help reads them."""

from dataclasses import dataclass
from typing import Literal

from gradlab.inputs.config import TokenConfig

DEFAULT_LOSSES = (
    "mle,unlikelihood_token,exmate,dpo,dpo+exmate,ipo,averaged_dpo,hinge,dpop,simpo,"
    "orpo,rpo"
)


@dataclass(frozen=True)
class DriftConfig(TokenConfig):
    """Predict, before it is taken, what one training step does to every token.

    For each loss one optimiser step on all pairs as one batch: the change of each
    token's log-probability to first order, split into what the chosen and what the
    rejected tokens cause, beside the change that the step really makes. Writes
    tokens.parquet, pairs.csv, summary.csv, gram.parquet (cosines between the token
    gradients of one pair), the figures and manifest.json into one folder. Without
    arguments it uses the word problems and the small model that come with gradlab.
    """

    losses: str = DEFAULT_LOSSES
    """Comma-separated names, settings, sums, your own functions, or "all"."""

    optimizer: Literal["sgd", "rmsprop", "adamw"] = "sgd"
    """Whose first step is taken, from a fresh state."""

    lr: float | None = None
    """Learning rate. Default: none; the step has the length --step-norm."""

    weight_decay: float = 0.0
    """Of adamw."""

    clip_norm: float | None = None
    """Clip the gradient of the batch to this Euclidean norm."""

    step_norm: float | None = None
    """Scale each loss's step to this Euclidean norm, so that losses are compared at
    steps of equal length. Default: 1e-5 of the parameters' own norm, unless --lr."""

    precision: Literal["float32", "float64"] = "float32"
    """Of the model. float64 shows drifts that float32 rounds away; CPU only, slower."""

    batch_size: int = 8
    """Sequences in one pass."""

    max_shapes: int = 6
    """Most padded shapes of a batch: more save padding and cost compilation."""
