"""Settings that the commands share. No jax here: the command line's help reads them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from gradlab.errors import GradlabError


@dataclass(frozen=True)
class InputConfig:
    """Which models, which pairs, and where the results go."""

    model: str | None = None
    """Policy: a folder in Hugging Face Llama layout, a hub id, or a .gguf file with
    --tokenizer. Default: embedded."""

    reference: str | None = None
    """Reference: likewise. Default: the policy itself, as at step 0 of training."""

    tokenizer: str | None = None
    """Tokenizer folder. Default: that of the model."""

    data: str | None = None
    """Pairs: a .jsonl or .parquet file or a hub data-set id. Default: embedded."""

    out: Path | None = None
    """Folder for the results. Default: the next free runs/COMMAND-N."""

    overwrite: bool = False
    """Replace the results of an earlier run in the folder."""

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
    """Sequences in one forward pass."""

    seed: int = 0
    """Of the embedded problems and of random draws inside losses (SamPO)."""


def check_seed(seed: int) -> None:
    """Refuses a seed that numpy (below 0) or jax (64 bits and more) doesn't take.

    Raises:
      GradlabError: it is out of range.
    """
    if not 0 <= seed < 2**32:
        raise GradlabError(f"--seed is {seed}; expected 0 to {2**32 - 1}")


@dataclass(frozen=True)
class TokenConfig(InputConfig):
    """The same for commands whose results are tables of tokens."""

    report: bool = False
    """Also write report.html: one page with the texts coloured token by token."""

    pair: int | None = None
    """The pair (from 0) shown in the figures. Default: a short, typical one."""
