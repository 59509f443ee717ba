"""What is left behind when a number is not finite."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import jax
import numpy as np

from gradlab.errors import GradlabError
from gradlab.tables import stage
from gradlab.training.batching import TrainBatch, merge_parts
from gradlab.training.step import Step, StepReport, TrainState


def stop_with_inputs(
    folder: Path,
    number: int,
    step: Step,
    state: TrainState,
    batch: TrainBatch,
    report: StepReport,
    rows: Sequence[int],
) -> NoReturn:
    """Saves the inputs of the loss and raises.

    `loss_inputs.npz` holds logps, mask, ref (where there is one) as [B, S, R], values
    [B] and rows [B]; `failure.json` step and rows.

    Args:
      folder: made for the two files.
      number: the step, from 1.
      step: the step that failed.
      state: its parameters are those of the failure.
      batch: what it read.
      report: what it gave.
      rows: [B] rows of the data.

    Raises:
      GradlabError: always; names step, rows and folder.
    """
    width = batch.mask.shape[-1]
    score = jax.jit(step.score, static_argnums=2)
    parts = [
        score(state.params, jax.tree.map(lambda leaf, a=a: leaf[a], batch.rows), width)
        for a in range(len(batch.mask))
    ]
    whole = batch.joined()
    arrays = {
        name: merge_parts(np.stack([part[name] for part in parts])) for name in parts[0]
    }
    arrays |= {"mask": whole.mask, "values": report.values, "rows": np.array(rows)}
    if whole.ref is not None:
        arrays["ref"] = whole.ref
    bad = [
        row for row, v in zip(rows, report.values, strict=True) if not np.isfinite(v)
    ]
    with stage(folder) as partial:
        np.savez(partial / "loss_inputs.npz", **arrays)
        text = json.dumps({"step": number, "rows": list(map(int, rows)), "bad": bad})
        (partial / "failure.json").write_text(text + "\n")
    what = f"the loss is not finite on row(s) {', '.join(map(str, bad))} of the data"
    if not bad:
        what = "the gradient is not finite, though the loss is"
    raise GradlabError(
        f"step {number}: {what}; expected finite numbers. The loss's inputs are in "
        f"{folder}. A smaller optimiser.learning_rate or a clip_norm may help"
    )
