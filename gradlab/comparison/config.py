"""Settings of `gradlab compare`. No jax here: the command line's help reads them."""

from dataclasses import dataclass
from pathlib import Path

from gradlab.inputs.config import TokenConfig

DEFAULT_LOSSES = (
    "mle,unlikelihood_token,exmate,dpo,dpo+exmate,ipo,averaged_dpo,hinge,slic,dpop,"
    "simpo,orpo,rpo"
)


@dataclass(frozen=True)
class CompareConfig(TokenConfig):
    """Compare the gradients of preference losses, token by token.

    Scores preference pairs with a policy and a reference, computes the derivative of
    each loss with respect to each token's log-probability, and writes tokens.parquet,
    summary.csv, the figures (PDF and PNG) and manifest.json into one folder. Without
    arguments it uses the word problems and the small model that come with gradlab.
    """

    losses: str = DEFAULT_LOSSES
    """Comma-separated names, settings, sums, your own functions, or "all": dpo,
    dpop(lam=5), dpo+0.5*exmate, my_package.my_module:my_loss."""

    logps: Path | None = None
    """Token log-probabilities that are known already, instead of a model and data: a
    .parquet, .jsonl or .csv file (docs/bridges.md), tokens.parquet of an earlier run,
    or probe_tokens.parquet of a training run."""

    step: int | None = None
    """Of probe_tokens.parquet: the step that is read. Default: the last one."""
