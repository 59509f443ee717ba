"""Settings of `gradlab length`. No jax here: the command line's help reads them."""

from dataclasses import dataclass

from gradlab.inputs.config import FigureConfig

DEFAULT_LOSSES = (
    "mle,mle(reduction=mean),dpo,averaged_dpo,ipo,ipo(reduction=mean),simpo,rdpo,lddpo,"
    "sampo,wpo"
)


@dataclass(frozen=True)
class LengthConfig(FigureConfig):
    """Measure how preference losses depend on the lengths of the two responses.

    Scores preference pairs with a policy and a reference and writes, for every pair and
    loss, what each side weighs per token and in all, the margin and the loss's slope
    along it, and the answer to tokens appended to one side (pairs.csv); for every loss
    rank correlations with length, partial ones too, with bootstrap intervals
    (summary.csv); the weights of every token (tokens.parquet); figures and
    manifest.json. Without arguments it uses the word
    problems and the small model that come with gradlab.
    """

    losses: str = DEFAULT_LOSSES
    """Comma-separated names, settings, sums, your own functions, or "all"."""

    padding: int = 8
    """Tokens appended to one side to see how the loss answers."""

    draws: int = 1000
    """Bootstrap draws of the pairs, for the intervals."""
