"""Losses that need no reference policy.

Symbols as in `gradlab.losses.likelihood`; s is the logistic sigmoid.
"""

import jax

from gradlab.errors import LossInputError
from gradlab.losses.checks import check_choice, check_range
from gradlab.losses.terms import log1mexp, logistic_loss, mean_logps, seq_logps
from gradlab.types import Array, PairLogps


def slic(
    pairs: PairLogps,
    *,
    delta: float = 1.0,
    beta: float = 1.0,
    lam: float = 0.1,
    regularizer: str = "sum",
) -> Array:
    """SLiC-HF: a rank-calibration hinge on log-probabilities plus a likelihood term.

    Formula:
        L = max(0, delta - beta (S_w - S_l)) - lam S_w      (regularizer "mean": A_w)

    Gradient:
        With I = 1 where beta (S_w - S_l) < delta, else 0 (also at the kink):
        D_w = -beta I - lam ("mean": -lam/L_w), D_l = +beta I.

    Args:
      pairs: token log-probabilities.
      delta: margin at which the hinge is satisfied.
      beta: scale of the log-probability difference, per nat.
      lam: weight of the likelihood term.
      regularizer: "sum" or "mean", the likelihood term's reduction.

    Returns:
      [B].

    Raises:
      LossInputError: unknown regularizer, or arrays of unequal shape.

    Conventions:
        HALOs `slic` and turbo-alignment `slic_hf` (delta 1; a constant margin in place
        of the likelihood term) are relatives; "slic" in oat is `hinge`. The paper may
        regularise on another target than the chosen response; here it is the chosen.

    Example:
      >>> f"{slic(example_pair())[0]:.4f}"
      '0.3000'

    References:
      Zhao et al., SLiC-HF: Sequence Likelihood Calibration with Human Feedback,
      arXiv:2305.10425.
    """
    check_choice("slic", "regularizer", regularizer, ("sum", "mean"))
    sums = seq_logps(pairs)
    rewarded = sums.chosen if regularizer == "sum" else mean_logps(pairs).chosen
    return jax.nn.relu(delta - beta * (sums.chosen - sums.rejected)) - lam * rewarded


def simpo(
    pairs: PairLogps,
    *,
    beta: float = 2.0,
    gamma: float = 0.5,
    gamma_beta_ratio: float | None = None,
    label_smoothing: float = 0.0,
) -> Array:
    """SimPO: logistic loss of the difference of mean log-probabilities, with a margin.

    Formula:
        m = beta (A_w - A_l) - gamma;  L = -(1-eps) log s(m) - eps log s(-m)

    Gradient:
        c = -beta (s(-m) - eps); G_w,t = c/L_w, G_l,t = -c/L_l

    Args:
      pairs: token log-probabilities.
      beta: scale of the mean log-probabilities, tokens per nat.
      gamma: target margin, outside beta.
      gamma_beta_ratio: gamma / beta, the other way to give the margin; exclusive with
        a gamma other than the default.
      label_smoothing: eps in [0, 1).

    Returns:
      [B].

    Raises:
      LossInputError: both gamma and its ratio given, eps out of range, or arrays of
        unequal shape.

    Conventions:
        "gamma" outside beta: TRL, LLaMA-Factory, torchtune, here. The SimPO repository,
        HALOs, oat and open-instruct take `gamma_beta_ratio` (0.25); turbo-alignment
        calls the ratio gamma. TRL adds a likelihood term unless `cpo_alpha=0`.

    Example:
      >>> f"{simpo(example_pair())[0]:.4f}"
      '0.9741'

    References:
      Meng et al., SimPO: Simple Preference Optimization with a Reference-Free Reward,
      arXiv:2405.14734.
    """
    check_range("simpo", "label_smoothing", label_smoothing, 0.0, 1.0)
    chosen, rejected = mean_logps(pairs)
    margin = beta * (chosen - rejected) - simpo_gamma(beta, gamma, gamma_beta_ratio)
    return logistic_loss(margin, label_smoothing)


def simpo_gamma(beta: float, gamma: float, gamma_beta_ratio: float | None) -> float:
    """The margin from whichever of its two names was given."""
    if gamma_beta_ratio is None:
        return gamma
    if gamma != 0.5:
        raise LossInputError(
            f"loss 'simpo': gamma={gamma!r} and gamma_beta_ratio={gamma_beta_ratio!r} "
            "are two names of one margin; give one"
        )
    return beta * gamma_beta_ratio


def orpo(pairs: PairLogps, *, lam: float = 0.1) -> Array:
    """ORPO: mean likelihood of the chosen plus a log odds ratio, no reference.

    Formula:
        o = (A_w - A_l) - [log(1 - e^A_w) - log(1 - e^A_l)];  L = -A_w - lam log s(o)

    Gradient:
        G_w,t = -(1/L_w) [1 + lam s(-o) / (1 - e^A_w)]
        G_l,t = +(lam/L_l) s(-o) / (1 - e^A_l)

    Args:
      pairs: token log-probabilities.
      lam: weight of the odds-ratio term (TRL calls it beta).

    Returns:
      [B] nats per token. Infinite where a whole response has probability 1.

    Raises:
      LossInputError: arrays of unequal shape.

    Conventions:
        TRL averages the likelihood term over the batch's tokens, prompt included.
        LLaMA-Factory has this formula without a stable log(1 - e^x). turbo-alignment
        clamps e^A at 1 - 1e-7 and uses lambda = 1.

    Example:
      >>> f"{orpo(example_pair())[0]:.4f}"
      '1.5693'

    References:
      Hong et al., ORPO: Monolithic Preference Optimization without Reference Model,
      arXiv:2403.07691, Eqs. 4 and 7.
    """
    chosen, rejected = mean_logps(pairs)
    log_odds_ratio = (chosen - rejected) - (log1mexp(chosen) - log1mexp(rejected))
    return -chosen - lam * jax.nn.log_sigmoid(log_odds_ratio)
