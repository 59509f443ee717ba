"""The losses of the study by label, with one that only the study needs."""

from gradlab.losses import BoundLoss, resolve
from gradlab.losses.terms import logistic_loss, seq_logps
from gradlab.types import Array, PairLogps


def simpo_summed(pairs: PairLogps, *, beta: float = 0.1, gamma: float = 0.5) -> Array:
    """SimPO without length normalisation: -log s(beta (S_w - S_l) - gamma), [B]."""
    chosen, rejected = seq_logps(pairs)
    return logistic_loss(beta * (chosen - rejected) - gamma)


OWN = {"simpo_summed": simpo_summed}


def bound(label: str, **hyper) -> BoundLoss:
    """The loss with that label; hyperparameters may be traced."""
    return resolve(OWN.get(label, label), **hyper)
