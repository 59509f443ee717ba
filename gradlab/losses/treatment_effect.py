"""Likelihood losses of CausalDialogue: the average effect of a response's probability.

Symbols as in `gradlab.losses.likelihood`.
"""

import jax.numpy as jnp

from gradlab.losses.checks import check_choice
from gradlab.losses.terms import (
    batch_share,
    batch_tokens,
    masked,
    mean_logps,
    seq_logps,
)
from gradlab.types import Array, PairLogps


def mate(pairs: PairLogps, *, lam: float = 0.05, reduction: str = "mean") -> Array:
    """MATE: likelihood of the chosen minus a constant pull on the rejected.

    Formula:
        mean   L = -A_w + lam A_l
        sum    L = -S_w + lam S_l
        batch  L = -B S_w / N_w + lam B S_l / N_l, with N the tokens of the whole batch

    Gradient:
        mean   G_w,t = -1/L_w   G_l,t = lam/L_l
        sum    G_w,t = -1       G_l,t = lam
        batch  G_w,t = -B/N_w   G_l,t = lam B/N_l

    Args:
      pairs: token log-probabilities.
      lam: weight of the penalty (`mate_coef` in the released code).
      reduction: "mean", "sum" or "batch". "batch" couples pairs through N_w and N_l.

    Returns:
      [B] nats ("sum") or nats per token. Unbounded below: the pull on a rejected token
      doesn't fade as its probability goes to 0.

    Raises:
      LossInputError: unknown reduction, or arrays of unequal shape.

    Conventions:
        The released code (Pascalson/CausalDialogue 0c2ea26) is the "batch" form; its
        `mate_coef` is 0.05. The DPO paper's baseline "Unlikelihood" is the "sum" form
        (read in a summary).

    Example:
      >>> f"{mate(example_pair())[0]:.4f}"
      '1.4250'

    References:
      Tuan et al., CausalDialogue: Modeling Utterance-level Causality in Conversations,
      arXiv:2212.10515 (Findings of ACL 2023).
    """
    check_choice("mate", "reduction", reduction, ("mean", "sum", "batch"))
    if reduction == "mean":
        means = mean_logps(pairs)
        return -means.chosen + lam * means.rejected
    sums = seq_logps(pairs)
    if reduction == "sum":
        return -sums.chosen + lam * sums.rejected
    return -batch_share(sums.chosen, pairs, pairs.chosen_mask) + lam * batch_share(
        sums.rejected, pairs, pairs.rejected_mask
    )


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
        Only the "batch" form is confirmed by released code (Pascalson/CausalDialogue
        0c2ea26); the other three are inferred readings of the same idea. Its negatives
        are responses of another branch of the same dialogue, paired at random.
        Since -log(1 - P) = P + P^2/2 + ..., "sum" is the first-order part of
        `unlikelihood_sequence` and "token" of `unlikelihood_token`.
        The "sum" form underflows: its penalty is 0 in float32 once S_l < -103, which a
        few dozen tokens reach, and the loss is then plain MLE.
        With "batch" the weights of all rejected tokens of the batch are equal.

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
    rewarded = batch_share(sums.chosen, pairs, pairs.chosen_mask)
    return -rewarded + lam * jnp.exp(mean_rejected)
