"""Reading the recorded reference values of the losses."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from gradlab.types import PairLogps

CASES = ("ordinary", "extreme", "policy_equals_reference")


@dataclass(frozen=True)
class GoldenRow:
    loss: str
    params: dict[str, Any]
    batch_gradient: bool  # gradients are of the batch mean, not of the summed losses
    results: dict[str, Any]


def read_cases(shared: Path) -> dict[str, PairLogps]:
    """The inputs by case, in float64 if that is on."""
    return {name: _pairs(_raw(shared)["cases"][name]) for name in CASES}


def read_rows(shared: Path) -> list[GoldenRow]:
    """A row per loss and setting."""
    return [
        GoldenRow(
            row["loss"],
            row["params"],
            row["gradient_of"] == "batch_value",
            row["results"],
        )
        for row in _raw(shared)["losses"]
    ]


def _raw(shared: Path) -> dict[str, Any]:
    return json.loads((shared / "spec" / "golden" / "losses_public.json").read_text())


def _pairs(case: dict[str, Any]) -> PairLogps:
    names = {
        "chosen": "logp_w",
        "rejected": "logp_l",
        "chosen_mask": "mask_w",
        "rejected_mask": "mask_l",
        "ref_chosen": "ref_w",
        "ref_rejected": "ref_l",
        "chosen_logsumsq": "logsumsq_w",
        "rejected_logsumsq": "logsumsq_l",
        "chosen_keep": "select_w",
        "rejected_keep": "select_l",
        "kl_logratios": "kl_logratios",
    }
    return PairLogps(**{f: jnp.asarray(case[key]) for f, key in names.items()})


def relative_error(got, expected) -> float:
    """max |x - y| / max(1, |y|), the error measure of the recorded values."""
    got, expected = np.asarray(got, float), np.asarray(expected, float)
    return float(np.max(np.abs(got - expected) / np.maximum(1.0, np.abs(expected))))
