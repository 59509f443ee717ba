"""Word problems that the model is given to solve at chosen steps."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from gradlab.data.arithmetic import problems
from gradlab.data.stories import Problem
from gradlab.data.tokenizer import Tokenizer
from gradlab.models.functional import LanguageModel
from gradlab.tables import stage, write_table
from gradlab.training.accuracy import solved
from gradlab.training.batching import TrainBatch
from gradlab.training.inputs import Inputs
from gradlab.training.step import TrainState

TABLE = "answers.csv"
OTHERS = 1_000_000  # added to a run's seed: problems drawn apart from its data


@dataclass
class AnswerProbe:
    """Shares of new word problems that the model answers exactly, by greedy decoding.

    As with `ProbeRunner`, a step's numbers are a file of their own and `finish` puts
    them together.

    Attributes:
      model: the language model.
      tokenizer: of the model.
      problems: to be solved; the same ones at every step.
      due: finished steps at which to ask.
      folder: of the run.
    """

    model: LanguageModel
    tokenizer: Tokenizer
    problems: Sequence[Problem]
    due: Sequence[int]
    folder: Path

    def measure(self, step: int, state: TrainState, batch: TrainBatch | None) -> None:
        """Asks if the step is due."""
        if step not in self.due:
            return
        found = solved(self.model, state.params, self.tokenizer, self.problems)
        with stage(self._part(step).parent) as partial:
            (partial / self._part(step).name).write_text(json.dumps(found) + "\n")

    def finish(self) -> None:
        """Writes answers.csv: a line for each step and share, with its interval."""
        lines = []
        for step in self.due:
            found = json.loads(self._part(step).read_text())
            for what in ("answer_right", "all_right"):
                low, high = found[what]["interval_95"]
                counts = {name: found[what][name] for name in ("right", "of", "share")}
                lines.append(
                    {"step": step, "metric": what, **counts, "low": low, "high": high}
                )
        with stage(self.folder) as partial:
            write_table(pd.DataFrame(lines), partial / TABLE)

    def _part(self, step: int) -> Path:
        return self.folder / "probes" / f"answers-{step:08d}.json"


def new_problems(count: int, inputs: Inputs, seed: int) -> list[Problem]:
    """Word problems whose prompts are not among the rows of a run.

    Args:
      count: how many.
      inputs: of the run.
      seed: of the run.
    """
    seen: Collection[str] = {
        inputs.tokenizer.decode(row.prompt, skip_special=True) for row in inputs.rows
    }
    return problems(count, seed + OTHERS, exclude=seen)
