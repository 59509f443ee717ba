"""Losses that need no reference policy.

Symbols as in `gradlab.losses.likelihood`; s is the logistic sigmoid.
"""

import jax

from gradlab.losses.checks import check_choice, check_range
from gradlab.losses.terms import (
    batch_share,
    log1mexp,
    logistic_loss,
    mean_logps,
    seq_logps,
)
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
        HALOs 4831988 `slic` (beta plays the role of delta = 1, lambda_coef 0.1) adds a
        [B] to a [B, T] term: broken unless B = 1 or T = B, as far as reading tells.
        turbo-alignment 72e737d `slic_hf` (delta 1) subtracts a constant margin in place
        of the likelihood term. "slic" in oat is `hinge`. The paper may regularise on
        another target than the chosen response; here it is the chosen, by choice.

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


def cpo(
    pairs: PairLogps,
    *,
    beta: float = 0.1,
    alpha: float = 1.0,
    label_smoothing: float = 0.0,
    nll_reduction: str = "mean",
) -> Array:
    """Contrastive preference optimisation: DPO without reference, plus likelihood.

    Formula:
        x = beta (S_w - S_l)
        L = -(1-eps) log s(x) - eps log s(-x) + alpha NLL, with NLL:
        mean -A_w; sum -S_w; batch -B S_w / N_w, the share of the batch's token mean

    Gradient:
        D_w = -beta (s(-x) - eps) - alpha {mean 1/L_w | sum 1 | batch B/N_w}
        D_l = +beta (s(-x) - eps)

    Args:
      pairs: token log-probabilities.
      beta: scale of the log-probability difference, per nat.
      alpha: weight of the likelihood term (TRL `cpo_alpha`).
      label_smoothing: eps in [0, 1).
      nll_reduction: "mean", "sum" or "batch". "batch" couples pairs through N_w.

    Returns:
      [B].

    Raises:
      LossInputError: unknown reduction, eps out of range, or arrays of unequal shape.

    Conventions:
        The likelihood is the batch's token mean over response labels in TRL 1.16
        ("batch") and the sum in turbo-alignment 72e737d, whose default `norm=True`
        moreover puts DPO's log-ratios inside the sigmoid. The default "mean" is a
        choice made here, so that pairs don't couple. Without likelihood term (alpha 0)
        this is `dpo` with a reference of all zeros.

    Example:
      >>> f"{cpo(example_pair())[0]:.4f}"
      '2.1210'

    References:
      Xu et al., Contrastive Preference Optimization: Pushing the Boundaries of LLM
      Performance in Machine Translation, arXiv:2401.08417.
    """
    check_choice("cpo", "nll_reduction", nll_reduction, ("mean", "sum", "batch"))
    check_range("cpo", "label_smoothing", label_smoothing, 0.0, 1.0)
    sums = seq_logps(pairs)
    rewarded = {
        "mean": mean_logps(pairs).chosen,
        "sum": sums.chosen,
        "batch": batch_share(sums.chosen, pairs, pairs.chosen_mask),
    }[nll_reduction]
    margin = beta * (sums.chosen - sums.rejected)
    return logistic_loss(margin, label_smoothing) - alpha * rewarded


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
        TRL 1.16 averages the likelihood term over the batch's tokens, prompt included,
        and takes the odds in float32. LLaMA-Factory ff6d4d1 has this formula without a
        stable log(1 - e^x). turbo-alignment 72e737d clamps e^A at 1 - 1e-7 and uses
        lambda = 1.

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
