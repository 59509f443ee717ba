"""What tokenising did to a set of pairs, in numbers and in words."""

from dataclasses import asdict, dataclass, field
from typing import Any

from gradlab.data.badrows import BadRow, summarise


@dataclass
class TokenizeReport:
    """An account of `tokenize_pairs`. Numbers are pairs unless stated otherwise.

    Attributes:
      pairs: pairs in the result.
      max_length: the limit, in tokens.
      truncation: the policy for longer pairs.
      prompt_truncated: whose prompt lost its beginning.
      chosen_truncated: whose chosen response lost its end.
      rejected_truncated: likewise.
      dropped_too_long: left out under truncation="drop".
      boundary_merged: where a token would have straddled prompt and response, so that
        they were encoded apart.
      bos_added: where BOS was put in front.
      chosen_eos: whose chosen response holds EOS.
      rejected_eos: likewise.
      eos_missing: EOS was asked for and the tokenizer has none.
      chat: "template", "plain" (the fallback) or None (no conversation).
      skipped: rows left out, by reason.
      examples: the first few of them.
    """

    pairs: int = 0
    max_length: int = 0
    truncation: str = "prompt"
    prompt_truncated: int = 0
    chosen_truncated: int = 0
    rejected_truncated: int = 0
    dropped_too_long: int = 0
    boundary_merged: int = 0
    bos_added: int = 0
    chosen_eos: int = 0
    rejected_eos: int = 0
    eos_missing: bool = False
    chat: str | None = None
    skipped: dict[str, int] = field(default_factory=dict)
    examples: list[BadRow] = field(default_factory=list)

    def count(self, pair: Any, form: str, templated: bool) -> None:
        """Adds one finished `TokenizedPair` to the account."""
        self.pairs += 1
        self.prompt_truncated += pair.prompt_dropped > 0
        self.chosen_truncated += pair.chosen_dropped > 0
        self.rejected_truncated += pair.rejected_dropped > 0
        self.boundary_merged += pair.boundary_apart
        self.chosen_eos += pair.chosen_eos
        self.rejected_eos += pair.rejected_eos
        self.bos_added += pair.bos_added
        if form == "conversational":
            self.chat = "template" if templated else "plain"

    def as_dict(self) -> dict[str, Any]:
        """The account as plain values, for a manifest."""
        return asdict(self)

    def lines(self) -> list[str]:
        """What a user should know, one remark a line; empty if all went smoothly."""
        limit = f"max_length={self.max_length}"
        remarks = [
            (self.prompt_truncated, f"prompts cut at their beginning ({limit})"),
            (self.chosen_truncated, f"chosen responses cut at their end ({limit})"),
            (self.rejected_truncated, f"rejected responses cut at their end ({limit})"),
            (self.dropped_too_long, f"pairs left out for their length ({limit})"),
            (
                self.boundary_merged,
                "pairs with prompt and responses encoded apart, because a token would"
                " have straddled the boundary",
            ),
        ]
        lines = [f"{count} of {self.seen} {what}" for count, what in remarks if count]
        if self.eos_missing:
            lines.append("no EOS behind the responses: the tokenizer has none")
        if self.chat == "plain":
            lines.append(
                "no chat template: conversations as plain 'role: content' lines"
            )
        if self.skipped:
            lines.append(summarise(self.skipped))
        return lines

    @property
    def seen(self) -> int:
        """Pairs that were given, the ones left out included."""
        return self.pairs + self.dropped_too_long + sum(self.skipped.values())
