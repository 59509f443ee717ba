"""How alike two responses are: edit distances, first difference, shared suffix.

    distance = least number of insertions, deletions, substitutions / max(L_w, L_l)

between 0 (equal) and 1, over tokens, characters or words.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from gradlab.measures.regions import pair_regions


@dataclass(frozen=True)
class PairEdits:
    """How far apart the two responses of a pair are.

    The three distances are Levenshtein's over the longer length, from 0 (equal) to 1.
    They differ several-fold on the same text: never quote one without its unit.

    Attributes:
      token: over token ids.
      character: over characters of the text; None without text.
      word: over words parted by white space; None without text.
      token_edits: the token distance itself, in insertions, deletions, substitutions.
      first: tokens before the first difference.
      suffix: tokens in the shared suffix, clear of the first difference.
      one_sided: one response is a prefix of the other.
    """

    token: float
    character: float | None
    word: float | None
    token_edits: int
    first: int
    suffix: int
    one_sided: bool


def pair_edits(
    chosen: Sequence[int],
    rejected: Sequence[int],
    *,
    chosen_text: str | None = None,
    rejected_text: str | None = None,
) -> PairEdits:
    """Edit distances and shared ends of one pair.

    Args:
      chosen: token ids of the chosen response, prompt and padding left out.
      rejected: likewise.
      chosen_text: its text, for the character and word distances.
      rejected_text: likewise; both or neither count.

    Returns:
      `PairEdits`.

    Raises:
      GradlabError: the responses are the same tokens.

    Example:
      >>> edits = pair_edits([5, 1, 8, 9], [5, 2, 3, 8, 9])
      >>> edits.token, edits.token_edits, edits.first, edits.suffix
      (0.4, 2, 1, 2)
    """
    regions = pair_regions(chosen, rejected)
    has_text = chosen_text is not None and rejected_text is not None
    texts = (chosen_text or "", rejected_text or "")
    return PairEdits(
        token=normalised_distance(chosen, rejected),
        character=normalised_distance(*texts) if has_text else None,
        word=normalised_distance(*(t.split() for t in texts)) if has_text else None,
        token_edits=Levenshtein.distance(*_numbered(chosen, rejected)),
        first=regions.first,
        suffix=regions.suffix,
        one_sided=regions.one_sided,
    )


def normalised_distance(one: Sequence[Hashable], two: Sequence[Hashable]) -> float:
    """Levenshtein distance over the longer length: 0 equal (or both empty), 1 disjoint.

    Args:
      one: any sequence: token ids, words, the characters of a string.
      two: likewise.

    Example:
      >>> round(normalised_distance("kitten", "sitting"), 4)
      0.4286
    """
    return Levenshtein.normalized_distance(*_numbered(one, two))


def _numbered(one: Sequence[Hashable], two: Sequence[Hashable]) -> list[list[int]]:
    """Equal items get equal numbers, unequal ones unequal: no collision of hashes."""
    numbers: dict[Hashable, int] = {}
    return [
        [numbers.setdefault(_plain(item), len(numbers)) for item in side]
        for side in (one, two)
    ]


def _plain(item: Hashable) -> Hashable:
    """A scalar of an array as the Python number that it equals."""
    return item.item() if hasattr(item, "item") else item  # pyright: ignore
