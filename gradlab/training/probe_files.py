"""Probes on the disk: a file for each measured step, and the tables made of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from gradlab.data import TokenizedPair
from gradlab.tables import read_table, stage, write_table
from gradlab.training.config import ProbeSettings
from gradlab.training.probe_tables import summary_table, text_table

TEXTS = "texts.json"


def due_steps(settings: ProbeSettings, total: int) -> list[int]:
    """Numbers of finished steps at which probes are measured: 0, the last, between.

    Example:
      >>> due_steps(ProbeSettings(evaluations=5), 1000)
      [0, 1, 10, 100, 1000]
    """
    if settings.every is not None:
        between = range(0, total, settings.every)
    else:
        between = np.round(np.geomspace(1, total, max(1, settings.evaluations - 1)))
    return sorted({0, total, *map(int, between)})


@dataclass(frozen=True)
class ProbeFiles:
    """The probes of one run on the disk.

    A step's rows are a file of their own, written whole or not at all; a run that is
    resumed writes the same files again.

    Attributes:
      folder: of the run.
    """

    folder: Path

    @property
    def parts(self) -> Path:
        """Where the files of the steps lie."""
        return self.folder / "probes"

    def part(self, step: int) -> Path:
        """The file of a step."""
        return self.parts / f"step-{step:08d}.parquet"

    def steps(self) -> list[int]:
        """The steps that have a file, ascending."""
        names = (path.stem for path in self.parts.glob("step-*.parquet"))
        return sorted(int(name.removeprefix("step-")) for name in names)

    def write_texts(self, sets: Mapping[str, Sequence[TokenizedPair]]) -> None:
        """Writes down which texts are measured."""
        with stage(self.parts) as partial:
            (partial / TEXTS).write_text(texts_json(sets))

    def write_step(self, step: int, tables: Sequence[pd.DataFrame]) -> None:
        """Writes the rows of a step, from `token_table`."""
        with stage(self.parts) as partial:
            write_table(pd.concat(tables), partial / self.part(step).name)

    def write_tables(self, steps: Sequence[int], *, tokens: bool) -> None:
        """Writes probes.parquet (texts), probes.csv (summary), probe_tokens.parquet.

        Args:
          steps: whose files are put together.
          tokens: whether the table of every token is written too.
        """
        parts = [read_table(self.part(step)) for step in steps]
        rows = pd.concat(parts, ignore_index=True)
        texts = text_table(rows)
        with stage(self.folder) as partial:
            write_table(texts, partial / "probes.parquet")
            write_table(summary_table(texts), partial / "probes.csv")
            if tokens:
                write_table(rows, partial / "probe_tokens.parquet")


def texts_json(sets: Mapping[str, Sequence[TokenizedPair]]) -> str:
    """Kind -> row of the data, ids of the prompt and of the response, as JSON."""
    texts = {
        kind: [{"row": r.row, "prompt": r.prompt, "response": r.chosen} for r in rows]
        for kind, rows in sets.items()
    }
    return json.dumps(texts) + "\n"
