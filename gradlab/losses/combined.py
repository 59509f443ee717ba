"""Named sums of DPO and a likelihood loss. `weighted_sum` builds any other.

Symbols as in `gradlab.losses.dpo` and `gradlab.losses.likelihood`; x = beta h.
"""

from gradlab.losses.checks import check_choice
from gradlab.losses.dpo import dpo
from gradlab.losses.likelihood import mle
from gradlab.losses.treatment_effect import exmate
from gradlab.types import Array, PairLogps


def dpo_mle(
    pairs: PairLogps,
    *,
    beta: float = 0.1,
    weight: float = 1.0,
    reduction: str = "mean",
) -> Array:
    """DPO plus maximum likelihood of the chosen.

    Formula:
        L = -log s(x) + weight mle(reduction)

    Gradient:
        D_w = -beta s(-x) - weight {mean 1/L_w | sum 1 | batch B/N_w}
        D_l = +beta s(-x)

    Args:
      pairs: token log-probabilities with reference.
      beta: strength of the pull to the reference, per nat.
      weight: of the likelihood term.
      reduction: of the likelihood term, "mean", "sum" or "batch". "batch" couples pairs
        through N_w.

    Returns:
      [B].

    Raises:
      LossInputError: no reference, unknown reduction, or arrays of unequal shape.

    Conventions:
        "mean" is `irpo`; "sum" with weight = beta eta is `rpo`; "batch" is TRL 1.16's
        `["sigmoid", "sft"]`. "DPO with MLE" is a baseline of arXiv:2408.16751 by its
        abstract; whether the losses are summed there, as here, or used in stages is not
        confirmed, so that this sum is inferred and not that paper's formula. Weight 1
        and "mean" are choices made here.

    Example:
      >>> f"{dpo_mle(example_pair())[0]:.4f}"
      '2.1444'

    References:
      Inferred from Tuan & Wang, A Gradient Analysis Framework for Rewarding Good and
      Penalizing Bad Examples in Language Models, arXiv:2408.16751 (abstract).
    """
    check_choice("dpo_mle", "reduction", reduction, ("mean", "sum", "batch"))
    return dpo(pairs, beta=beta) + weight * mle(pairs, reduction=reduction)


def dpo_exmate(
    pairs: PairLogps,
    *,
    beta: float = 0.1,
    weight: float = 1.0,
    lam: float = 0.05,
    reduction: str = "mean",
) -> Array:
    """DPO plus ExMATE.

    Formula:
        L = -log s(x) + weight exmate(lam, reduction)

    Gradient:
        The sum of the parts; for "mean"
        G_w,t = -beta s(-x) - weight/L_w
        G_l,t = +beta s(-x) + weight (lam/L_l) exp(A_l)

    Args:
      pairs: token log-probabilities with reference.
      beta: strength of the pull to the reference, per nat.
      weight: of the ExMATE term.
      lam: weight of the penalty inside the ExMATE term.
      reduction: of the ExMATE term, "mean", "sum", "token" or "batch". "batch" couples
        pairs.

    Returns:
      [B].

    Raises:
      LossInputError: no reference, unknown reduction, or arrays of unequal shape.

    Conventions:
        That arXiv:2408.16751 combines the two is confirmed by its abstract; formula,
        weights and reduction are inferred, so that this is not that paper's formula to
        the letter. No public implementation was found.

    Example:
      >>> f"{dpo_exmate(example_pair())[0]:.4f}"
      '2.1556'

    References:
      Inferred from Tuan & Wang, A Gradient Analysis Framework for Rewarding Good and
      Penalizing Bad Examples in Language Models, arXiv:2408.16751 (abstract).
    """
    choices = ("mean", "sum", "token", "batch")
    check_choice("dpo_exmate", "reduction", reduction, choices)
    return dpo(pairs, beta=beta) + weight * exmate(pairs, lam=lam, reduction=reduction)
