"""Likelihood-preserving losses that treat the two sides differently inside DPO.

Symbols as in `gradlab.losses.dpo`.
"""

import jax.numpy as jnp

from gradlab.losses.terms import log_ratios, logistic_loss
from gradlab.types import Array, PairLogps


def cal_dpo(
    pairs: PairLogps, *, beta: float = 0.001, calibration_weight: float = 0.5
) -> Array:
    """Cal-DPO: DPO plus squares that hold each log-ratio at its own target.

    Formula:
        L = -log s(h) + c [(a - 1/(2 beta))^2 + (b + 1/(2 beta))^2]
        There is no beta in the logistic term.

    Gradient:
        D_w = -s(-h) + 2c (a - 1/(2 beta)), D_l = +s(-h) + 2c (b + 1/(2 beta))

    Args:
      pairs: token log-probabilities with reference.
      beta: sets the targets, 500 nats at the default.
      calibration_weight: c.

    Returns:
      [B].

    Raises:
      LossInputError: no reference, or arrays of unequal shape.

    Conventions:
        c = 0.5: the authors' code (tengxiao1/Cal-DPO 7d16b46; beta 0.001 in its script,
        0.002 in its configuration file). c = 1: turbo-alignment 72e737d; that the
        paper's equation has c = 1 is not confirmed. Both codes average the squares over
        the batch before adding them to each pair: the same batch mean, other values per
        pair. Here squares stay per pair.

    Example:
      >>> f"{cal_dpo(example_pair(), beta=0.1)[0]:.4f}"
      '20.5633'

    References:
      Xiao et al., Cal-DPO: Calibrated Direct Preference Optimization for Language Model
      Alignment, arXiv:2412.14516.
    """
    a, b = log_ratios(pairs, "cal_dpo")
    target = 1.0 / (2.0 * beta)
    squares = (a - target) ** 2 + (b + target) ** 2
    return logistic_loss(a - b) + calibration_weight * squares


def dpo_shift(pairs: PairLogps, *, beta: float = 0.01, f: float | Array = 0.7) -> Array:
    """DPO-Shift: the rejected log-ratio counts less, so that the chosen falls less.

    Formula:
        m = beta (a - f b); L = -log s(m)

    Gradient:
        D_w = -beta s(-m), D_l = +f beta s(-m)

    Args:
      pairs: token log-probabilities with reference.
      beta: strength of the pull to the reference, per nat.
      f: weight of the rejected side (`dpo_lambda` in the released code); 1 is `dpo`. A
        schedule is the caller's: f_min + (f_max - f_min) t/T or its decreasing mirror.

    Returns:
      [B]; log 2 where policy and reference agree.

    Raises:
      LossInputError: no reference, or arrays of unequal shape.

    Conventions:
        Released code (Meaquadddd/DPO-Shift 52eebac): its recipes use 0.7 and beta 0.01,
        the default of its trainer, 1.0, is DPO.

    Example:
      >>> f"{dpo_shift(example_pair(), beta=0.1)[0]:.4f}"
      '0.6516'

    References:
      Yang et al., DPO-Shift: Shifting the Distribution of Direct Preference
      Optimization, arXiv:2502.07599.
    """
    a, b = log_ratios(pairs, "dpo_shift")
    return logistic_loss(beta * (a - f * b))


def bpo(pairs: PairLogps, *, beta: float = 0.1, alpha: float = 0.3) -> Array:
    """BPO, balanced preference optimisation: only the worse of the two sides moves.

    Formula:
        m = min(beta a, -alpha beta b); L = -log s(m)

    Gradient:
        beta a < -alpha beta b: D_w = -beta s(-m), D_l = 0
        beta a > -alpha beta b: D_w = 0, D_l = +alpha beta s(-m)
        At the tie, where every run that starts at the reference begins, half of each
        (`jnp.minimum`): D_w = -beta/4, D_l = +alpha beta/4 at the reference.

    Args:
      pairs: token log-probabilities with reference.
      beta: strength of the pull to the reference, per nat.
      alpha: gap adaptor, the weight of the rejected side.

    Returns:
      [B]; log 2 where policy and reference agree.

    Raises:
      LossInputError: no reference, or arrays of unequal shape.

    Conventions:
        The formula was read in a published review, and one independent implementation
        agrees; alpha 0.3 stands in the authors' README, beta 0.1 is a choice made here.
        Other methods are abbreviated BPO, too.

    Example:
      >>> f"{bpo(example_pair())[0]:.4f}"
      '0.6857'

    References:
      Sun et al., BPO: Revisiting Preference Modeling in Direct Preference Optimization,
      arXiv:2506.03557.
    """
    a, b = log_ratios(pairs, "bpo")
    return logistic_loss(jnp.minimum(beta * a, -alpha * beta * b))


def flexdpo(pairs: PairLogps, *, beta_pos: float = 0.1, beta_neg: float = 0.1) -> Array:
    """Flex-DPO: one beta for the chosen and another for the rejected side.

    Formula:
        m = beta_pos a - beta_neg b; L = -log s(m)

    Gradient:
        D_w = -beta_pos s(-m), D_l = +beta_neg s(-m)

    Args:
      pairs: token log-probabilities with reference.
      beta_pos: beta+ of the chosen side, per nat.
      beta_neg: beta- of the rejected side, per nat.

    Returns:
      [B]; log 2 where policy and reference agree.

    Raises:
      LossInputError: no reference, or arrays of unequal shape.

    Conventions:
        That Flex-DPO has two coefficients was read in a published review; the formula
        is inferred. The equal defaults, which give DPO, are a choice made here. It is
        `dpo_shift` with beta = beta_pos and f = beta_neg / beta_pos.

    Example:
      >>> f"{flexdpo(example_pair(), beta_neg=0.05)[0]:.4f}"
      '0.6564'

    References:
      Inferred from Yan et al., 3D-Properties: Identifying Challenges in DPO and
      Charting a Path Forward, arXiv:2406.07327.
    """
    a, b = log_ratios(pairs, "flexdpo")
    return logistic_loss(beta_pos * a - beta_neg * b)
