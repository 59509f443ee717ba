"""A model with its data, looked at from the first row to the last digit."""

from collections.abc import Iterator
from dataclasses import fields

from rich.console import Console

from gradlab.doctor.config import DoctorConfig
from gradlab.doctor.findings import Finding
from gradlab.doctor.gradients import loss_findings, step_zero
from gradlab.doctor.numbers import Subject, number_findings
from gradlab.doctor.texts import text_findings
from gradlab.errors import GradlabError
from gradlab.inputs.choices import chosen_losses
from gradlab.inputs.config import InputConfig
from gradlab.inputs.loading import Inputs, embedded_pairs, load_inputs
from gradlab.inputs.scoring import score_pairs
from gradlab.losses import BoundLoss


def examine(config: DoctorConfig) -> Iterator[Finding]:
    """The findings on a model and its data.

    What can't be loaded or scored is a finding too, and then the last one.
    """
    try:
        losses = chosen_losses(config.losses)
        inputs = _load(config)
    except GradlabError as error:
        yield Finding("model and data", "FAIL", str(error))
        return
    source = f"{inputs.policy_name}, {config.data or 'embedded problems'}"
    yield Finding("model and data", "ok", f"{source}: {'; '.join(inputs.notes)}")
    tokenizer, model = inputs.tokenizer, inputs.policy.model
    yield from text_findings(
        inputs.pairs, tokenizer, model, append_eos=config.append_eos
    )
    try:
        yield from _numbers(inputs, losses)
    except GradlabError as error:  # wherever a number that is not finite turns up
        yield Finding("finite numbers", "FAIL", str(error))


def _load(config: DoctorConfig) -> Inputs:
    names = {field.name for field in fields(InputConfig)}
    given = {k: v for k, v in vars(config).items() if k in names}
    # Any tokenizer reads the embedded problems: a model can be looked at without data.
    rows = embedded_pairs(config.limit, config.seed) if config.data is None else None
    return load_inputs(InputConfig(**given), Console(quiet=True), rows)


def _numbers(inputs: Inputs, losses: list[BoundLoss]) -> Iterator[Finding]:
    scorer, pairs = inputs.policy, inputs.pairs
    scored = score_pairs(scorer, pairs, scorer)
    total = int(scored.chosen.mask.sum() + scored.rejected.mask.sum())
    yield Finding("finite numbers", "ok", f"{total} log-probabilities are finite")
    yield step_zero(scored)
    yield from loss_findings(scored, losses)
    shape = scorer.model.config
    context = shape.max_length if shape else max(pair.length for pair in pairs)
    yield from number_findings(Subject(scorer, pairs, scored, context))
