"""Settings of `gradlab compare`. No jax here: the command line's help reads them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

DEFAULT_LOSSES = (
    "mle,unlikelihood_token,exmate,dpo,dpo+exmate,ipo,averaged_dpo,hinge,slic,dpop,"
    "simpo,orpo,rpo"
)


@dataclass(frozen=True)
class CompareConfig:
    """Compare the gradients of preference losses, token by token.

    Scores preference pairs with a policy and a reference, computes the derivative of
    each loss with respect to each token's log-probability, and writes tokens.parquet,
    summary.csv, the figures (PDF and PNG) and manifest.json into one folder. Without
    arguments it uses the word problems and the small model that come with gradlab.
    """

    model: str | None = None
    """Policy: a folder in Hugging Face Llama layout, a hub id, or a .gguf file with
    --tokenizer. Default: embedded."""

    reference: str | None = None
    """Reference: likewise. Default: the policy itself, as at step 0 of training."""

    tokenizer: str | None = None
    """Tokenizer folder. Default: that of the model."""

    data: str | None = None
    """Pairs: a .jsonl or .parquet file or a hub data-set id. Default: embedded."""

    losses: str = DEFAULT_LOSSES
    """Comma-separated names, settings, sums, your own functions, or "all": dpo,
    dpop(lam=5), dpo+0.5*exmate, my_package.my_module:my_loss."""

    out: Path | None = None
    """Folder for the results. Default: the next free runs/compare-N."""

    overwrite: bool = False
    """Replace the results of an earlier comparison in the folder."""

    limit: Annotated[int | None, tyro.conf.arg(aliases=["-n"])] = None
    """Use only the first N good pairs. Embedded problems: their number, default 200."""

    on_bad_row: Literal["stop", "skip"] = "stop"
    """Stop at the first bad row of the data, or count bad rows by reason and go on."""

    max_length: int | None = None
    """Longest prompt plus response, in tokens. Default: the model's context."""

    truncation: Literal["prompt", "drop", "error"] = "prompt"
    """Too long: cut the start of the prompt, drop the pair, or stop."""

    append_eos: bool = True
    """End each response with the tokenizer's end-of-sequence token."""

    batch_size: int = 16
    """Sequences scored at once."""

    pair: int | None = None
    """The pair (from 0) shown in the figures. Default: a short, typical one."""

    seed: int = 0
    """Of the embedded problems and of random draws inside losses (SamPO)."""
