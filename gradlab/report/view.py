"""One pair in a notebook: the same page, cut down to the pair's text."""

import html
import os
from dataclasses import replace

import numpy as np
import pandas as pd

from gradlab.errors import GradlabError
from gradlab.report.page import render_page
from gradlab.report.payload import run_payload
from gradlab.report.runs import Run, make_run, read_run

CHARACTERS = 50  # in a line of half the width of a notebook, about


class PairView:
    """A pair's text, each token coloured by what a loss does to it.

    Example:
      >>> keys = {"pair": 0, "side": ["chosen", "rejected"], "position": 0}
      >>> rows = {"token_id": [4, 5], "token": [" yes", " no"], "weight": [-1.0, 1.0]}
      >>> view = PairView(pd.DataFrame({"loss": "dpo", **keys, **rows}))
      >>> "<iframe" in view._repr_html_()
      True
    """

    def __init__(
        self,
        source: Run | pd.DataFrame | str | os.PathLike[str],
        pair: int | None = None,
        *,
        height: int | None = None,
    ) -> None:
        """Takes a run and the pair to show.

        Args:
          source: the folder of a run, a `Run`, or a tokens table with the columns
            `gradlab.report.runs.NEEDED`.
          pair: its number; the first one by default.
          height: of the frame in pixels; by the length of the text by default.

        Raises:
          GradlabError: no such run or pair.
        """
        if isinstance(source, pd.DataFrame):
            source = make_run(source)
        elif not isinstance(source, Run):
            source = read_run(source)
        numbers = source.tokens["pair"].to_numpy()
        number = int(numbers[0]) if pair is None else pair
        rows = source.tokens.iloc[np.flatnonzero(numbers == number)]
        if rows.empty:
            raise GradlabError(
                f"pair {number} is not among the {source.pairs} pairs that were read"
            )
        self.run = replace(source, tokens=rows.reset_index(drop=True), summary=None)
        self.height = height or _height(rows, source.prompts.get(number, ""))

    def to_html(self) -> str:
        """A whole document, for a file of its own."""
        return render_page([run_payload(self.run)], single=True)

    def _repr_html_(self) -> str:
        """The document in a frame: notebook and page can't reach each other."""
        return (
            '<iframe title="gradlab pair" sandbox="allow-scripts" width="100%" '
            f'height="{self.height}" style="border:0" '
            f'srcdoc="{html.escape(self.to_html())}"></iframe>'
        )


def _height(rows: pd.DataFrame, prompt: str) -> int:
    """Of the frame: the prompt, then all characters of a loss in two columns."""
    losses = len(np.unique(rows["loss"].astype(str).to_numpy()))
    characters = sum(map(len, rows["token"].astype(str).to_numpy())) / losses
    lines = int(characters / 2) // CHARACTERS + 2
    above = len(prompt) // (2 * CHARACTERS) + 1
    return min(560 + 30 * lines + 25 * above, 1200)
