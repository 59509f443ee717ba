"""LaTeX export of a table in the booktabs style."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gradlab.errors import GradlabError
from gradlab.escapes import code_point, is_hidden

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&",
    "#": r"\#", "%": r"\%", "_": r"\_", "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\symbol{34}", "`": r"\textasciigrave{}",
    "-": "{-}", "'": r"\textquotesingle{}",
}  # fmt: skip
_GREEK = {
    "Δ": r"$\Delta$", "Σ": r"$\Sigma$", "α": r"$\alpha$", "β": r"$\beta$",
    "γ": r"$\gamma$", "δ": r"$\delta$", "λ": r"$\lambda$", "π": r"$\pi$",
    "ρ": r"$\rho$", "σ": r"$\sigma$", "τ": r"$\tau$", "∞": r"$\infty$",
}  # fmt: skip
# Latin letters and signs below U+0180 that the default font encoding has not.
_MISSING = frozenset("«»ÐÞðþĄąĐđĘęĦħĮįĸĿŀŉŊŋŦŧŲųſ")


class Latex(str):
    """Text that is LaTeX already: not escaped, and set like a number in a table."""


def escape(text: str) -> str:
    """Text as LaTeX prints it literally.

    What its default fonts lack becomes [U+XXXX], but for Greek letters that names of
    quantities are made of.
    """
    return "".join(_escape_one(character) for character in text)


def _escape_one(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if character in _GREEK:
        return _GREEK[character]
    if is_hidden(character) or ord(character) > 0x17F or character in _MISSING:
        return code_point(character)
    return character


def to_latex(
    table: pd.DataFrame,
    *,
    columns: Mapping[str, str] | Sequence[str] | None = None,
    caption: str = "",
    label: str = "",
    digits: int = 3,
) -> str:
    r"""A `table` float with `booktabs` rules; needs `\usepackage{booktabs,textcomp}`.

    Args:
      table: one row per line; text is escaped unless it is `Latex`, NaN becomes a dash.
      columns: which columns, in order; a mapping also gives their headings.
      caption: escaped.
      label: for `\ref`; letters, digits and `:.-_` only.
      digits: significant digits of a float.
    Returns:
      LaTeX source that ends in a line feed.
    Raises:
      GradlabError: a column that the table lacks, or a label of other characters.
    Example:
      >>> print(to_latex(pd.DataFrame({"a_b": [0.5]})).splitlines()[4])
      a\_b \\
    """
    names = list(columns) if columns is not None else list(map(str, table.columns))
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise GradlabError(f"no such column(s) for LaTeX: {', '.join(missing)}")
    if not all(c.isascii() and (c.isalnum() or c in ":.-_") for c in label):
        raise GradlabError(
            f"the LaTeX label {label!r} has characters beside a-z0-9:.-_"
        )
    headings = columns if isinstance(columns, Mapping) else {n: n for n in names}
    numeric = [_is_number(table[name]) for name in names]
    lines = [r"\begin{table}", r"\centering"]
    lines += [rf"\caption{{{escape(caption)}}}"] if caption else []
    lines += [rf"\label{{{label}}}"] if label else []
    lines += [rf"\begin{{tabular}}{{{''.join('r' if n else 'l' for n in numeric)}}}"]
    lines += [
        r"\toprule",
        _row([_text(headings[name]) for name in names]),
        r"\midrule",
    ]
    rows = table[names].itertuples(index=False, name=None)
    lines += [_row([_cell(value, digits) for value in row]) for row in rows]
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}", ""]
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    r"""One line; `\\` and rules would take a bracket or star behind them as theirs."""
    row = " & ".join(cells) + r" \\"
    return "{}" + row if row.lstrip().startswith(("[", "*")) else row


def _text(text: str) -> str:
    return text if isinstance(text, Latex) else escape(text)


def _is_number(column: Any) -> bool:
    kind = pd.api.types
    if kind.is_numeric_dtype(column) and not kind.is_bool_dtype(column):
        return True
    return len(column) > 0 and all(isinstance(value, Latex) for value in column)


def _cell(value: Any, digits: int) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"${value}$"
    if isinstance(value, float | np.floating):
        return _float(float(value), digits)
    return (
        "--"
        if pd.isna(value)
        else _text(value if isinstance(value, str) else str(value))
    )


def _float(value: float, digits: int) -> str:
    if math.isnan(value):
        return "--"
    if math.isinf(value):
        return r"$\infty$" if value > 0 else r"$-\infty$"
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    power = int(exponent)
    if value != 0 and not -3 <= power < max(digits, 4):
        return rf"${mantissa} \times 10^{{{power}}}$"
    return f"${value:.{max(digits - 1 - power, 0)}f}$"
