"""Losses that keep the chosen response's likelihood from falling, by a penalty or NLL.

Symbols as in `gradlab.losses.dpo`; x = beta h.
"""

import jax

from gradlab.losses.terms import log_ratios, logistic_loss, mean_logps, seq_logps
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
        Penalty inside the sigmoid and the beta bracket: version 2 of the paper
        (several agreeing readers; its authors say that it fixes version 1's brackets),
        turbo-alignment 72e737d, oat c1a074c, SamPO 25e9631, Understand_MarginPO
        32d0edb. Outside the sigmoid is `dpop_outside`, inside but not scaled by beta
        `dpop_inside_nobeta`; mirrored sign errors exist in the wild. Published lambdas:
        0.1 (turbo-alignment), 5, 10, 50. At the kink Understand_MarginPO,
        turbo-alignment and oat use relu, SamPO `torch.maximum`, others `torch.clamp`.

    Example:
      >>> f"{dpop(example_pair())[0]:.4f}"
      '0.5544'

    References:
      Pal et al., Smaug: Fixing Failure Modes of Preference Optimisation with
      DPO-Positive, arXiv:2402.13228v2, Eq. 3.
    """
    a, b = log_ratios(pairs, "dpop")
    return logistic_loss(beta * (a - b - lam * jax.nn.relu(-a)))


def dpop_outside(pairs: PairLogps, *, beta: float = 0.1, lam: float = 50.0) -> Array:
    """DPO plus a penalty, outside the sigmoid, on a falling chosen side. Not DPOP.

    Formula:
        L = -log s(x) + lam max(0, -a)

    Gradient:
        D_w = -beta s(-x) - lam [a < 0], D_l = +beta s(-x). At a = 0 the slope of the
        penalty is 0 (`jax.nn.relu`). Once a < 0 the penalty pulls with lam whatever the
        margin: at the defaults 500 times DPO's largest weight.

    Args:
      pairs: token log-probabilities with reference.
      beta: strength of the pull to the reference, per nat.
      lam: weight of the penalty, per nat.

    Returns:
      [B].

    Raises:
      LossInputError: no reference, or arrays of unequal shape.

    Conventions:
        mlx-lm-lora dfaaaed `dpop` (there lam is called delta; maximum at the kink) and
        many copies of a snippet derived from version 1 of the paper. Not the published
        loss, which is `dpop`; named so that both can be compared.

    Example:
      >>> f"{dpop_outside(example_pair())[0]:.4f}"
      '0.6444'

    References:
      mlx-lm-lora `dpop`; compare Pal et al., Smaug, arXiv:2402.13228v2, Eq. 3.
    """
    a, b = log_ratios(pairs, "dpop_outside")
    return logistic_loss(beta * (a - b)) + lam * jax.nn.relu(-a)


def dpop_inside_nobeta(
    pairs: PairLogps, *, beta: float = 0.3, lam: float = 50.0
) -> Array:
    """DPOP with its penalty inside the sigmoid but not scaled by beta. Not DPOP.

    Formula:
        m = beta h - lam max(0, -a); L = -log s(m), which is `dpop` with lam / beta

    Gradient:
        D_w = -(beta + lam [a < 0]) s(-m), D_l = +beta s(-m). At a = 0 the slope of the
        penalty is 0 (`jax.nn.relu`).

    Args:
      pairs: token log-probabilities with reference.
      beta: strength of the pull to the reference, per nat.
      lam: weight of the penalty, per nat.

    Returns:
      [B].

    Raises:
      LossInputError: no reference, or arrays of unequal shape.

    Conventions:
        A reading in secondary notes that disagree with the paper's Eq. 3; provided for
        comparison only.

    Example:
      >>> f"{dpop_inside_nobeta(example_pair())[0]:.4f}"
      '0.5544'

    References:
      Compare Pal et al., Smaug, arXiv:2402.13228v2, Eq. 3, which is `dpop`.
    """
    a, b = log_ratios(pairs, "dpop_inside_nobeta")
    return logistic_loss(beta * (a - b) - lam * jax.nn.relu(-a))


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
        The authors' alignment-handbook branch is this loss
        (YSLIU627/Regularized-Preference-Optimization d0389c4); their OpenRLHF branch
        uses a token-averaged likelihood with coefficient 0.2 and beta 0.5, and TRL's
        recipe is DPO + 0.005 x batch token mean: for those use `dpo_mle`. R-DPO, RPO
        and IRPO are three losses.

    Example:
      >>> f"{rpo(example_pair())[0]:.4f}"
      '0.6883'

    References:
      Liu et al., Provably Mitigating Overoptimization in RLHF: Your SFT Loss is
      Implicitly an Adversarial Regularizer, arXiv:2405.16436.
    """
    a, b = log_ratios(pairs, "rpo")
    return logistic_loss(beta * (a - b)) - beta * eta * seq_logps(pairs).chosen


def irpo(pairs: PairLogps, *, beta: float = 0.1, alpha: float = 1.0) -> Array:
    """Iterative reasoning preference optimisation: DPO plus a mean likelihood term.

    Formula:
        L = -log s(x) - alpha A_w

    Gradient:
        G_w,t = -beta s(-x) - alpha/L_w, D_l = +beta s(-x)

    Args:
      pairs: token log-probabilities with reference.
      beta: strength of the pull to the reference, per nat.
      alpha: weight of the likelihood term.

    Returns:
      [B].

    Raises:
      LossInputError: no reference, or arrays of unequal shape.

    Conventions:
        Division by the response's length was read in a summary of Eq. 1; oat c1a074c
        (`sft_weight`) and SamPO 25e9631 (`mix`) do the same. TRL 1.16 documents it as
        `sigmoid` + `sft`, the batch's token mean: `dpo_mle` with reduction "batch".

    Example:
      >>> f"{irpo(example_pair())[0]:.4f}"
      '2.1444'

    References:
      Pang et al., Iterative Reasoning Preference Optimization, arXiv:2404.19733, Eq. 1.
    """
    a, b = log_ratios(pairs, "irpo")
    return logistic_loss(beta * (a - b)) - alpha * mean_logps(pairs).chosen
