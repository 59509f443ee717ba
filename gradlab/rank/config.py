"""Settings of `gradlab rank`. No jax here: the command line's help reads them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro


@dataclass(frozen=True)
class RankConfig:
    """Rank the completions of each prompt by pairwise judgements; write pairs.

    Reads JSON Lines with `prompt` and `completions` (a list of strings), asks a judge
    which of two completions is better, and writes preference pairs with `prompt`,
    `chosen` and `rejected`, beside them a manifest with what it cost. Judgements are
    written down as they come: run the same command again after a crash, and it goes on
    where it stopped without asking anything twice.
    """

    completions: tyro.conf.Positional[Path]
    """A .jsonl file; where the judge needs them also with `solution` or `scores`."""

    judge: str
    """checker (arithmetic, needs `solution`), scores (needs `scores`), likelihood or
    mean_likelihood (of --judge-model), my_module:my_judge, or the base URL of an
    OpenAI-compatible endpoint, such as https://host/v1."""

    out: Path
    """The file of pairs. Beside it: NAME.manifest.json, NAME.judgements.jsonl."""

    overwrite: bool = False
    """Replace an earlier file of pairs. Judgements are never replaced."""

    judgements: Path | None = None
    """The file of judgements, if it is to lie elsewhere."""

    strategy: Literal[
        "champion", "extremes", "merge_sort", "round_robin", "bradley_terry", "elo"
    ] = "champion"
    """Who is compared with whom. Of n completions: champion n-1 comparisons, extremes
    up to 2n-3, merge_sort about n log2 n, round_robin n(n-1)/2, the others --rounds
    times n/2."""

    rounds: int = 4
    """Of bradley_terry and elo."""

    orders: Literal["both", "random", "fixed"] = "both"
    """Ask each comparison in both orders (twice the calls; a bias for one place
    cancels), in one drawn at random, or with the earlier one first."""

    rejected: Literal["last", "second", "random"] = "last"
    """The rejected one, among those below the best: the last of the ranking, the next
    below the best, or any."""

    max_calls: int | None = None
    """Most questions to the judge, those of earlier runs included. A prompt that might
    not get through ends the ranking."""

    max_failures: int = 10
    """Set aside this many prompts for which the judge has no answer; then stop."""

    workers: int | None = None
    """Questions at the same time. Default: 8 to an endpoint, else 1."""

    retries: int = 4
    """Further attempts after a timeout, HTTP 429 or 5xx, or a reply without verdict."""

    judge_model: str | None = None
    """The endpoint's model; or the folder, hub id or .gguf file (with --tokenizer) for
    likelihoods. Default for likelihoods: embedded."""

    judge_key_env: str | None = None
    """The environment variable that holds the endpoint's key. Default: no key."""

    judge_prompt: Path | None = None
    """A text file with {prompt}, {first} and {second}, asking for [[A]], [[B]] or
    [[TIE]]. Default: gradlab's."""

    judge_options: str | None = None
    """Further fields of each request, as JSON. Default: {"temperature": 0}."""

    judge_timeout: float = 60.0
    """Seconds for one attempt at an endpoint."""

    tokenizer: str | None = None
    """Of likelihoods: the tokenizer's folder. Default: that of the model."""

    batch_size: int = 16
    """Of likelihoods: sequences in one forward pass."""

    noise: float = 0.0
    """Of checker, scores and likelihoods: scale of logistic noise on the difference of
    two completions, as in a Bradley-Terry model."""

    order_bias: float = 0.0
    """Likewise: what being shown first is worth."""

    tie_threshold: float = 0.0
    """Likewise: differences up to this are ties."""

    limit: int | None = None
    """Use only the first N good rows."""

    on_bad_row: Literal["stop", "skip"] = "stop"
    """Stop at the first bad row, or count bad rows by reason and go on."""

    seed: int = 0
    """Of the order of entry, of random orders and choices, of noise and jitter."""
