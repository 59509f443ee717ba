"""The few data types that every layer shares, and the shape letters.

Shape letters, used in every docstring of the library:

    B  pairs in a batch          V  vocabulary size
    T  tokens (padded length)    D  hidden width
    H  attention heads           N  parameters

Log-probabilities are natural logarithms (nats) and never positive. A mask is 1 (or
True) on response tokens and 0 (or False) on prompt and padding; it is set by position,
never by comparing ids with a padding id.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax

Array = jax.Array
Params = Any  # a nested dict of arrays; any pytree works
ApplyFn = Callable[
    [Params, Array], Array
]  # (params, tokens [B, T]) -> logits [B, T, V]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PairLogps:
    """Token log-probabilities of a batch of preference pairs: all that a loss sees.

    The two sides may have different padded lengths. Entries where the mask is 0 may
    hold anything, also non-finite numbers.

    Attributes:
      chosen: [B, T] log p(y_t | prompt, y_<t) of the preferred response, in nats.
      rejected: [B, T'] the same for the dispreferred response.
      chosen_mask: [B, T] 1 on response tokens.
      rejected_mask: [B, T'] 1 on response tokens.
      ref_chosen: [B, T] the same tokens under the frozen reference policy, or None.
      ref_rejected: [B, T'] likewise.
      chosen_logsumsq: [B, T] log sum_v p_v^2 at each position (WPO only).
      rejected_logsumsq: [B, T'] likewise.
      chosen_keep: [B, T] 1 on the tokens that SamPO's draw keeps.
      rejected_keep: [B, T'] likewise.
      kl_logratios: [K] summed log-ratios of mismatched prompt-response pairs (KTO).
    """

    chosen: Array
    rejected: Array
    chosen_mask: Array
    rejected_mask: Array
    ref_chosen: Array | None = None
    ref_rejected: Array | None = None
    chosen_logsumsq: Array | None = None
    rejected_logsumsq: Array | None = None
    chosen_keep: Array | None = None
    rejected_keep: Array | None = None
    kl_logratios: Array | None = None


LossFn = Callable[..., Array]  # (pairs: PairLogps, **hyperparameters) -> [B]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PairWeights:
    """Token weights w = dL/dlogp of both sides, in loss per nat.

    Negative means that a gradient step raises the token's log-probability. Masked
    entries are exactly 0.

    Attributes:
      chosen: [B, T]
      rejected: [B, T']
    """

    chosen: Array
    rejected: Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TokenStats:
    """What one pass over the vocabulary tells about each target token.

    Attributes:
      logps: [B, T] log-probability of the target token, in nats.
      entropy: [B, T] entropy of the next-token distribution, in nats.
      log_sum_sq: [B, T] log sum_v p_v^2 (the log collision probability).
      max_logp: [B, T] log-probability of the most likely token.
      argmax: [B, T] its id (int32).
    """

    logps: Array
    entropy: Array
    log_sum_sq: Array
    max_logp: Array
    argmax: Array
