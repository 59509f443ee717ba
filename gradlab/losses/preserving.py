"""Losses that keep the chosen response's likelihood from falling.

Symbols as in `gradlab.losses.dpo`.
"""

import jax

from gradlab.losses.terms import log_ratios, logistic_loss, seq_logps
from gradlab.types import Array, PairLogps


def dpop(pairs: PairLogps, *, beta: float = 0.3, lam: float = 50.0) -> Array:
    """DPO-Positive: DPO with a penalty, inside the sigmoid, on a falling chosen side.

    Formula:
        m = beta (h - lam max(0, -a));  L = -log s(m)

    Gradient:
        D_w = -beta (1 + lam [a < 0]) s(-m), D_l = +beta s(-m).
        At a = 0, where every run that starts at the reference begins, the slope of the
        penalty is 0 (`jax.nn.relu`) and the gradient is DPO's. `jnp.maximum` would
        give half of the penalty's slope there and `torch.clamp` the whole: with the
        defaults -0.15, -3.9 and -7.65.

    Args:
      pairs: token log-probabilities with reference.
      beta: strength of the pull to the reference, per nat.
      lam: weight of the penalty, relative to the margin.

    Returns:
      [B].

    Raises:
      LossInputError: no reference, or arrays of unequal shape.

    Conventions:
        Penalty inside the sigmoid and the beta bracket: version 2 of the paper,
        turbo-alignment, oat, SamPO, Understand_MarginPO. Outside the sigmoid
        (mlx-lm-lora and many copies derived from version 1): another loss. Published
        lambdas: 0.1 (turbo-alignment), 5, 10, 50.

    Example:
      >>> f"{dpop(example_pair())[0]:.4f}"
      '0.5544'

    References:
      Pal et al., Smaug: Fixing Failure Modes of Preference Optimisation with
      DPO-Positive, arXiv:2402.13228v2, Eq. 3.
    """
    a, b = log_ratios(pairs, "dpop")
    return logistic_loss(beta * (a - b - lam * jax.nn.relu(-a)))


def rpo(pairs: PairLogps, *, beta: float = 0.01, eta: float = 0.005) -> Array:
    """Regularised preference optimisation: DPO plus a summed likelihood term.

    Formula:
        L = -log s(beta h) - beta eta S_w

    Gradient:
        D_w = -beta s(-beta h) - beta eta, D_l = +beta s(-beta h)

    Args:
      pairs: token log-probabilities with reference.
      beta: strength of the pull to the reference, per nat.
      eta: weight of the likelihood term, relative to beta.

    Returns:
      [B].

    Raises:
      LossInputError: no reference, or arrays of unequal shape.

    Conventions:
        The authors' alignment-handbook branch is this loss; their OpenRLHF branch uses
        a token-averaged likelihood with coefficient 0.2 and beta 0.5, and TRL's recipe
        is DPO + 0.005 x batch token mean. R-DPO, RPO and IRPO are three losses.

    Example:
      >>> f"{rpo(example_pair())[0]:.4f}"
      '0.6883'

    References:
      Liu et al., Provably Mitigating Overoptimization in RLHF: Your SFT Loss is
      Implicitly an Adversarial Regularizer, arXiv:2405.16436.
    """
    a, b = log_ratios(pairs, "rpo")
    return logistic_loss(beta * (a - b)) - beta * eta * seq_logps(pairs).chosen
