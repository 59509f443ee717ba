"""DPO and its relatives: losses of the log-ratios of policy to frozen reference.

Symbols: a, b are the summed log-ratios of the chosen and the rejected response,
h = a - b the margin, s the logistic sigmoid. D_w = dL/da and D_l = dL/db: the gradient
of such a loss is the same on every token of a response, G_w,t = D_w and G_l,t = D_l.
"""

import jax

from gradlab.losses.checks import check_choice, check_range
from gradlab.losses.terms import log_ratios, logistic_loss, mean_log_ratios
from gradlab.types import Array, PairLogps


def dpo(pairs: PairLogps, *, beta: float = 0.1, label_smoothing: float = 0.0) -> Array:
    """Direct preference optimisation; with label smoothing, conservative DPO (cDPO).

    Formula:
        L = -(1-eps) log s(beta h) - eps log s(-beta h)

    Gradient:
        D_w = -beta (s(-beta h) - eps), D_l = -D_w. Stationary at s(beta h) = 1 - eps.

    Args:
      pairs: token log-probabilities with reference.
      beta: strength of the pull to the reference, per nat.
      label_smoothing: eps, the assumed share of flipped preferences, in [0, 1).

    Returns:
      [B], in nats of the preference likelihood; log 2 where policy and reference agree.

    Raises:
      LossInputError: no reference, eps out of range, or arrays of unequal shape.

    Conventions:
        Every public implementation agrees for eps = 0. For eps > 0
        eric-mitchell/direct-preference-optimization f8b8c0f, OpenRLHF 3c3be62, oat
        c1a074c, HALOs 4831988 `cdpo` and turbo-alignment 72e737d use this formula;
        TRL 1.16 does not apply label smoothing to its loss type `sigmoid`.

    Example:
      >>> f"{dpo(example_pair(), beta=0.1)[0]:.4f}"
      '0.6444'

    References:
      Rafailov et al., Direct Preference Optimization, arXiv:2305.18290, Eq. 7.
      Mitchell, A note on DPO with noisy preferences & relationship to IPO (2023).
    """
    check_range("dpo", "label_smoothing", label_smoothing, 0.0, 1.0)
    a, b = log_ratios(pairs, "dpo")
    return logistic_loss(beta * (a - b), label_smoothing)


def cdpo(pairs: PairLogps, *, beta: float = 0.1, label_smoothing: float = 0.1) -> Array:
    """Conservative DPO: `dpo` for labels of which a share is flipped.

    Formula:
        L = -(1-eps) log s(beta h) - eps log s(-beta h)

    Gradient:
        D_w = -beta (s(-beta h) - eps), D_l = -D_w. Stationary at s(beta h) = 1 - eps.

    Args:
      pairs: token log-probabilities with reference.
      beta: strength of the pull to the reference, per nat.
      label_smoothing: eps, the assumed share of flipped preferences, in [0, 1).

    Returns:
      [B], in nats of the preference likelihood; log 2 where policy and reference agree.

    Raises:
      LossInputError: no reference, eps out of range, or arrays of unequal shape.

    Conventions:
        The default eps of 0.1 is a choice made here; HALOs' configuration uses 0.2. TRL
        1.16 has no such loss: its `robust` is `robust_dpo`, and `sigmoid` ignores label
        smoothing.

    Example:
      >>> f"{cdpo(example_pair())[0]:.4f}"
      '0.6544'

    References:
      Mitchell, A note on DPO with noisy preferences & relationship to IPO (2023).
    """
    return dpo(pairs, beta=beta, label_smoothing=label_smoothing)


def robust_dpo(
    pairs: PairLogps, *, beta: float = 0.1, label_smoothing: float = 0.1
) -> Array:
    """Provably robust DPO: an unbiased estimate of DPO's loss under flipped labels.

    Formula:
        L = [-(1-eps) log s(beta h) + eps log s(-beta h)] / (1 - 2 eps)

    Gradient:
        D_w = -beta [(1-eps) s(-beta h) + eps s(beta h)] / (1 - 2 eps), D_l = -D_w.
        Never 0: unlike cDPO the loss has no stationary margin.

    Args:
      pairs: token log-probabilities with reference.
      beta: strength of the pull to the reference, per nat.
      label_smoothing: eps, the share of flipped preferences, in [0, 1/2).

    Returns:
      [B]; unbounded below when eps > 0.

    Raises:
      LossInputError: no reference, eps out of range, or arrays of unequal shape.

    Conventions:
        TRL 1.16 `robust` with `label_smoothing` agrees. It differs from `cdpo` in the
        sign of the second term and in the factor 1 / (1 - 2 eps).

    Example:
      >>> f"{robust_dpo(example_pair())[0]:.4f}"
      '0.6319'

    References:
      Chowdhury et al., Provably Robust DPO: Aligning Language Models with Noisy
      Feedback, arXiv:2403.00409.
    """
    check_range("robust_dpo", "label_smoothing", label_smoothing, 0.0, 0.5)
    a, b = log_ratios(pairs, "robust_dpo")
    kept, flipped = logistic_loss(beta * (a - b)), logistic_loss(-beta * (a - b))
    weighted = (1.0 - label_smoothing) * kept - label_smoothing * flipped
    return weighted / (1.0 - 2.0 * label_smoothing)


def ipo(pairs: PairLogps, *, tau: float = 0.1, reduction: str = "sum") -> Array:
    """Identity preference optimisation: regress the margin on 1/(2 tau).

    Formula:
        sum   L = (h - 1/(2 tau))^2
        mean  L = (a/L_w - b/L_l - 1/(2 tau))^2, also called averaged IPO

    Gradient:
        sum   D_w = 2 (h - 1/(2 tau)), D_l = -D_w
        mean  c = 2 (a/L_w - b/L_l - 1/(2 tau)); G_w,t = c/L_w, G_l,t = -c/L_l
        Both change sign at the target.

    Args:
      pairs: token log-probabilities with reference.
      tau: regularisation; often called beta in code.
      reduction: "sum" (the paper's Eq. 17 to the letter) or "mean".

    Returns:
      [B] squared nats, or squared nats per token.

    Raises:
      LossInputError: no reference, unknown reduction, or arrays of unequal shape.

    Conventions:
        Summed: eric-mitchell f8b8c0f, OpenRLHF 3c3be62, oat c1a074c, turbo-alignment
        72e737d (its default), SamPO 25e9631.
        Token average: TRL 1.16 (a comment there says that the authors confirmed it),
        LLaMA-Factory ff6d4d1, HALOs 4831988, EasyDeL, mlx-lm-lora dfaaaed. HALOs
        divides by the number of tokens with a non-zero log-ratio, which is 0/0 where
        policy equals reference.

    Example:
      >>> f"{ipo(example_pair())[0]:.4f}"
      '16.0000'

    References:
      Azar et al., A General Theoretical Paradigm to Understand Learning from Human
      Preferences, arXiv:2310.12036, Eq. 17.
    """
    check_choice("ipo", "reduction", reduction, ("sum", "mean"))
    ratios = log_ratios if reduction == "sum" else mean_log_ratios
    a, b = ratios(pairs, "ipo")
    return (a - b - 1.0 / (2.0 * tau)) ** 2


def averaged_ipo(pairs: PairLogps, *, tau: float = 0.1) -> Array:
    """IPO on log-ratios per token: `ipo` with reduction "mean".

    Formula:
        L = (a/L_w - b/L_l - 1/(2 tau))^2

    Gradient:
        c = 2 (a/L_w - b/L_l - 1/(2 tau)); G_w,t = c/L_w, G_l,t = -c/L_l

    Args:
      pairs: token log-probabilities with reference.
      tau: regularisation; often called beta in code.

    Returns:
      [B] squared nats per token.

    Raises:
      LossInputError: no reference, or arrays of unequal shape.

    Conventions:
        The form of TRL 1.16 `ipo`, LLaMA-Factory, HALOs, EasyDeL and mlx-lm-lora. At
        equal lengths L, averaged_ipo(tau L) is ipo(tau) / L^2.

    Example:
      >>> f"{averaged_ipo(example_pair())[0]:.4f}"
      '21.0069'

    References:
      Azar et al., A General Theoretical Paradigm to Understand Learning from Human
      Preferences, arXiv:2310.12036, Eq. 17, averaged over tokens as in TRL 1.16.
    """
    return ipo(pairs, tau=tau, reduction="mean")


def hinge(pairs: PairLogps, *, beta: float = 0.1) -> Array:
    """The SLiC hinge on DPO log-ratios, as in RSO.

    Formula:
        L = max(0, 1 - beta h)

    Gradient:
        D_w = -beta where beta h < 1, else 0 (also at the kink); D_l = -D_w.

    Args:
      pairs: token log-probabilities with reference.
      beta: margin scale, per nat (RSO: gamma).

    Returns:
      [B], dimensionless.

    Raises:
      LossInputError: no reference, or arrays of unequal shape.

    Conventions:
        TRL 1.16 `hinge`, SPIN a12ba80 and oat c1a074c (there named SLiC) agree. `slic`
        is another loss.

    Example:
      >>> f"{hinge(example_pair())[0]:.4f}"
      '0.9000'

    References:
      Liu et al., Statistical Rejection Sampling Improves Preference Optimization (RSO),
      arXiv:2309.06657.
    """
    a, b = log_ratios(pairs, "hinge")
    return jax.nn.relu(1.0 - beta * (a - b))
