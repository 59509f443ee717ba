"""Losses that correct for the length of the responses.

Symbols as in `gradlab.losses.dpo`; L_w, L_l are the lengths in tokens.
"""

from gradlab.losses.terms import (
    logistic_loss,
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
        TRL 1.16 `sigmoid_norm` and open-instruct `dpo_norm` are the default form; TRL's
        shared default beta of 0.1 is tiny for an averaged margin. That this is the loss
        of arXiv:2406.19188 or LN-DPO (arXiv:2407.15229) is inferred: the abstract of
        the former doesn't say whether the reference is averaged.

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
