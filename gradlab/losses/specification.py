"""Reading a loss specification: text -> terms of factor, name and settings.

dpo    dpop(lam=5)    ipo(reduction='mean')    dpo + 0.5*exmate(lam=0.2)
my_pkg.my_mod:my_loss(beta=1)    bcr_added(lam=1, delta=0, base=simpo(gamma=1))
"""

import ast
import re
from typing import Any, NamedTuple

from gradlab.errors import LossInputError


class Term(NamedTuple):
    """One summand of a specification."""

    factor: float
    name: str
    settings: dict[str, Any]


_TERM = re.compile(
    r"\s*(?:(?P<factor>[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*\*)?"
    r"\s*(?P<name>[A-Za-z_][\w.]*(?::[\w.]+)?)\s*(?P<call>\(.*\))?\s*",
    re.DOTALL,
)


def read_terms(spec: str) -> list[Term]:
    """The summands of a specification.

    Raises:
      LossInputError: a part that is no name, or settings that can't be read.

    Example:
      >>> read_terms("dpo + 0.5*exmate(lam=0.2)")[1]
      Term(factor=0.5, name='exmate', settings={'lam': 0.2})
    """
    terms = []
    for text in split_outside(spec, "+"):
        match = _TERM.fullmatch(text)
        if match is None:
            raise LossInputError(
                f"can't read the loss {spec!r}: {text.strip()!r} is no name; expected "
                "e.g. dpo, dpop(lam=5), my_module:my_loss or dpo + 0.5*exmate"
            )
        settings = _settings(spec, match["call"]) if match["call"] else {}
        terms.append(Term(float(match["factor"] or 1), match["name"], settings))
    return terms


def split_outside(text: str, separator: str) -> list[str]:
    """Split at a separator, but not inside parentheses, brackets or quotes.

    Example:
      >>> split_outside("dpo,ipo(tau=0.1,reduction='mean')", ",")
      ['dpo', "ipo(tau=0.1,reduction='mean')"]
    """
    parts, depth, quote = [""], 0, ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char == separator and depth == 0 and not _in_exponent(parts[-1], char):
            parts.append("")
            continue
        parts[-1] += char
    return parts


def _in_exponent(before: str, char: str) -> bool:
    """Whether a + belongs to a number such as 1e+3."""
    return char == "+" and re.search(r"(?<![\w.])[0-9.]+[eE]$", before) is not None


def _settings(spec: str, call: str) -> dict[str, Any]:
    """Keyword values of `(lam=5, reduction=mean)`; bare words are strings."""
    try:
        node = ast.parse(f"f{call}", mode="eval").body
        if not isinstance(node, ast.Call) or node.args:
            raise ValueError("expected keyword=value settings only")
        return {str(k.arg): _value(k) for k in node.keywords}
    except (SyntaxError, ValueError) as error:
        raise LossInputError(
            f"can't read the settings of the loss {spec!r}: {error}; expected e.g. "
            "ipo(tau=0.1, reduction='mean')"
        ) from None


def _value(keyword: ast.keyword) -> Any:
    """A literal, a bare word as a string, or the text of a base loss with settings."""
    if isinstance(keyword.value, ast.Name):
        return keyword.value.id
    if keyword.arg == "base" and isinstance(keyword.value, ast.Call):
        return ast.unparse(keyword.value)
    return ast.literal_eval(keyword.value)
