"""The tokenizer: text to ids and back, and what each token contributes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import tokenizers

from gradlab.data.chat import render_plain, render_template
from gradlab.data.tokentext import TokenTexts
from gradlab.errors import DataError


@dataclass(frozen=True)
class Tokenizer:
    """Wraps `tokenizers.Tokenizer` with what preference pairs need.

    Attributes:
      inner: the wrapped tokenizer, without truncation and padding.
      bos_id: id of the token that begins a text, or None.
      eos_id: id of the token that ends a text, or None.
      pad_id: id for padding, or None. Masks never depend on it.
      adds_bos: whether the tokenizer's own convention puts BOS in front of a text.
      chat_template: jinja2 source, or None.
      special_tokens: names (bos_token, ...) to texts, for chat templates.
      source: the folder, for messages.
    """

    inner: tokenizers.Tokenizer
    bos_id: int | None = None
    eos_id: int | None = None
    pad_id: int | None = None
    adds_bos: bool = False
    chat_template: str | None = None
    special_tokens: dict[str, str] = field(default_factory=dict)
    source: str = "tokenizer"

    @property
    def vocab_size(self) -> int:
        """Number of tokens, added ones included (a model may have more rows)."""
        return self.inner.get_vocab_size(with_added_tokens=True)

    def encode(self, text: str, *, add_bos: bool = False) -> list[int]:
        """The ids of a text. Special tokens written out in it become their ids.

        Args:
          text: any string that UTF-8 can encode. It is never cut.
          add_bos: whether to put BOS in front.

        Raises:
          DataError: a lone surrogate, or add_bos without a BOS.
        """
        if add_bos and self.bos_id is None:
            raise DataError(f"{self.source}: add_bos: the tokenizer has no BOS token.")
        ids = self.encode_batch([text])[0]
        return [self.bos_id, *ids] if add_bos and self.bos_id is not None else ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of several texts without BOS, on all processor cores."""
        for text in texts:
            _require_utf8(text)
        return encoded(self.inner, texts, source=self.source)

    def decode(self, ids: Sequence[int], *, skip_special: bool = False) -> str:
        """The text of ids; malformed UTF-8 becomes U+FFFD."""
        self._require_ids(ids)
        return self.inner.decode(list(ids), skip_special_tokens=skip_special)

    def token_texts(self, ids: Sequence[int]) -> list[str]:
        """What each token contributes to the text, legibly.

        A character whose bytes are spread over several tokens appears as its bytes,
        each written like ⟨0xE2⟩ at the token that holds it. Special tokens appear by
        name. Joined, the result is the decoded text, but for such characters and for a
        space that some tokenizers drop at the beginning of a text.

        Returns:
          One string for each id.
        """
        self._require_ids(ids)
        return self._texts(list(ids))

    def render_chat(
        self, messages: Sequence[dict[str, Any]], *, add_generation_prompt: bool
    ) -> str:
        """The text of a conversation by the chat template.

        A tokenizer without template falls back to `gradlab.data.chat.render_plain`.

        Args:
          messages: objects with role and content.
          add_generation_prompt: whether the text ends where an answer begins.

        Raises:
          DataError: the template is refused by the sandbox or fails.
        """
        if self.chat_template is None:
            return render_plain(messages, add_generation_prompt=add_generation_prompt)
        return render_template(
            self.chat_template,
            messages,
            add_generation_prompt=add_generation_prompt,
            special_tokens=self.special_tokens,
            source=self.source,
        )

    @cached_property
    def _texts(self) -> TokenTexts:
        return TokenTexts(self.inner)

    @cached_property
    def highest_id(self) -> int:
        """The highest id of the vocabulary; -1 where it is empty."""
        return max(self.inner.get_vocab(with_added_tokens=True).values(), default=-1)

    def _require_ids(self, ids: Sequence[int]) -> None:
        for place, token in enumerate(ids):
            if not 0 <= token <= self.highest_id:
                raise DataError(
                    f"{self.source}: id {token} at position {place}: expected 0 to"
                    f" {self.highest_id}."
                )


def encoded(
    inner: tokenizers.Tokenizer,
    texts: Sequence[str],
    *,
    special: bool = False,
    source: str = "tokenizer",
) -> list[list[int]]:
    """The ids of several texts.

    Args:
      inner: the tokenizer of the package.
      texts: that UTF-8 can encode.
      special: add what its post-processor adds.
      source: the folder, for messages.

    Raises:
      DataError: the tokenizer fails; a file can ask for what its vocabulary lacks.
    """
    try:
        found = inner.encode_batch(list(texts), add_special_tokens=special)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the package raises bare Exception, and panics
        raise DataError(f"{source}: the tokenizer fails on a text: {error}") from error
    return [encoding.ids for encoding in found]


def _require_utf8(text: str) -> None:
    if not isinstance(text, str):
        raise DataError(f"text: found {type(text).__name__}, expected a string.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"text: found the lone surrogate U+{ord(text[error.start]):04X} at"
            f" character {error.start + 1}, expected whole code points."
        ) from error
