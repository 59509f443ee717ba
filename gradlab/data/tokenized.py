"""Pairs as token ids: the prompt, two responses, and an account of every decision.

Boundary. Prompt and response are encoded together. Where the ids of the prompt alone
begin the ids of the whole text on both sides, the rest is the response: the ids are
those that a model sees in running text. Where a token would straddle the boundary on
either side, prompt and responses of that pair are encoded apart, and the pair is marked
`boundary_apart`. An implicit prompt is the longest run of ids that both sides begin
with; so its responses differ in their first token, and words that both answers share at
their beginning count as prompt.

BOS goes in front once if the tokenizer's convention puts it there, and always if the
prompt would be empty (the first response token needs something to be predicted from).

EOS goes behind each response unless it is there already, or a chat template rendered
the pair (the template says how a message ends). Masks are by position, so EOS counts
also where it is the padding token.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from gradlab.data.badrows import (
    BadRowLog,
    OnBadRow,
    RowError,
    require_choice,
    require_count,
)
from gradlab.data.boundary import Ids, encode, shared_length
from gradlab.data.encoding import Tokenizer
from gradlab.data.pairs import Pair, PairFile
from gradlab.data.report import TokenizeReport
from gradlab.errors import DataError

Truncation = Literal["prompt", "drop", "error"]


@dataclass(frozen=True)
class TokenizedPair:
    """One pair as ids. Both sides have the same prompt.

    Attributes:
      row: line or row of the source, from 1.
      prompt: ids, at least one (BOS included where it was put in front).
      chosen: ids of the preferred response, EOS included where it was put behind.
      rejected: ids of the dispreferred response.
      prompt_dropped: tokens cut from the prompt's beginning.
      chosen_dropped: tokens cut from the end of chosen.
      rejected_dropped: tokens cut from the end of rejected.
      chosen_eos: chosen holds EOS.
      rejected_eos: rejected holds EOS.
      bos_added: BOS was put in front of the prompt.
      boundary_apart: prompt and responses were encoded apart.
    """

    row: int
    prompt: list[int]
    chosen: list[int]
    rejected: list[int]
    prompt_dropped: int = 0
    chosen_dropped: int = 0
    rejected_dropped: int = 0
    chosen_eos: bool = False
    rejected_eos: bool = False
    bos_added: bool = False
    boundary_apart: bool = False

    @property
    def length(self) -> int:
        """Tokens of the prompt and the longer response."""
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))

    @property
    def shared_tokens(self) -> int:
        """How many tokens the responses share before they first differ."""
        return shared_length(self.chosen, self.rejected)


@dataclass(frozen=True)
class TokenizedPairs:
    """Pairs as ids, in the order of their source.

    Attributes:
      pairs: the pairs; `SideBatch.index` counts in this list.
      report: what happened to prompts, boundaries, ends and bad rows.
    """

    pairs: list[TokenizedPair]
    report: TokenizeReport = field(default_factory=TokenizeReport)

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self.pairs)

    def __iter__(self) -> Iterator[TokenizedPair]:
        """The pairs in order."""
        return iter(self.pairs)


def tokenize_pairs(
    pairs: PairFile | Sequence[Pair],
    tokenizer: Tokenizer,
    *,
    max_length: int,
    append_eos: bool = True,
    truncation: Truncation = "prompt",
    on_bad_row: OnBadRow = "stop",
) -> TokenizedPairs:
    """Turns pairs into ids (see the module for boundary, BOS and EOS).

    Args:
      pairs: what `read_pairs` returned, or a list of pairs.
      tokenizer: from `load_tokenizer`.
      max_length: most tokens of prompt and longer response together, at least 2.
      append_eos: put EOS behind each response. Without an EOS token nothing is put
        there and the report says so.
      truncation: what happens to a pair that is too long. "prompt" cuts the prompt's
        oldest tokens (never BOS, never the last one), by the need of the longer side,
        for both sides alike; only if the response doesn't fit even then is the
        response's end cut, EOS with it. "drop" leaves the pair out and counts it.
        "error" raises.
      on_bad_row: "stop" or "skip", for pairs whose responses are empty or identical as
        ids, that have no context, or that the chat template refuses.

    Returns:
      The pairs and the report.

    Raises:
      DataError: a bad row (with "stop"), a pair that is too long (with "error"), no
        pair left, an argument out of range.

    Guarantees:
      Each pair given is in the result, or counted in `report.dropped_too_long` or
      `report.skipped`. Every prompt and response has at least one token, and the
      responses of a pair differ.
    """
    require_count("max_length", max_length, least=2)
    require_choice("truncation", truncation, get_args(Truncation))
    source, unit = "pairs", "row"
    if isinstance(pairs, PairFile):
        source, unit, pairs = pairs.source, pairs.unit, pairs.pairs
    log = BadRowLog(source, on_bad_row, unit)
    report = TokenizeReport(max_length=max_length, truncation=truncation)
    eos_id = tokenizer.eos_id if append_eos else None
    kept: list[TokenizedPair] = []
    for pair, encoded in encode(pairs, tokenizer):
        try:
            if isinstance(encoded, RowError):
                raise encoded
            ready = _finish(pair, encoded, tokenizer, eos_id)
            if ready.length > max_length:
                ready = _fit(ready, tokenizer, max_length, truncation, log)
            if ready is None:
                report.dropped_too_long += 1
                continue
            report.count(ready, pair.form, tokenizer.chat_template is not None)
            kept.append(ready)
        except RowError as error:
            log.add(pair.row, error)
    report.eos_missing = append_eos and tokenizer.eos_id is None
    report.skipped, report.examples = log.counts, log.examples
    if not kept and report.dropped_too_long:
        raise DataError(
            f"{source}: no pair left: {report.dropped_too_long} have more than"
            f" max_length={max_length} tokens. Use a larger one or truncation='prompt'."
        )
    log.require_some(len(kept), "at least one pair")
    return TokenizedPairs(kept, report)


def _finish(
    pair: Pair, encoded: Ids, tokenizer: Tokenizer, eos_id: int | None
) -> TokenizedPair:
    """Checks a pair and adds BOS and EOS."""
    prompt, chosen, rejected, apart = encoded
    for key, ids in (("chosen", chosen), ("rejected", rejected)):
        if not ids:
            detail = f"{key!r} has no token, expected at least one"
            raise RowError("empty as tokens", detail)
    bos = tokenizer.bos_id
    bos_added = False
    if bos is not None and (tokenizer.adds_bos or not prompt) and prompt[:1] != [bos]:
        prompt, bos_added = [bos, *prompt], True
    if not prompt:
        detail = "the prompt has no token and the tokenizer has no BOS"
        raise RowError("no context", f"{detail}, expected one of them")
    templated = pair.form == "conversational" and tokenizer.chat_template is not None
    if eos_id is not None and not templated:
        chosen, rejected = (
            ids if ids[-1] == eos_id else [*ids, eos_id] for ids in (chosen, rejected)
        )
    if chosen == rejected:
        detail = "the responses have the same ids, expected them to differ"
        raise RowError("identical as tokens", detail)
    ready = TokenizedPair(
        pair.row, prompt, chosen, rejected, bos_added=bos_added, boundary_apart=apart
    )
    return _mark_ends(ready, tokenizer.eos_id)


def _mark_ends(pair: TokenizedPair, eos_id: int | None) -> TokenizedPair:
    chosen, rejected = (eos_id in ids for ids in (pair.chosen, pair.rejected))
    return replace(pair, chosen_eos=chosen, rejected_eos=rejected)


def _fit(
    pair: TokenizedPair,
    tokenizer: Tokenizer,
    max_length: int,
    truncation: Truncation,
    log: BadRowLog,
) -> TokenizedPair | None:
    """Makes a pair that is too long fit, or returns None to leave it out."""
    if truncation == "drop":
        return None
    if truncation == "error":
        raise DataError(
            f"{log.source}, {log.unit} {pair.row}: found {pair.length} tokens, expected"
            f" at most max_length={max_length}. Use a larger one, or"
            " truncation='prompt' or 'drop'."
        )
    head = pair.prompt[:1] if pair.prompt[0] == tokenizer.bos_id else []
    body = pair.prompt[len(head) :]
    keep = max(len(body) - (pair.length - max_length), 0 if head else 1)
    prompt = head + body[len(body) - keep :]
    room = max_length - len(prompt)
    chosen, rejected = pair.chosen[:room], pair.rejected[:room]
    if chosen == rejected:
        detail = f"the responses are the same in the first {room} tokens that fit"
        raise RowError("identical when cut", f"{detail} max_length={max_length}")
    cut = replace(
        pair,
        prompt=prompt,
        chosen=chosen,
        rejected=rejected,
        prompt_dropped=len(pair.prompt) - len(prompt),
        chosen_dropped=len(pair.chosen) - len(chosen),
        rejected_dropped=len(pair.rejected) - len(rejected),
    )
    return _mark_ends(cut, tokenizer.eos_id)
