"""What `gradlab doctor` does: look at the installation, then at a model and data."""

import json
import sys
from collections.abc import Iterator
from dataclasses import fields

from gradlab.doctor.config import DoctorConfig
from gradlab.doctor.findings import Finding, as_values, worst
from gradlab.doctor.installation import installation
from gradlab.errors import GradlabError
from gradlab.inputs.config import check_seed


def doctor(config: DoctorConfig) -> int:
    """Print every finding.

    Returns:
      The exit status: 1 when a check fails.

    Raises:
      GradlabError: a setting is out of range.
    """
    for option, value in (("batch-size", config.batch_size), ("limit", config.limit)):
        if value < 1:
            raise GradlabError(f"--{option} is {value}; expected at least 1")
    check_seed(config.seed)
    findings = list(installation())
    if worst(findings) != "FAIL":  # else what follows can't be imported
        findings += examination(config)
    if config.json:
        json.dump(as_values(findings), sys.stdout, indent=2, allow_nan=False)
        print()
    else:
        from gradlab.doctor.printing import print_findings

        print_findings(findings)
    return int(worst(findings) == "FAIL")


def examination(config: DoctorConfig) -> Iterator[Finding]:
    """The findings on a model and its data.

    What can't be loaded or scored is a finding too, and then the last one.
    """
    # jax is loaded here, when it is known that it can be.
    from rich.console import Console

    from gradlab.doctor.gradients import loss_findings, step_zero
    from gradlab.doctor.numbers import Subject, number_findings
    from gradlab.doctor.texts import text_findings
    from gradlab.inputs.choices import chosen_losses
    from gradlab.inputs.config import InputConfig
    from gradlab.inputs.loading import embedded_pairs, load_inputs
    from gradlab.inputs.scoring import score_pairs

    names = {field.name for field in fields(InputConfig)}
    given = {k: v for k, v in vars(config).items() if k in names}
    # Any tokenizer reads the embedded problems: a model can be looked at without data.
    rows = embedded_pairs(config.limit, config.seed) if config.data is None else None
    stage = "losses"
    try:
        losses = chosen_losses(config.losses)
        stage = "model and data"
        inputs = load_inputs(InputConfig(**given), Console(quiet=True), rows)
        source = f"{inputs.policy_name}, {config.data or 'embedded problems'}"
        yield Finding(stage, "ok", f"{source}: {'; '.join(inputs.notes)}")
        yield from text_findings(
            inputs.pairs, inputs.tokenizer, inputs.policy.model,
            append_eos=config.append_eos,
        )  # fmt: skip
        stage = "finite numbers"
        scored = score_pairs(inputs.policy, inputs.pairs, inputs.policy)
        total = int(scored.chosen.mask.sum() + scored.rejected.mask.sum())
        yield Finding(stage, "ok", f"{total} log-probabilities are finite")
        yield step_zero(scored)
        yield from loss_findings(scored, losses)
        context = inputs.policy.model.config
        longest = max(pair.length for pair in inputs.pairs)
        yield from number_findings(
            Subject(
                inputs.policy, inputs.pairs, scored,
                context.max_length if context else longest,
            )
        )  # fmt: skip
    except GradlabError as error:
        yield Finding(stage, "FAIL", str(error))
