"""Budget-controlled regularisation: the chosen likelihood may fall by a budget, free.

The paper (arXiv:2411.05875) was read as an abstract only: a budget tolerates a limited
reduction of the preferred log-likelihood, unlike a likelihood term. Hinge, placement,
normalisation and the bases besides DPO are inferred here. The two functions are a
parameterised family, not the loss as published.

Symbols as in `gradlab.losses.dpo`. What fell beyond the budget, by `drop`:

    sequence    x = -a - delta                       e_t = f'(x)
    token_mean  x = -a/L_w - delta                   e_t = f'(x) / L_w
    tokenwise   x_t = ref_w,t - logp_w,t - delta     e_t = f'(x_t)

The penalty is pen = f(x), tokenwise its sum over tokens, with dpen/dlogp_w,t = -e_t. By
`shape`, f is the hinge max(0, x), its square, or the softplus log(1 + e^x).
"""

from dataclasses import replace
from typing import Any

import jax

from gradlab.errors import LossInputError
from gradlab.losses.checks import check_choice, check_range, require
from gradlab.losses.terms import lengths, log_ratios, masked, spread
from gradlab.types import Array, PairLogps

DROPS = ("sequence", "token_mean", "tokenwise")
SHAPES = {
    "hinge": jax.nn.relu,
    "squared": lambda excess: jax.nn.relu(excess) ** 2,
    "softplus": jax.nn.softplus,
}


def bcr_added(
    pairs: PairLogps,
    *,
    lam: float,
    delta: float,
    beta: float = 0.1,
    drop: str = "sequence",
    shape: str = "hinge",
    base: Any = None,
) -> Array:
    """A base loss plus a budgeted penalty on a falling chosen side (variant A).

    Formula:
        L = base + lam pen, base = -log s(beta h) unless another is given
        pen = f(x), f(x) = max(0, x) unless `shape` says otherwise, with x: sequence
        -a - delta, token_mean -a/L_w - delta, tokenwise (ref_w,t - logp_w,t) - delta,
        summed over t after f

    Gradient:
        G_w,t = G_w,t(base) - lam e_t, G_l,t = G_l,t(base), with e_t = f'(x), of
        token_mean f'(x) / L_w, tokenwise f'(x_t). f' is [x > 0] for the hinge: 0 at the
        kink, where delta = 0 puts every run that starts at the reference.

    Args:
      pairs: token log-probabilities with reference, and what `base` needs.
      lam: weight of the penalty. Required: no published value was confirmed.
      delta: budget, at least 0: nats per sequence for "sequence", nats per token for
        the other two. Required.
      beta: of the default base, per nat.
      drop: "sequence", "token_mean" or "tokenwise".
      shape: "hinge"; "squared", max(0, x)^2; "softplus", log(1 + e^x), which pulls
        within the budget too.
      base: another loss in place of DPO: a name, a specification such as
        "simpo(gamma=1)" or a function.

    Returns:
      [B].

    Raises:
      LossInputError: no reference, unknown drop or shape, negative delta, beta given
        next to base, or arrays of unequal shape.

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
    penalty = budget_penalty(pairs, "bcr_added", delta, drop, shape)
    return budget_base("bcr_added", base, beta)(pairs) + lam * penalty


def bcr_inside(
    pairs: PairLogps,
    *,
    lam: float,
    delta: float,
    beta: float = 0.1,
    drop: str = "sequence",
    shape: str = "hinge",
    base: Any = None,
) -> Array:
    """A base loss that sees the chosen side lower once it fell too far (variant B).

    Formula:
        L = base with S_w - lam pen in place of S_w, spread evenly over the tokens:
        DPO, unless another is given, -log s(beta (h - lam pen)); IPO
        (h - lam pen - 1/(2 tau))^2; SimPO's margin beta (A_w - lam pen/L_w - A_l) -
        gamma
        pen = f(x), f(x) = max(0, x) unless `shape` says otherwise, with x: sequence
        -a - delta, token_mean -a/L_w - delta, tokenwise (ref_w,t - logp_w,t) - delta,
        summed over t after f

    Gradient:
        With G the base's weights at the lowered chosen side and Gbar_w their mean over
        it: G_w,t + lam e_t Gbar_w and G_l,t; for DPO, IPO, SimPO G_w,t (1 + lam e_t).
        e_t = f'(x), of token_mean f'(x) / L_w, tokenwise f'(x_t). f' is [x > 0] for the
        hinge: 0 at the kink, where delta = 0 puts every run that starts at the
        reference. Where the base pushes the chosen side down (IPO beyond its target) so
        does the penalty, lam times as hard.

    Args:
      pairs: token log-probabilities with reference, and what `base` needs.
      lam: weight of the penalty. Required: no published value was confirmed.
      delta: budget, at least 0: nats per sequence for "sequence", nats per token for
        the other two. Required.
      beta: of the default base, per nat.
      drop: "sequence", "token_mean" or "tokenwise".
      shape: "hinge"; "squared", max(0, x)^2; "softplus", log(1 + e^x), which pulls
        within the budget too.
      base: another loss in place of DPO: a name, a specification such as
        "simpo(gamma=1)" or a function.

    Returns:
      [B].

    Raises:
      LossInputError: no reference, unknown drop or shape, negative delta, beta given
        next to base, or arrays of unequal shape.

    Conventions:
        Inferred from the abstract; not BCR as published, and no public implementation
        was found. That other bases see the sum lowered, so that lam has no unit for
        losses of sums and of means alike, is a choice made here. delta = 0 with
        "sequence" is `dpop`; delta -> infinity is the base loss.

    Example:
      >>> f"{bcr_inside(example_pair(), lam=1.0, delta=0.0)[0]:.4f}"
      '0.6444'

    References:
      Inferred from Chen et al., Towards Improved Preference Optimization Pipeline: from
      Data Generation to Budget-Controlled Regularization, arXiv:2411.05875 (abstract).
    """
    penalty = budget_penalty(pairs, "bcr_inside", delta, drop, shape)
    return budget_base("bcr_inside", base, beta)(lowered(pairs, lam * penalty))


def budget_penalty(
    pairs: PairLogps, loss: str, delta: float, drop: str, shape: str
) -> Array:
    """What the fall of the chosen response beyond its budget costs, [B]."""
    check_choice(loss, "shape", shape, tuple(SHAPES))
    penalty = SHAPES[shape](budget_excess(pairs, loss, delta, drop))
    if drop != "tokenwise":
        return penalty
    return masked(penalty, pairs.chosen_mask).sum(-1)


def budget_excess(pairs: PairLogps, loss: str, delta: float, drop: str) -> Array:
    """x: the fall less the budget, [B] nats, or [B, T] by token for "tokenwise"."""
    check_choice(loss, "drop", drop, DROPS)
    check_range(loss, "delta", delta, 0.0, float("inf"), closed_high=True)
    if drop == "tokenwise":
        ref, _ = require(pairs, loss, "ref_chosen", "ref_rejected")
        mask = pairs.chosen_mask
        ref = jax.lax.stop_gradient(masked(ref, mask))
        return ref - masked(pairs.chosen, mask) - delta
    a = log_ratios(pairs, loss).chosen
    if drop == "token_mean":
        a = a / lengths(pairs).chosen
    return -a - delta


def lowered(pairs: PairLogps, nats: Array) -> PairLogps:
    """The pairs with each chosen response less likely by `nats`, [B], evenly."""
    share = spread(nats / lengths(pairs).chosen, pairs.chosen_mask)
    return replace(pairs, chosen=masked(pairs.chosen, pairs.chosen_mask) - share)


def budget_base(loss: str, base: Any, beta: float) -> Any:
    """The base loss as a function of pairs alone: DPO unless another is given."""
    # The table of names imports this module.
    from gradlab.losses.resolve import resolve

    if base is None:
        return resolve("dpo", beta=beta)
    if beta != 0.1:
        raise LossInputError(
            f"loss '{loss}': beta={beta!r} belongs to the default base; with "
            f"base={base!r} give it there, e.g. base='dpo(beta={beta!r})'"
        )
    return resolve(base)
