"""Running all checks on a loss."""

from dataclasses import dataclass
from typing import Any

import jax

from gradlab.losses.contract.checks import CHECKS
from gradlab.losses.contract.tools import Broken, NotApplicable
from gradlab.losses.resolve import BoundLoss, resolve
from gradlab.types import LossFn


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes:
      check: its name.
      promise: what it checks, in one line.
      outcome: "passed", "failed" or "skipped".
      detail: what was found, or why it was skipped; may be empty.
    """

    check: str
    promise: str
    outcome: str
    detail: str = ""


def check_loss(loss: str | LossFn, **hyper: Any) -> list[Verdict]:
    """Run the contract that all losses of gradlab keep on any loss.

    Args:
      loss: a name, a specification, `module:function` or a function.
      **hyper: its hyperparameters.

    Returns:
      One `Verdict` per check. A check that the loss makes fail with an exception of its
      own counts as failed.

    Raises:
      LossInputError: the loss can't be resolved.

    Example:
      >>> def likelihood(pairs):
      ...     return -pairs.chosen.sum(-1)  # forgets the mask
      >>> [v.check for v in check_loss(likelihood) if v.outcome == "failed"][0]
      'masked entries'
    """
    with jax.enable_x64(True):
        bound = resolve(loss, **hyper)
        return [_verdict(bound, name) for name in CHECKS]


def _verdict(loss: BoundLoss, name: str) -> Verdict:
    check = CHECKS[name]
    promise = (check.__doc__ or "").strip()
    try:
        detail = check(loss) or ""
    except NotApplicable as reason:
        return Verdict(name, promise, "skipped", str(reason))
    except Broken as finding:
        return Verdict(name, promise, "failed", str(finding))
    except Exception as error:
        return Verdict(name, promise, "failed", f"{type(error).__name__}: {error}")
    return Verdict(name, promise, "passed", detail)
