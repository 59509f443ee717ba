"""Text from outside made visible: prompts, tokens, names of files, losses and models.

Characters that control a terminal, reorder or hide text are the same ones everywhere;
how they are spelt out depends on where the text goes: here for terminals and for
documents, in `gradlab.plotting.text` for figures, in the script of `gradlab.report`
for pages.
"""

import unicodedata

# Letters, marks and symbols that leave no trace on the page: fillers, the Braille
# blank, selectors of variants. The two selectors of text and emoji style are left out:
# they only choose a glyph.
TRACELESS = frozenset(
    {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0}
    | {*range(0x180B, 0x1810), *range(0xFE00, 0xFE0E), *range(0xE0100, 0xE01F0)}
)


def is_hidden(character: str) -> bool:
    """Whether a reader would not see this character as itself.

    True for control, format (bidirectional, zero-width), private and unassigned
    characters, lone surrogates, all spaces and line ends but the plain space, and
    `TRACELESS` ones.
    """
    if character == " ":
        return False
    category = unicodedata.category(character)
    return category[0] in "CZ" or ord(character) in TRACELESS


def code_point(character: str) -> str:
    """How documents spell a character out.

    Example:
      >>> code_point("\\u202e")
      '[U+202E]'
    """
    return f"[U+{ord(character):04X}]"


def plain(text: str, *, keep: str = "") -> str:
    """Text that a terminal may print: hidden characters as Python writes them.

    Args:
      text: anything.
      keep: characters that stay, such as the line feed.
    Example:
      >>> plain("a\\x1b[31m\\u202eb")
      'a\\\\x1b[31m\\\\u202eb'
    """
    return "".join(
        ascii(c)[1:-1] if is_hidden(c) and c not in keep else c for c in str(text)
    )
