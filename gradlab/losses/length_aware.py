"""Losses that correct for the length of the responses.

Symbols as in `gradlab.losses.dpo`; L_w, L_l are the lengths in tokens.
"""

import jax
import jax.numpy as jnp

from gradlab.losses.checks import require
from gradlab.losses.terms import (
    Sides,
    lengths,
    log_ratios,
    logistic_loss,
    masked,
    mean_log_ratios,
    mean_logps,
    ref_seq_logps,
)
from gradlab.types import Array, PairLogps


def averaged_dpo(
    pairs: PairLogps, *, beta: float = 5.0, reference_averaged: bool = True
) -> Array:
    """DPO on log-ratios per token (length-normalised DPO).

    Formula:
        m = beta (a/L_w - b/L_l);  L = -log s(m)
        With `reference_averaged=False`: m = beta [(A_w - R_w) - (A_l - R_l)], the
        policy averaged, the reference summed.

    Gradient:
        c = -beta s(-m); G_w,t = c/L_w, G_l,t = -c/L_l, in both settings.

    Args:
      pairs: token log-probabilities with reference.
      beta: tokens per nat. 5 is Tulu 3's value; at equal lengths L,
        averaged_dpo(beta L) equals dpo(beta).
      reference_averaged: average the reference too.

    Returns:
      [B].

    Raises:
      LossInputError: no reference, or arrays of unequal shape.

    Conventions:
        TRL 1.16 `sigmoid_norm` and open-instruct e6c3044 `dpo_norm` are the default
        form; TRL's shared default beta of 0.1 is tiny for an averaged margin. That this
        is the loss of arXiv:2406.19188 or LN-DPO (arXiv:2407.15229) is inferred: the
        abstract of the former doesn't say whether the reference is averaged, and
        `reference_averaged=False` is the other possible reading.

    Example:
      >>> f"{averaged_dpo(example_pair())[0]:.4f}"
      '0.1174'

    References:
      Lambert et al., Tulu 3, arXiv:2411.15124, Eq. 6.
      Grinsztajn et al., Averaging log-likelihoods in direct alignment,
      arXiv:2406.19188.
    """
    if reference_averaged:
        a, b = mean_log_ratios(pairs, "averaged_dpo")
        return logistic_loss(beta * (a - b))
    ref = ref_seq_logps(pairs, "averaged_dpo")
    chosen, rejected = mean_logps(pairs)
    return logistic_loss(beta * ((chosen - ref.chosen) - (rejected - ref.rejected)))


sigmoid_norm = averaged_dpo


def rdpo(pairs: PairLogps, *, beta: float = 0.1, alpha: float = 0.01) -> Array:
    """R-DPO: DPO with the difference of lengths in the margin.

    Formula:
        m = beta h + alpha (L_w - L_l); L = -log s(m)

    Gradient:
        D_w = -beta s(-m), D_l = -D_w. A longer chosen response weighs less.

    Args:
      pairs: token log-probabilities with reference.
      beta: strength of the pull to the reference, per nat.
      alpha: weight of the length difference, per token.

    Returns:
      [B].

    Raises:
      LossInputError: no reference, or arrays of unequal shape.

    Conventions:
        The sign is plus: oat c1a074c (citing Eq. 9), SamPO 25e9631 `lenN`,
        Understand_MarginPO 32d0edb `rdpo`; at least one public docstring says
        "subtract" while its code adds. Scales differ: oat writes (alpha/beta) inside
        beta, which is the same; alpha is 0.1 in SamPO's code, 0.01 in its script and
        0.2 in Understand_MarginPO. R-DPO, RPO and IRPO are three losses; LN-DPO, also
        called R-DPO at times, is `averaged_dpo`, and that iLR-DPO is this loss is
        inferred.

    Example:
      >>> f"{rdpo(example_pair())[0]:.4f}"
      '0.6492'

    References:
      Park et al., Disentangling Length from Quality in Direct Preference Optimization,
      arXiv:2403.19159.
    """
    a, b = log_ratios(pairs, "rdpo")
    counts = lengths(pairs)
    return logistic_loss(beta * (a - b) + alpha * (counts.chosen - counts.rejected))


def lddpo(
    pairs: PairLogps,
    *,
    beta: float = 0.1,
    alpha: float = 0.5,
    weight_reference: bool = True,
) -> Array:
    """LD-DPO: tokens beyond the shorter response's length count less.

    Formula:
        P = min(L_w, L_l); w_t = 1 on the first P tokens of a response, alpha after
        m = beta [sum_t w_t (logp_w - ref_w) - sum_t w_t (logp_l - ref_l)]
        L = -log s(m)
        With `weight_reference=False` the reference has weight 1: w_t logp - ref.

    Gradient:
        c = -beta s(-m); G_w,t = c w_t, G_l,t = -c w_t, in both settings.

    Args:
      pairs: token log-probabilities with reference.
      beta: strength of the pull to the reference, per nat.
      alpha: weight of the tokens in excess; 1 is `dpo`, 0 cuts them off.
      weight_reference: weight the reference like the policy.

    Returns:
      [B]; with the default log 2 where policy and reference agree.

    Raises:
      LossInputError: no reference, or arrays of unequal shape.

    Conventions:
        Reference weighted: TRL >= 0.29 (`ld_alpha`). Policy only: TRL 0.18 to 0.28 and
        LLaMA-Factory ff6d4d1; the margin is then not 0 where policy and reference
        agree. Which one the paper means is not confirmed. TRL 0.18 to 0.28 also counted
        positions from the start of the sequence, as far as reading tells. Here
        positions count response tokens only.

    Example:
      >>> f"{lddpo(example_pair())[0]:.4f}"
      '0.6444'

    References:
      Liu et al., Length Desensitization in Direct Preference Optimization,
      arXiv:2409.06411.
    """
    weights = lddpo_token_weights(pairs, alpha)
    ref = require(pairs, "lddpo", "ref_chosen", "ref_rejected")
    ratios = []
    for side, weight, ref_logps in zip(
        ("chosen", "rejected"), weights, ref, strict=True
    ):
        mask = getattr(pairs, f"{side}_mask")
        frozen = jax.lax.stop_gradient(masked(ref_logps, mask))
        policy = weight * masked(getattr(pairs, side), mask)
        frozen = weight * frozen if weight_reference else frozen
        ratios.append(jnp.sum(policy - frozen, axis=-1))
    return logistic_loss(beta * (ratios[0] - ratios[1]))


def lddpo_token_weights(pairs: PairLogps, alpha: float) -> Sides:
    """w_t on both sides: 1 up to the shorter length, alpha after, 0 off the mask."""
    counts = lengths(pairs)
    shorter = jnp.minimum(counts.chosen, counts.rejected)[..., None]

    def weights(mask: Array) -> Array:
        inside = jnp.asarray(mask, bool)
        nth = jnp.cumsum(inside, axis=-1)
        return masked(jnp.where(nth <= shorter, 1.0, alpha).astype(shorter.dtype), mask)

    return Sides(weights(pairs.chosen_mask), weights(pairs.rejected_mask))
