"""Self-play: the policy's own samples are the rejected responses of each round."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import jax

from gradlab.data import TokenizedPair
from gradlab.errors import GradlabError
from gradlab.models.functional import LanguageModel
from gradlab.tables import stage
from gradlab.training.batching import Batcher
from gradlab.training.config import SelfplaySettings
from gradlab.training.generate import generate
from gradlab.training.order import Order
from gradlab.training.rounds import Round
from gradlab.types import Params


@dataclass(frozen=True)
class Selfplay:
    """The rounds of a self-play run; call it for the round of a step.

    The samples of each round stay in the folder, one JSON line for each row of data; a
    run that is resumed reads them.

    Attributes:
      model: the language model.
      rows: demonstrations.
      settings: temperature and length of samples.
      steps: of one round.
      batching: (rows, seed) -> batcher and order of a round.
      folder: for the samples.
      seed: each round's draws and order have a seed of their own, made from it.
      eos_id: ends a sample.
    """

    model: LanguageModel
    rows: list[TokenizedPair]
    settings: SelfplaySettings
    steps: int
    batching: Callable[[list[TokenizedPair], tuple[int, ...]], tuple[Batcher, Order]]
    folder: Path
    seed: int = 0
    eos_id: int | None = None

    def __call__(self, step: int, params: Params, reference: Params | None) -> Round:
        """The round of this step.

        Args:
          step: finished steps.
          params: of the policy.
          reference: the policy at the beginning of the round.
        """
        number, place = divmod(step, self.steps)
        responses = self._samples(number, params if place == 0 else reference)
        rows = [
            replace(row, rejected=ids)
            for row, ids in zip(self.rows, responses, strict=True)
        ]
        batcher, order = self.batching(rows, (self.seed, number))
        first = number * self.steps
        return Round(first, first + self.steps, batcher, order)

    def _samples(self, number: int, params: Params | None) -> list[list[int]]:
        path = self.folder / f"round-{number + 1}.jsonl"
        if path.is_file():
            return self._stored(path)
        key = jax.random.fold_in(jax.random.key(self.seed), number)
        found = generate(
            self.model,
            params,
            [row.prompt for row in self.rows],
            max_new_tokens=self._longest(),
            eos_id=self.eos_id,
            temperature=self.settings.temperature,
            key=key,
        )
        with stage(self.folder) as partial:
            lines = [
                json.dumps({"row": row.row, "sample": ids})
                for row, ids in zip(self.rows, found, strict=True)
            ]
            (partial / path.name).write_text("\n".join(lines) + "\n")
        return found

    def _stored(self, path: Path) -> list[list[int]]:
        """The samples of a round that was begun before."""
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
            found = [list(json.loads(line)["sample"]) for line in lines]
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise GradlabError(
                f"{path}: not the samples of a round: {error}"
            ) from error
        vocabulary = self.model.config.vocab_size if self.model.config else 2**31
        for number, ids in enumerate(found, 1):
            if not all(type(i) is int and 0 <= i < vocabulary for i in ids):
                raise GradlabError(
                    f"{path}, line {number}: expected ids from 0 to {vocabulary - 1}"
                )
        if len(found) != len(self.rows):
            raise GradlabError(
                f"{path}: {len(found)} samples, expected {len(self.rows)}"
            )
        return found

    def _longest(self) -> int:
        """New tokens that fit behind the longest prompt."""
        if self.model.config is None:
            return self.settings.max_new_tokens
        room = self.model.config.max_length - max(len(r.prompt) for r in self.rows)
        return min(self.settings.max_new_tokens, room)
