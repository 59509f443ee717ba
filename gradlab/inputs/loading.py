"""Models, tokenizer and tokenised pairs, as the settings name them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from gradlab.data import (
    PairFile,
    TokenizedPair,
    Tokenizer,
    arithmetic,
    load_tokenizer,
    read_pairs,
    tokenize_pairs,
)
from gradlab.data.embedded import embedded_model_folder
from gradlab.errors import GradlabError
from gradlab.inputs.config import InputConfig, check_seed
from gradlab.inputs.progress import counting, say
from gradlab.inputs.scored import ScoredPairs
from gradlab.inputs.scoring import Scorer, passes, score_pairs
from gradlab.losses import BoundLoss
from gradlab.models.hub import load_model, resolve_folder

EMBEDDED_PAIRS = 200


@dataclass(frozen=True)
class Inputs:
    """Everything loaded.

    Attributes:
      policy: the model under study.
      reference: the frozen reference; None where it is the policy itself.
      tokenizer: the policy's.
      pairs: tokenised pairs that fit the model.
      digest: SHA-256 of the data.
      notes: what was cut, merged or left out, one line each.
      policy_name: as the user named it.
      reference_name: likewise.
    """

    policy: Scorer
    reference: Scorer | None
    tokenizer: Tokenizer
    pairs: Sequence[TokenizedPair]
    digest: str
    notes: list[str]
    policy_name: str
    reference_name: str


def load_inputs(
    config: InputConfig, console: Console, rows: PairFile | None = None
) -> Inputs:
    """Load what the settings name; what was left out is printed and kept as notes.

    Args:
      config: the settings.
      console: told what was left out.
      rows: pairs that are read already, in place of those that the settings name.

    Raises:
      GradlabError: a setting, a model folder, a tokenizer or a row of the data.
    """
    check_seed(config.seed)
    for option, value in (("batch-size", config.batch_size), ("limit", config.limit)):
        if value is not None and value < 1:
            raise GradlabError(f"--{option} is {value}; expected at least 1")
    # Pairs first: they are refused in a second, before any weights are read.
    rows = _read(config) if rows is None else rows
    policy_name = config.model or "embedded"
    tokenizer, policy = _load(config.model or str(embedded_model_folder()), config)
    reference = None
    if config.reference is not None and config.reference != config.model:
        other, reference = _load(config.reference, config)
        _check_same_tokens(tokenizer, other, config)
    tokenized = tokenize_pairs(
        rows,
        tokenizer,
        max_length=_max_length(config, policy, reference),
        append_eos=config.append_eos,
        truncation=config.truncation,
        on_bad_row=config.on_bad_row,
    )
    notes = [rows.summary(), *tokenized.report.lines()]
    for note in notes:
        say(console, note)
    return Inputs(
        policy=policy,
        reference=reference,
        tokenizer=tokenizer,
        pairs=tokenized.pairs,
        digest=rows.digest,
        notes=notes,
        policy_name=policy_name,
        reference_name=config.reference or f"{policy_name} (the policy itself)",
    )


def score_inputs(
    inputs: Inputs, losses: Sequence[BoundLoss], console: Console
) -> ScoredPairs:
    """Scores all pairs, with what these losses need, and shows the progress."""
    mismatched = any("kl_logratios" in loss.needs_fields for loss in losses)
    total = passes(
        inputs.policy, inputs.reference, len(inputs.pairs), mismatched=mismatched
    )
    with counting(console, "scoring", total, unit="sequences") as progress:
        return score_pairs(
            inputs.policy,
            inputs.pairs,
            inputs.reference,
            mismatched=mismatched,
            progress=progress,
        )


def _load(source: str, config: InputConfig) -> tuple[Tokenizer, Scorer]:
    """Tokenizer and model of a folder, a hub id, or a .gguf file with --tokenizer."""
    place: str | Path = source
    if Path(source).suffix != ".gguf":
        place = resolve_folder(source)
    elif config.tokenizer is None:
        raise GradlabError(
            f"{source} holds weights only; expected --tokenizer FOLDER beside it"
        )
    tokenizer = load_tokenizer(config.tokenizer or place)
    return tokenizer, Scorer(*load_model(place), config.batch_size)


def _read(config: InputConfig) -> PairFile:
    if config.data is not None:
        return read_pairs(config.data, limit=config.limit, on_bad_row=config.on_bad_row)
    if config.model is not None:
        raise GradlabError(
            "--model without --data: the embedded word problems suit the embedded "
            "model only; expected --data FILE"
        )
    count = EMBEDDED_PAIRS if config.limit is None else config.limit
    return embedded_pairs(count, config.seed)


def embedded_pairs(count: int, seed: int, *, every_length: bool = False) -> PairFile:
    """Word problems with a right and a wrong solution, which come with gradlab.

    Args:
      count: how many.
      seed: of the draw.
      every_length: from one step to three, as `arithmetic.problems` draws them, and
        the last step of each wrong solution is wrong. Otherwise two or three steps,
        and all kinds of wrong solutions take turns.
    """
    shape: dict[str, Any] = {"steps": (1, 3), "kinds": ("last",)}
    made = arithmetic.pairs(count, seed, **shape if every_length else {})
    columns = ("prompt", "chosen", "rejected")
    return read_pairs([{c: getattr(p, c) for c in columns} for p in made])


def _max_length(config: InputConfig, policy: Scorer, reference: Scorer | None) -> int:
    scorers = [policy] if reference is None else [policy, reference]
    context = min(s.model.config.max_length for s in scorers if s.model.config)
    if config.max_length is None:
        return context
    if not 2 <= config.max_length <= context:
        raise GradlabError(
            f"--max-length is {config.max_length}; expected 2 to {context}, the "
            "model's context"
        )
    return config.max_length


def _check_same_tokens(ours: Tokenizer, theirs: Tokenizer, config: InputConfig) -> None:
    if not same_tokens(ours, theirs):
        raise GradlabError(
            f"--reference {config.reference} has another tokenizer than the policy "
            f"({theirs.vocab_size} tokens, the policy {ours.vocab_size}); expected one "
            "that gives the same tokens"
        )


def same_tokens(one: Tokenizer, other: Tokenizer) -> bool:
    """Whether two tokenizers are of one size and cut a text of many kinds alike."""
    probe = "The answer is 26, isn't it? Ünïcode\n  and  spaces."
    same_size = one.vocab_size == other.vocab_size
    return same_size and one.encode(probe) == other.encode(probe)
