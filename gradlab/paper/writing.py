"""A table's cells and caption in LaTeX, Markdown or CSV."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gradlab.escapes import code_point, is_hidden
from gradlab.paper.estimates import Estimates
from gradlab.tables import HEADINGS, Heading, Latex, to_latex


@dataclass(frozen=True)
class PaperTable:
    """What a table holds, whatever the format.

    Attributes:
      losses: labels of the rows.
      columns: column of the summary -> its numbers, in order.
      caption: with where the numbers come from.
      label: for LaTeX.
      digits: significant ones.
      intervals: whether LaTeX and Markdown print them.
    """

    losses: Sequence[str]
    columns: Mapping[str, Estimates]
    caption: str
    label: str
    digits: int
    intervals: bool

    def latex(self) -> str:
        """A `table` float with booktabs rules; see `gradlab.tables.to_latex`."""
        body = {"loss": pd.Series(list(self.losses), dtype=object)}
        for name, found in self.columns.items():
            cells = zip(self._cells(name), found.bold, strict=True)
            body[name] = pd.Series(
                [Latex(_latex_cell(parts, bold)) for parts, bold in cells], dtype=object
            )
        titles = {name: _with_unit(_heading(name)) for name in self.columns}
        return to_latex(
            pd.DataFrame(body),
            columns={"loss": "loss", **titles},
            caption=self.caption,
            label=self.label,
        )

    def markdown(self) -> str:
        """A pipe table with its caption below."""
        titles = [_pipes(_with_unit(_heading(name))) for name in self.columns]
        rows = [["loss", *titles], ["---", *["---:"] * len(self.columns)]]
        cells = {name: self._cells(name) for name in self.columns}
        for number, loss in enumerate(self.losses):
            row = [_pipes(loss)]
            for name, found in self.columns.items():
                text, interval = cells[name][number]
                row.append(
                    f"**{text}**{interval}" if found.bold[number] else text + interval
                )
            rows.append(row)
        lines = [f"| {' | '.join(row)} |" for row in rows]
        return "\n".join([*lines, "", _pipes(self.caption), ""])

    def csv(self) -> str:
        """All digits; NAME_low, NAME_high and NAME_bold beside a column NAME."""
        body: dict[str, Any] = {"loss": list(self.losses)}
        for name, found in self.columns.items():
            body[name] = found.values
            if found.low is not None:
                body |= {f"{name}_low": found.low, f"{name}_high": found.high}
            if found.bold.any():
                body[f"{name}_bold"] = found.bold
        return pd.DataFrame(body).to_csv(index=False, lineterminator="\n")

    def _cells(self, name: str) -> list[tuple[str, str]]:
        """For each loss the number and its interval as plain text."""
        found, heading = self.columns[name], _heading(name)
        texts = [number_text(v, heading.form, self.digits) for v in found.values]
        if not self.intervals or found.low is None or found.high is None:
            return [(text, "") for text in texts]
        cells = []
        for text, low, high in zip(texts, found.low, found.high, strict=True):
            ends = [number_text(v, heading.form, self.digits) for v in (low, high)]
            shown = np.isfinite([low, high]).all() and ends != [text, text]
            cells.append((text, f" [{ends[0]}, {ends[1]}]" if shown else ""))
        return cells


def number_text(value: float, form: str, digits: int) -> str:
    """A number as a column writes it.

    Example:
      >>> number_text(0.0123, "percent", 3), number_text(-2e-5, "signed", 2)
      ('1.2 %', '-2.0e-05')
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if form == "percent":
        return f"{100 * value:.1f} %"
    if form == "decimal":
        return f"{value:.2f}"
    if form == "short":
        return f"{value:.0e}" if value else "0"
    sign = "+" if form == "signed" else ""
    power = int(f"{value:.{digits - 1}e}".partition("e")[2])  # once it is rounded
    if -3 <= power < max(digits, 4):
        return f"{value:{sign}.{max(digits - 1 - power, 0)}f}"
    return f"{value:{sign}.{digits - 1}e}"


def _heading(name: str) -> Heading:
    return HEADINGS.get(name, Heading(name, "number"))


def _with_unit(heading: Heading) -> str:
    return heading.title + (f" ({heading.unit})" if heading.unit else "")


def _latex_cell(parts: tuple[str, str], bold: bool) -> str:
    number, interval = map(_latex_number, parts)
    if bold:  # \textbf leaves powers of ten as they are
        heavy = rf"\textbf{{{number}}}"
        number = rf"{{\boldmath{heavy}}}" if "$" in number else heavy
    return number + (rf" {{\scriptsize {interval.strip()}}}" if interval else "")


def _latex_number(text: str) -> str:
    """Plain text of numbers: true minus signs, powers of ten, no bare percent sign."""
    text = re.sub(r"(?<![\de])-", "$-$", text)  # signs, not those of exponents
    text = re.sub(r"e([+-])0*(\d+)", _power, text.replace(" %", r"\,\%"))
    return text.replace("–", "--").replace("∞", r"$\infty$")


def _power(found: re.Match) -> str:
    return rf"$\cdot10^{{{found[1].replace('+', '')}{found[2]}}}$"


def _pipes(text: str) -> str:
    """Text as Markdown prints it literally, on one line."""
    found = []
    for character in text:
        if is_hidden(character):
            found.append(code_point(character))
        elif character in "\\`*_{}[]<>#|~&!$":
            found.append("\\" + character)
        else:
            found.append(character)
    return re.sub(r"(?=://)|(?<=www)(?=\.)", r"\\", "".join(found))  # no live links
