"""Likelihood losses: reward the good example, penalise the bad one, no reference.

Symbols: S_w, S_l are the summed log-probabilities of the chosen and the rejected
response, L_w, L_l their lengths, A = S / L the means, p_t = exp(logp_t). G_w,t and
G_l,t are the derivatives of one pair's loss with respect to one token log-probability.
"""

import jax.numpy as jnp

from gradlab.losses.checks import check_choice
from gradlab.losses.terms import (
    batch_size,
    batch_tokens,
    lengths,
    log1mexp,
    masked,
    mean_logps,
    seq_logps,
)
from gradlab.types import Array, PairLogps


def mle(pairs: PairLogps, *, reduction: str = "sum") -> Array:
    """Maximum likelihood of the chosen response; also called SFT.

    Formula:
        sum    L = -S_w
        mean   L = -A_w
        batch  L = -B S_w / N_w, with N_w the chosen tokens of the whole batch, so that
               the batch mean is the mean over all chosen tokens

    Gradient:
        sum G_w,t = -1; mean G_w,t = -1/L_w; batch G_w,t = -B/N_w. G_l,t = 0.

    Args:
      pairs: token log-probabilities; only the chosen side is used.
      reduction: "sum", "mean" or "batch". "batch" couples pairs through N_w.

    Returns:
      [B] nats ("sum") or nats per token.

    Raises:
      LossInputError: unknown reduction, or arrays of unequal shape.

    Conventions:
        Public code sums (the RPO handbook branch, turbo-alignment), averages per
        sequence (LLaMA-Factory, oat, SamPO) or over the batch's tokens (TRL 1.16 loss
        type `sft`, OpenRLHF). The three differ by length weights, not by a constant.
        The default is the sum, for which the theory is written.

    Example:
      >>> f"{mle(example_pair())[0]:.4f}"
      '3.0000'

    References:
      Standard; "batch" as in TRL 1.16 and Hugging Face cross-entropy.
    """
    check_choice("mle", "reduction", reduction, ("sum", "mean", "batch"))
    if reduction == "mean":
        return -mean_logps(pairs).chosen
    total = -seq_logps(pairs).chosen
    if reduction == "sum":
        return total
    return total * batch_size(pairs) / batch_tokens(pairs.chosen_mask)


def unlikelihood_token(
    pairs: PairLogps,
    *,
    alpha: float = 1.0,
    reduction: str = "sum",
    min_one_minus_p: float | None = None,
) -> Array:
    """Token unlikelihood: raise chosen tokens, push each rejected token's odds down.

    Formula:
        sum   L = -S_w - alpha sum_t log(1 - p_l,t)
        mean  the first term divided by L_w, the second by L_l

    Gradient:
        G_w,t = -1 (mean: -1/L_w); G_l,t = alpha p_t / (1 - p_t), the token's odds
        (mean: divided by L_l). It diverges as p_t -> 1. With `min_one_minus_p` = c the
        gradient is 0 where 1 - p_t <= c.

    Args:
      pairs: token log-probabilities.
      alpha: weight of the penalty.
      reduction: "sum" or "mean".
      min_one_minus_p: lower clamp of 1 - p_t; `None` leaves the loss infinite at p = 1.

    Returns:
      [B] nats.

    Raises:
      LossInputError: unknown reduction, or arrays of unequal shape.

    Conventions:
        The authors' fairseq code divides by the token count and clamps 1 - p at 1e-5,
        their GPT-2 script at 1e-20. The baseline called "Unlikelihood" in the DPO paper
        is `mate`, not this loss.

    Example:
      >>> f"{unlikelihood_token(example_pair())[0]:.4f}"
      '4.4425'

    References:
      Welleck et al., Neural Text Generation with Unlikelihood Training,
      arXiv:1908.04319. There the negatives are earlier tokens of the same context;
      taking the rejected response's own tokens is the preference-learning reading,
      inferred from the abstract of arXiv:2408.16751.
    """
    check_choice("unlikelihood_token", "reduction", reduction, ("sum", "mean"))
    mask = pairs.rejected_mask
    rewarded = (
        mean_logps(pairs).chosen if reduction == "mean" else seq_logps(pairs).chosen
    )
    # -1 stands in for masked entries: any value at which log(1 - p) is smooth.
    logps = masked(pairs.rejected, mask, fill=-1.0)
    if min_one_minus_p is None:
        log_one_minus_p = log1mexp(logps)
    else:
        free = -jnp.expm1(logps) > min_one_minus_p
        inside = log1mexp(jnp.where(free, logps, -1.0))
        log_one_minus_p = jnp.where(free, inside, jnp.log(min_one_minus_p))
    penalty = jnp.sum(masked(log_one_minus_p, mask), axis=-1)
    if reduction == "mean":
        penalty = penalty / lengths(pairs).rejected
    return -rewarded - alpha * penalty


def exmate(pairs: PairLogps, *, lam: float = 0.05, reduction: str = "mean") -> Array:
    """ExMATE: likelihood of the chosen minus an exponential pull on the rejected.

    Formula:
        mean   L = -A_w + lam exp(A_l)
        sum    L = -S_w + lam exp(S_l)
        token  L = -S_w + lam sum_t p_l,t
        batch  L = -B S_w / N_w + lam exp(sum of all logp_l / N_l), one exponential for
               the whole batch; its mean is the batch value

    Gradient:
        mean   G_w,t = -1/L_w   G_l,t = (lam / L_l) exp(A_l)
        sum    G_w,t = -1       G_l,t = lam exp(S_l)
        token  G_w,t = -1       G_l,t = lam p_l,t
        batch  G_w,t = -B/N_w   G_l,t = (lam B / N_l) exp(mean of all logp_l)

    Args:
      pairs: token log-probabilities.
      lam: weight of the penalty (`mate_coef` in the released code).
      reduction: "mean", "sum", "token" or "batch". "batch" couples the pairs.

    Returns:
      [B] nats; for "batch" a vector whose mean is the batch value.

    Raises:
      LossInputError: unknown reduction, or arrays of unequal shape.

    Conventions:
        Only the "batch" form is confirmed by released code (Pascalson/CausalDialogue);
        the other three are readings of the same idea. The "sum" form underflows: its
        penalty is 0 in float32 once S_l < -103, and the loss is then plain MLE.

    Example:
      >>> f"{exmate(example_pair())[0]:.4f}"
      '1.5112'

    References:
      Tuan et al., CausalDialogue, arXiv:2212.10515 (Findings of ACL 2023); analysed in
      Tuan & Wang, arXiv:2408.16751, whose normalisation is not confirmed.
    """
    check_choice("exmate", "reduction", reduction, ("mean", "sum", "token", "batch"))
    if reduction == "mean":
        means = mean_logps(pairs)
        return -means.chosen + lam * jnp.exp(means.rejected)
    sums = seq_logps(pairs)
    if reduction == "sum":
        return -sums.chosen + lam * jnp.exp(sums.rejected)
    mask = pairs.rejected_mask
    if reduction == "token":
        probs = jnp.exp(masked(pairs.rejected, mask, fill=-1.0))
        return -sums.chosen + lam * jnp.sum(masked(probs, mask), axis=-1)
    mean_rejected = jnp.sum(sums.rejected) / batch_tokens(mask)
    rewarded = sums.chosen * batch_size(pairs) / batch_tokens(pairs.chosen_mask)
    return -rewarded + lam * jnp.exp(mean_rejected)
