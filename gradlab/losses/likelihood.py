"""Likelihood losses: reward the good example, penalise the bad one, no reference.

Symbols: S_w, S_l are the summed log-probabilities of the chosen and the rejected
response, L_w, L_l their lengths, A = S / L the means, p_t = exp(logp_t). G_w,t and
G_l,t are the derivatives of one pair's loss with respect to one token log-probability.
"""

import jax.numpy as jnp

from gradlab.losses.checks import check_choice
from gradlab.losses.terms import (
    batch_share,
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
    return batch_share(total, pairs, pairs.chosen_mask)


sft = mle


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
        The authors' fairseq code (facebookresearch/unlikelihood_training 9444655)
        divides by the token count and clamps 1 - p at 1e-5, their GPT-2 script at
        1e-20. The baseline called "Unlikelihood" in the DPO paper maximises
        log P(y_w) - alpha log P(y_l): that is `mate`, not this loss.

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


def unlikelihood_sequence(pairs: PairLogps, *, alpha: float = 1.0) -> Array:
    """Sequence unlikelihood: push the odds of the rejected response as a whole down.

    Formula:
        L = -S_w - alpha log(1 - exp(S_l))

    Gradient:
        D_w = -1; D_l = alpha P / (1 - P) with P = exp(S_l), the same on every token.

    Args:
      pairs: token log-probabilities.
      alpha: weight of the penalty.

    Returns:
      [B] nats. Infinite where the whole rejected response has probability 1, an empty
      one included.

    Raises:
      LossInputError: arrays of unequal shape.

    Conventions:
        Underflow: D_l is 0 in float32 once S_l < -103 (float64: -745), which a few
        dozen tokens reach; the loss is then plain MLE. Inferred as the whole-sequence
        analogue of `unlikelihood_token`; no public implementation was found. What
        arXiv:1908.04319 calls "sequence-level unlikelihood" is something else: a
        token-wise penalty on repeated n-grams of the model's own continuations.

    Example:
      >>> f"{unlikelihood_sequence(example_pair())[0]:.4f}"
      '3.0112'

    References:
      Inferred from Welleck et al., Neural Text Generation with Unlikelihood Training,
      arXiv:1908.04319.
    """
    sums = seq_logps(pairs)
    return -sums.chosen - alpha * log1mexp(sums.rejected)
