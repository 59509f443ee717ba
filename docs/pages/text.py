"""Docstrings as Markdown: formulas and examples in blocks, the rest escaped."""

import html
import inspect
import re

# A line of its own; guarantees may also begin on the line of their heading.
HEADING = re.compile(r"([A-Z][a-z]+)(?: (\(.*\)))?:|(Guarantees): (.+)")
BLOCKS = {"Formula": "text", "Gradient": "text", "Example": "pycon"}
_CODE = re.compile(r"(`[^`]*`)")


def escape(text: str, *, table: bool = False) -> str:
    """Text whose `<`, `*`, `][` and, in a table, `|` stay what they are.

    Example:
      >>> escape("a <b, c> `x<y`")
      'a &lt;b, c> `x<y`'
    """
    parts = _CODE.split(text)
    for place, part in enumerate(parts):
        if place % 2:
            parts[place] = code(part[1:-1]) if table else part
            continue
        plain = part.replace("<", "&lt;").replace("][", "]\\[")
        plain = re.sub(r"(?<!\S)\*(?=\S)|(?<=\S)\*(?!\s|$)", r"\\*", plain)
        parts[place] = plain.replace("|", "\\|") if table else plain
    return "".join(parts)


def code(text: str) -> str:
    """Inline code that survives a table, where a backslash before a bar would show.

    Example:
      >>> code("a | b"), code("a < b")
      ('<code>a &#124; b</code>', '`a < b`')
    """
    if "|" not in text:
        return f"`{text}`"
    return f"<code>{html.escape(text).replace('|', '&#124;')}</code>"


def sections(docstring: str) -> dict[str, str]:
    """The parts of a docstring by heading; what stands before them is ""."""
    found: dict[str, list[str]] = {"": []}
    heading = ""
    for line in inspect.cleandoc(docstring).splitlines():
        if match := HEADING.fullmatch(line):
            heading = match[1] or match[3]
            begun = match[2] or match[4]
            found[heading] = [begun] if begun else []
        else:
            found[heading].append(line)
    return {k: inspect.cleandoc("\n".join(["", *v])) for k, v in found.items()}


def prose(text: str) -> str:
    """Paragraphs, escaped; what is indented by four is a block of its own.

    Example:
      >>> print(prose("As <a, b>:\\n\\n    x = <a, b>"))
      As &lt;a, b>:
      <BLANKLINE>
          x = <a, b>
    """
    blocks = re.split(r"\n\s*\n", text)
    return "\n\n".join(b if b.startswith("    ") else escape(b) for b in blocks)


def markdown(docstring: str) -> str:
    """A docstring in the form that mkdocstrings reads.

    Formulas, gradients and examples become fenced blocks; other headed sections stay.
    """
    parts = []
    for heading, body in sections(docstring).items():
        if heading in BLOCKS:
            fenced = f"```{BLOCKS[heading]}\n{body}\n```"
            parts.append(f"**{heading}**\n\n{fenced}")
        elif heading in ("Args", "Returns", "Raises", "Attributes"):
            parts.append(f"{heading}:\n{items(body, named=heading != 'Returns')}")
        elif heading:
            parts.append(f"**{heading}**\n\n{prose(body)}")
        else:
            parts.append(prose(body))
    return "\n\n".join(part for part in parts if part)


def items(body: str, *, named: bool) -> str:
    """The body of a headed section, indented by four instead of two.

    Args:
      body: its lines.
      named: each item begins with a name, which is not Markdown.
    """
    lines = []
    for line in body.splitlines():
        text = line.lstrip(" ")
        name, colon, meaning = text.partition(":")
        starts = named and text == line and bool(colon)
        text = f"{name}:{escape(meaning)}" if starts else escape(text)
        lines.append(" " * (4 + 2 * (len(line) - len(line.lstrip(" ")))) + text)
    return "\n".join(line.rstrip() for line in lines)
