"""Probes: the likelihood of fixed texts at chosen steps, as tables."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import jax
import numpy as np

from gradlab.data import TokenizedPair
from gradlab.models.functional import LanguageModel
from gradlab.training.answers import AnswerProbe, new_problems
from gradlab.training.batching import TrainBatch
from gradlab.training.config import ProbeSettings, TrainConfig
from gradlab.training.generate import generator
from gradlab.training.inputs import Inputs
from gradlab.training.probe_files import ProbeFiles, due_steps
from gradlab.training.probe_sets import (
    column_of,
    frozen_sets,
    probe_kinds,
    with_responses,
)
from gradlab.training.probe_stats import logp_change, token_columns
from gradlab.training.probe_tables import token_table
from gradlab.training.step import Step, TrainState
from gradlab.types import Params

ON_POLICY = "on_policy"
Responder = Callable[[Params, Sequence[TokenizedPair], float], list[list[int]]]


@dataclass
class ProbeRunner:
    """Measures the probes of a run.

    Each step's rows go into a file of their own; `finish` puts them together.

    Attributes:
      model: the language model.
      start: parameters at the start; drift is measured from them.
      sets: kind -> texts.
      due: finished steps at which to measure.
      settings: what is measured.
      folder: of the run.
      direction: (state, batch) -> change of the parameters by the coming step, where
        the drift that it causes is asked for.
      respond: generates on-policy responses, where they are asked for.
      on_policy_rows: rows whose prompts they answer.
    """

    model: LanguageModel
    start: Params
    sets: Mapping[str, list[TokenizedPair]]
    due: Sequence[int]
    settings: ProbeSettings
    folder: Path
    direction: Callable[[TrainState, TrainBatch], Params] | None = None
    respond: Responder | None = None
    on_policy_rows: Sequence[TokenizedPair] = ()
    _first: dict[str, np.ndarray] = field(default_factory=dict)

    def prepare(self) -> None:
        """Writes the texts down, and measures them under the start's parameters."""
        self._files.write_texts(self.sets)
        for kind, rows in self.sets.items():
            self._first[kind] = self._columns(self.start, rows)["logp"]

    def measure(self, step: int, state: TrainState, batch: TrainBatch | None) -> None:
        """Measures if the step is due; `batch` is that of the coming step."""
        if step not in self.due:
            return
        change = None
        if self.direction is not None and batch is not None:
            change = self.direction(state, batch)
        tables = []
        for kind, rows in self._sets(state.params).items():
            columns = self._columns(state.params, rows)
            first = self._first.get(kind)
            columns["drift"] = columns["logp"] - (np.nan if first is None else first)
            if change is not None:
                columns |= logp_change(
                    self.model,
                    state.params,
                    change,
                    rows,
                    batch_size=self.settings.batch_size,
                )
            tables.append(token_table(step, kind, rows, columns))
        self._files.write_step(step, tables)

    def finish(self) -> None:
        """Writes probes.parquet (texts), probes.csv (summary), probe_tokens.parquet."""
        self._files.write_tables(self.due, tokens=self.settings.tokens)

    @property
    def _files(self) -> ProbeFiles:
        return ProbeFiles(self.folder)

    def _sets(self, params: Params) -> dict[str, list[TokenizedPair]]:
        sets = dict(self.sets)
        if self.respond is not None:
            responses = self.respond(params, self.on_policy_rows, 1.0)
            sets[ON_POLICY] = with_responses(self.on_policy_rows, responses)
        return {kind: rows for kind, rows in sets.items() if rows}

    def _columns(
        self, params: Params, rows: Sequence[TokenizedPair]
    ) -> dict[str, np.ndarray]:
        return token_columns(
            self.model,
            params,
            rows,
            batch_size=self.settings.batch_size,
            top_k=self.settings.top_k,
        )


def make_probes(
    config: TrainConfig, inputs: Inputs, step: Step, total: int, folder: Path
) -> list[ProbeRunner | AnswerProbe]:
    """The probes that the settings ask for; texts are measured once at the start.

    Raises:
      GradlabError: an unknown kind, or a column that the data lacks.
    """
    found: list[ProbeRunner | AnswerProbe] = []
    if kinds := probe_kinds(config.probes.kinds):
        found.append(_texts(config, inputs, kinds, step, total, folder))
    if count := config.probes.answers:
        asked = new_problems(count, inputs, config.seed)
        due = due_steps(config.probes, total)
        found.append(AnswerProbe(inputs.model, inputs.tokenizer, asked, due, folder))
    return found


def _texts(
    config: TrainConfig,
    inputs: Inputs,
    kinds: Sequence[str],
    step: Step,
    total: int,
    folder: Path,
) -> ProbeRunner:
    settings = config.probes
    respond = generator(
        inputs.model,
        inputs.tokenizer.eos_id,
        max_new_tokens=settings.max_new_tokens,
        seed=config.seed,
        batch_size=settings.batch_size,
    )
    sets = _frozen(config, inputs, kinds, partial(respond, inputs.params))
    compiled = jax.jit(lambda state, batch: step.direction(state, batch)[0])
    runner = ProbeRunner(
        inputs.model,
        inputs.params,
        {kind: texts for kind, texts in sets.items() if texts},
        due_steps(settings, total),
        settings,
        folder,
        direction=compiled if settings.predict else None,
        respond=respond if ON_POLICY in kinds else None,
        on_policy_rows=inputs.probe_rows,
    )
    runner.prepare()
    return runner


def _frozen(
    config: TrainConfig,
    inputs: Inputs,
    kinds: Sequence[str],
    respond: Callable[[Sequence[TokenizedPair], float], list[list[int]]],
) -> dict[str, list[TokenizedPair]]:
    """The fixed texts of each kind."""
    rows, shape = inputs.probe_rows, inputs.model.config
    return frozen_sets(
        kinds,
        rows,
        vocab_size=shape.vocab_size if shape else inputs.tokenizer.vocab_size,
        seed=config.seed,
        generate=respond,
        column=column_of(
            config.probes.path or config.data.path,
            rows,
            inputs.tokenizer,
            shape.max_length if shape else None,
        ),
    )
