"""Where the prompt ends: pairs as text, taken apart on token ids.

See `gradlab.data.tokenized` for the rule.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from gradlab.data.badrows import RowError
from gradlab.data.encoding import Tokenizer
from gradlab.data.pairs import Message, Pair
from gradlab.errors import DataError

CHUNK = 256  # pairs that are encoded at a time


@dataclass(frozen=True)
class _Texts:
    """A pair's texts: prompt (None if implicit) and full texts of both sides."""

    prompt: str | None
    chosen: str
    rejected: str


Ids = tuple[list[int], list[int], list[int], bool]  # prompt, chosen, rejected, apart


def encode(
    pairs: Sequence[Pair], tokenizer: Tokenizer
) -> Iterator[tuple[Pair, Ids | RowError]]:
    """Encodes the pairs, a chunk at a time so that all cores are used."""
    stream = iter(pairs)
    while chunk := list(islice(stream, CHUNK)):
        texts = [_texts(pair, tokenizer) for pair in chunk]
        good = [text for text in texts if isinstance(text, _Texts)]
        flat = [(t.prompt or "", t.chosen, t.rejected) for t in good]
        ids = iter(tokenizer.encode_batch([part for row in flat for part in row]))
        for pair, text in zip(chunk, texts, strict=True):
            if isinstance(text, RowError):
                yield pair, text
                continue
            yield pair, _split(text, next(ids), next(ids), next(ids), tokenizer)


def _texts(pair: Pair, tokenizer: Tokenizer) -> _Texts | RowError:
    if pair.form == "conversational":
        try:
            return _conversation(pair, tokenizer)
        except DataError as error:
            return RowError("chat template", str(error))
        except RowError as error:
            return error
    prompt = pair.prompt if isinstance(pair.prompt, str) else None
    front = prompt or ""
    return _Texts(prompt, f"{front}{pair.chosen}", f"{front}{pair.rejected}")


def _conversation(pair: Pair, tokenizer: Tokenizer) -> _Texts:
    prompt, *sides = (_messages(p) for p in (pair.prompt, pair.chosen, pair.rejected))
    chosen, rejected = (
        tokenizer.render_chat([*prompt, *side], add_generation_prompt=False)
        for side in sides
    )
    if not prompt:
        return _Texts("", chosen, rejected)
    shared = answer_start(prompt, [chosen, rejected], tokenizer)
    return _Texts(shared, chosen, rejected)


def answer_start(
    prompt: Sequence[Message], conversations: Sequence[str], tokenizer: Tokenizer
) -> str:
    """What rendered conversations that begin with these messages have in front.

    Raises:
      RowError: the template renders the prompt otherwise when an answer follows.
    """
    # Some templates open an answer differently when it is still to come (<think>): the
    # prompt ends where the texts part, if that is behind the last prompt message.
    bare = tokenizer.render_chat(prompt, add_generation_prompt=False)
    asking = tokenizer.render_chat(prompt, add_generation_prompt=True)
    if not all(text.startswith(bare) for text in conversations):
        detail = "it renders the prompt otherwise when a response follows"
        raise RowError("chat template", f"{detail}, expected the same text in front")
    parting = min(shared_length(asking, text) for text in conversations)
    return asking[: max(parting, len(bare))]


def _messages(part: str | list[Message] | None) -> list[Message]:
    return part if isinstance(part, list) else []


def _split(
    texts: _Texts,
    prompt: list[int],
    chosen: list[int],
    rejected: list[int],
    tokenizer: Tokenizer,
) -> Ids | RowError:
    """Takes prompt and responses apart on ids."""
    if texts.prompt is None:
        if chosen == rejected:
            detail = "the responses have the same ids, expected them to differ"
            return RowError("identical as tokens", detail)
        shared = shared_length(chosen, rejected)
        if shared == min(len(chosen), len(rejected)):
            detail = "one of 'chosen' and 'rejected' begins with all of the other"
            return RowError("empty response", f"{detail}, so the prompt has no end")
        return chosen[:shared], chosen[shared:], rejected[shared:], False
    size = len(prompt)
    if chosen[:size] == prompt == rejected[:size]:
        return prompt, chosen[size:], rejected[size:], False
    start = len(texts.prompt)
    apart = tokenizer.encode_batch([texts.chosen[start:], texts.rejected[start:]])
    return prompt, apart[0], apart[1], True


def shared_length(one: Sequence[Any], other: Sequence[Any]) -> int:
    """How many entries two sequences begin with in common."""
    pairs = enumerate(zip(one, other, strict=False))
    unequal = (place for place, (a, b) in pairs if a != b)
    return next(unequal, min(len(one), len(other)))
