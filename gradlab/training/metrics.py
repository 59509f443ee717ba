"""What one step's report says in numbers, under TRL's names where they mean the same.

`rewards/...` are beta times the summed log-ratio to the reference, also for losses that
average, as TRL logs them; they are absent where the loss has no reference or no beta.
`logps/...` are sums over a response, as in TRL; `logps_sum/...` says so by name.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gradlab.losses import BoundLoss
from gradlab.training.batching import SIDES

Sums = np.ndarray | None


@dataclass(frozen=True)
class Seen:
    """One step's rows on the host.

    Attributes:
      values: [B] losses.
      sums: [B, S] summed log-probabilities in nats.
      weights: [B, S] summed |dL/dlogp|.
      lengths: [B, S] response tokens.
      ref: [B, S] summed reference log-probabilities, or None.
      start: [B, S] summed log-probabilities under the policy at the start, or None.
    """

    values: np.ndarray
    sums: np.ndarray
    weights: np.ndarray
    lengths: np.ndarray
    ref: Sums = None
    start: Sums = None


def reward_scale(loss: BoundLoss) -> float | None:
    """The beta by which TRL multiplies log-ratios, or None where there is none."""
    defaults = loss.info.defaults if loss.info else {}
    beta = (defaults | loss.hyper).get("beta")
    return (
        float(beta) if loss.needs_reference and isinstance(beta, float | int) else None
    )


def row_metrics(seen: Seen, beta: float | None) -> dict[str, float]:
    """Means over the rows of one step.

    Returns:
      loss, logps/, logps_sum/, logps_mean/, len/, weights/ (summed |dL/dlogp|) for each
      side; drift/ (now minus start) and rewards/ with accuracies and margins where the
      numbers exist. Nats, nats per token, tokens, loss per nat.
    """
    found: dict[str, float] = {"loss": _mean(seen.values)}
    for side, name in enumerate(SIDES[: min(2, seen.sums.shape[1])]):
        sums, lengths = seen.sums[:, side], seen.lengths[:, side]
        found[f"logps/{name}"] = found[f"logps_sum/{name}"] = _mean(sums)
        found[f"logps_mean/{name}"] = _mean(sums / np.maximum(lengths, 1))
        found[f"len/{name}"] = _mean(lengths)
        found[f"weights/{name}"] = _mean(seen.weights[:, side])
        if seen.start is not None:
            found[f"drift/{name}"] = _mean(sums - seen.start[:, side])
    if seen.sums.shape[1] > 1:
        found |= _comparison(seen, beta)
    return found


def _comparison(seen: Seen, beta: float | None) -> dict[str, float]:
    chosen, rejected = seen.sums[:, 0], seen.sums[:, 1]
    found = {"logps_sum/margins": _mean(chosen - rejected)}
    if beta is not None and seen.ref is not None:
        good = beta * (chosen - seen.ref[:, 0])
        bad = beta * (rejected - seen.ref[:, 1])
        found |= {
            "rewards/chosen": _mean(good),
            "rewards/rejected": _mean(bad),
            "rewards/margins": _mean(good - bad),
            "rewards/accuracies": _mean(good > bad),
        }
    return found


def _mean(values: Any) -> float:
    return float(np.mean(np.asarray(values, np.float64)))


def mean_of(rows: list[dict[str, float]]) -> dict[str, float]:
    """Mean of each number over several steps; those that a step lacks are left out."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: _mean([row[name] for row in rows if name in row]) for name in names}
