"""Budget-controlled regularisation: the chosen likelihood may fall by a budget, free.

The paper (arXiv:2411.05875) was read as an abstract only: a budget tolerates a limited
reduction of the preferred log-likelihood, unlike a likelihood term. Hinge, placement
and normalisation here are inferred. The two functions are a parameterised family, not
the loss as published.

Symbols as in `gradlab.losses.dpo`. The penalty pen and its slope e_t, with
dpen/dlogp_w,t = -e_t, by `drop`:

    sequence    max(0, -a - delta)                          e_t = [-a > delta]
    token_mean  max(0, -a/L_w - delta)                      e_t = [-a/L_w > delta] / L_w
    tokenwise   sum_t max(0, ref_w,t - logp_w,t - delta)    e_t = [token fell > delta]
"""

from typing import Any

import jax

from gradlab.errors import LossInputError
from gradlab.losses.checks import check_choice, check_range, require
from gradlab.losses.dpo import dpo
from gradlab.losses.terms import (
    lengths,
    log_ratios,
    logistic_loss,
    masked,
)
from gradlab.types import Array, PairLogps

DROPS = ("sequence", "token_mean", "tokenwise")


def bcr_added(
    pairs: PairLogps,
    *,
    lam: float,
    delta: float,
    beta: float = 0.1,
    drop: str = "sequence",
    base: Any = None,
) -> Array:
    """A base loss plus a budgeted penalty on a falling chosen side (variant A).

    Formula:
        L = base + lam pen, base = -log s(beta h) unless another is given
        pen: sequence max(0, -a - delta), token_mean max(0, -a/L_w - delta), tokenwise
        sum_t max(0, (ref_w,t - logp_w,t) - delta)

    Gradient:
        G_w,t = G_w,t(base) - lam e_t, G_l,t = G_l,t(base), with e_t: sequence
        [-a > delta], token_mean [-a/L_w > delta] / L_w, tokenwise 1 on the tokens that
        fell by more than delta. 0 at the kink, where delta = 0 puts every run that
        starts at the reference.

    Args:
      pairs: token log-probabilities with reference, and what `base` needs.
      lam: weight of the penalty. Required: no published value was confirmed.
      delta: budget, at least 0: nats per sequence for "sequence", nats per token for
        the other two. Required.
      beta: of the default base, per nat.
      drop: "sequence", "token_mean" or "tokenwise".
      base: another loss in place of DPO: a name, a specification such as
        "simpo(gamma=1)" or a function.

    Returns:
      [B].

    Raises:
      LossInputError: no reference, unknown drop, negative delta, beta given next to
        base, or arrays of unequal shape.

    Conventions:
        Inferred from the abstract; not BCR as published, and no public implementation
        was found. delta = 0 with "sequence" is `dpop_outside`; delta -> infinity is the
        base loss.

    Example:
      >>> f"{bcr_added(example_pair(), lam=1.0, delta=0.0)[0]:.4f}"
      '0.6444'

    References:
      Inferred from Chen et al., Towards Improved Preference Optimization Pipeline: from
      Data Generation to Budget-Controlled Regularization, arXiv:2411.05875 (abstract).
    """
    penalty = budget_penalty(pairs, "bcr_added", delta, drop)
    if base is None:
        return dpo(pairs, beta=beta) + lam * penalty
    return bcr_base(base, beta)(pairs) + lam * penalty


def bcr_inside(
    pairs: PairLogps,
    *,
    lam: float,
    delta: float,
    beta: float = 0.1,
    drop: str = "sequence",
) -> Array:
    """DPO with a budgeted penalty inside the sigmoid (variant B).

    Formula:
        m = beta (h - lam pen); L = -log s(m)
        pen: sequence max(0, -a - delta), token_mean max(0, -a/L_w - delta), tokenwise
        sum_t max(0, (ref_w,t - logp_w,t) - delta)

    Gradient:
        G_w,t = -beta (1 + lam e_t) s(-m), G_l,t = +beta s(-m), with e_t: sequence
        [-a > delta], token_mean [-a/L_w > delta] / L_w, tokenwise 1 on the tokens that
        fell by more than delta. 0 at the kink, where delta = 0 puts every run that
        starts at the reference.

    Args:
      pairs: token log-probabilities with reference.
      lam: weight of the penalty. Required: no published value was confirmed.
      delta: budget, at least 0: nats per sequence for "sequence", nats per token for
        the other two. Required.
      beta: strength of the pull to the reference, per nat.
      drop: "sequence", "token_mean" or "tokenwise".

    Returns:
      [B].

    Raises:
      LossInputError: no reference, unknown drop, negative delta, or arrays of unequal
        shape.

    Conventions:
        Inferred from the abstract; not BCR as published, and no public implementation
        was found. delta = 0 with "sequence" is `dpop`; delta -> infinity is `dpo`.

    Example:
      >>> f"{bcr_inside(example_pair(), lam=1.0, delta=0.0)[0]:.4f}"
      '0.6444'

    References:
      Inferred from Chen et al., Towards Improved Preference Optimization Pipeline: from
      Data Generation to Budget-Controlled Regularization, arXiv:2411.05875 (abstract).
    """
    penalty = budget_penalty(pairs, "bcr_inside", delta, drop)
    a, b = log_ratios(pairs, "bcr_inside")
    return logistic_loss(beta * (a - b - lam * penalty))


def budget_penalty(pairs: PairLogps, loss: str, delta: float, drop: str) -> Array:
    """What the chosen response fell beyond its budget, [B]; slope 0 at the kink."""
    check_choice(loss, "drop", drop, DROPS)
    check_range(loss, "delta", delta, 0.0, float("inf"), closed_high=True)
    if drop == "tokenwise":
        ref, _ = require(pairs, loss, "ref_chosen", "ref_rejected")
        mask = pairs.chosen_mask
        fallen = jax.lax.stop_gradient(masked(ref, mask)) - masked(pairs.chosen, mask)
        return masked(jax.nn.relu(fallen - delta), mask).sum(-1)
    a = log_ratios(pairs, loss).chosen
    if drop == "token_mean":
        a = a / lengths(pairs).chosen
    return jax.nn.relu(-a - delta)


def bcr_base(base: Any, beta: float) -> Any:
    """The base loss as a function of pairs alone."""
    # The table of names imports this module.
    from gradlab.losses.resolve import resolve

    if beta != 0.1:
        raise LossInputError(
            f"loss 'bcr_added': beta={beta!r} belongs to the default base; with "
            f"base={base!r} give it there, e.g. base='dpo(beta={beta!r})'"
        )
    return resolve(base)
