"""Settings of `gradlab doctor`. No jax here: the command line's help reads them."""

from dataclasses import dataclass
from typing import Annotated

import tyro


@dataclass(frozen=True)
class DoctorConfig:
    """Look whether the installation, a model and its data give numbers to be trusted.

    One verdict a line: ok, warn or FAIL. The exit status is 1 when a check fails.
    """

    model: str | None = None
    """A folder in Hugging Face Llama layout, a hub id, or a .gguf file with
    --tokenizer. Default: embedded."""

    tokenizer: str | None = None
    """Tokenizer folder. Default: that of the model."""

    data: str | None = None
    """Pairs: a .jsonl or .parquet file or a hub data-set id. Default: embedded."""

    limit: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 8
    """Look at the first N good pairs."""

    losses: str = "dpo,ipo,simpo,dpop,orpo"
    """Losses whose gradients are checked; your own as my_module:my_loss."""

    max_length: int | None = None
    """Longest prompt plus response, in tokens. Default: the model's context."""

    append_eos: bool = True
    """End each response with the tokenizer's end-of-sequence token."""

    batch_size: int = 8
    """Sequences in one forward pass."""

    seed: int = 0
    """Of the embedded problems."""

    json: bool = False
    """Print one JSON object."""
