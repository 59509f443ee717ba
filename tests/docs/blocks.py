"""The code blocks of a page, and how a test is to treat them.

A comment before a block says what isn't plain from the block:

    <!-- file: NAME -->          its text is a file of that name
    <!-- not run: REASON -->     it can't run here
    <!-- slow -->                it runs in the slow tier only

A `text` block right behind a `python` block is what that prints; behind a block of
commands it is what they print, up to numbers.
"""

import re
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
COMMANDS = ("gradlab", "python", "make", "git", "pip", "export", "sbatch", "jupyter")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?:(?<=\n\n)|\A)((?:    .*\n|\n(?=    ))+)", re.MULTILINE)
_NOTE = re.compile(r"<!-- (file|not run|slow)(?:: (.*?))? -->\s*\Z", re.DOTALL)


@dataclass
class Block:
    """One block.

    Attributes:
      language: python, sh, text, json, yaml, bibtex ...; "" where none is named.
      text: without fence or indentation.
      line: where it begins in its page, from 1.
      note: kind of the comment before it, or "".
      remark: what that comment says.
      output: text of the output block right behind it, or None.
    """

    language: str
    text: str
    line: int
    note: str = ""
    remark: str = ""
    output: str | None = None

    @property
    def commands(self) -> bool:
        """Whether it is made of shell commands."""
        return self.language == "sh" or (
            self.language == "" and self.text.split()[0] in COMMANDS
        )


def pages() -> list[Path]:
    """Every page by hand."""
    return sorted(DOCS.rglob("*.md"))


def name(path: Path) -> str:
    """How a test calls a page."""
    return path.relative_to(DOCS).with_suffix("").as_posix()


def blocks_of(path: Path) -> list[Block]:
    """Blocks of a page in order; outputs are joined to what prints them."""
    text = path.read_text()
    found = [(m.start(), m.end(), m[1], m[2]) for m in _FENCE.finditer(text)]
    blank = _FENCE.sub(lambda m: re.sub(r"[^\n]", "x", m[0]), text)
    for match in _INDENTED.finditer(blank):
        found.append((match.start(), match.end(), "", text[slice(*match.span())]))
    made: list[Block] = []
    end = 0
    for start, stop, language, body in sorted(found):
        between = text[end:start].strip()
        if language == "":
            body = re.sub(r"^    ", "", body, flags=re.MULTILINE).strip("\n") + "\n"
        block = Block(language, body, text[:start].count("\n") + 1)
        if note := _NOTE.search(text[end:start]):
            block.note, block.remark = note[1], note[2] or ""
        if language == "text" and made and not between:
            made[-1].output = body
        else:
            made.append(block)
        end = stop
    return made
