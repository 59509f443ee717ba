"""How a loss depends on the lengths of the two responses.

L_w, L_l are the lengths in tokens and w = dL/dlogp the token weights. A margin loss has
one number per pair, c, its slope along the margin that it compares, and then

    summed log-probabilities    w = c on every token,     mass of a side c L
    averaged ones               w = c / L on its tokens,  mass of a side c

up to signs. Which of the two a loss is shows when every token is doubled: averaged
log-probabilities stay, summed ones double.
"""

from dataclasses import dataclass, replace
from typing import Literal

import jax
import jax.numpy as jnp

from gradlab.errors import GradlabError
from gradlab.gradients.token import value_and_token_weights
from gradlab.losses.example import random_pairs
from gradlab.losses.resolve import resolve
from gradlab.losses.reweighted import draw_kept
from gradlab.losses.terms import (
    Sides,
    lengths,
    log_ratios,
    mean_log_ratios,
    mean_logps,
    seq_logps,
    seq_sum,
)
from gradlab.types import Array, LossFn, PairLogps, PairWeights

Padding = Literal["neutral", "typical"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class LengthWeights:
    """Token weights of a pair, reduced over the tokens of each side.

    Attributes:
      per_token: mean |w| over the response's tokens, [B] a side, loss per nat.
      mass: sum of |w|, [B] a side.
      slope_summed: [B] dL/dm for the summed margin m, raised evenly by all tokens of
        both sides; c of a loss on summed log-probabilities. Negative: the loss wants a
        larger margin. In loss per nat.
      slope_averaged: [B] likewise for the margin of means; c of an averaged loss. In
        loss per nat per token.
    """

    per_token: Sides
    mass: Sides
    slope_summed: Array
    slope_averaged: Array


def length_weights(weights: PairWeights, pairs: PairLogps) -> LengthWeights:
    """What a loss's token weights come to per token and per response.

    Formula:
        slope_summed   = (mean_t w_chosen - mean_t w_rejected) / 2
        slope_averaged = (sum_t w_chosen - sum_t w_rejected) / 2

    Args:
      weights: from `gradlab.token_weights`; [B, T] and [B, T'].
      pairs: the pairs that they belong to; only the masks are used.

    Returns:
      `LengthWeights`. For DPO both means |w| equal |slope_summed|; for averaged DPO
      both masses equal |slope_averaged|.

    Example:
      >>> from gradlab import token_weights
      >>> from gradlab.losses import example_pair
      >>> found = length_weights(token_weights("dpo", example_pair()), example_pair())
      >>> found.mass.rejected / found.mass.chosen
      Array([1.5], dtype=float32)
    """
    counts = lengths(pairs)
    sums = Sides(
        seq_sum(weights.chosen, pairs.chosen_mask),
        seq_sum(weights.rejected, pairs.rejected_mask),
    )
    mass = Sides(
        seq_sum(jnp.abs(weights.chosen), pairs.chosen_mask),
        seq_sum(jnp.abs(weights.rejected), pairs.rejected_mask),
    )
    return LengthWeights(
        per_token=Sides(mass.chosen / counts.chosen, mass.rejected / counts.rejected),
        mass=mass,
        slope_summed=(sums.chosen / counts.chosen - sums.rejected / counts.rejected)
        / 2,
        slope_averaged=(sums.chosen - sums.rejected) / 2,
    )


def doubled(pairs: PairLogps) -> PairLogps:
    """The same pairs with every token twice, one beside the other: [B, 2T]."""
    twice = jax.tree.map(lambda x: jnp.repeat(x, 2, axis=-1), pairs)
    return replace(twice, kl_logratios=pairs.kl_logratios)


def doubling_change(loss: str | LossFn, pairs: PairLogps) -> Array:
    """L of the doubled pairs minus L, [B]: 0 where a loss averages over tokens."""
    bound = resolve(loss)
    return bound(doubled(pairs)) - bound(pairs)


def averages_tokens(loss: str | LossFn) -> bool:
    """Whether doubling every token leaves the loss as it is, on random pairs.

    Example:
      >>> averages_tokens("dpo"), averages_tokens("averaged_dpo")
      (False, True)
    """
    pairs = random_pairs(0, batch=8)
    scale = 1 + jnp.abs(resolve(loss)(pairs))
    return bool(jnp.all(jnp.abs(doubling_change(loss, pairs)) <= 1e-4 * scale))


def margin(pairs: PairLogps, *, averaged: bool, reference: bool) -> Array:
    """The difference between the sides that a loss of this kind compares, [B].

    Args:
      pairs: token log-probabilities; with reference if `reference`.
      averaged: mean over tokens (nats per token) instead of the sum (nats).
      reference: of the log-ratios to the reference, not of the log-probabilities.
    """
    if reference:
        found = (mean_log_ratios if averaged else log_ratios)(pairs, "the margin")
    else:
        found = (mean_logps if averaged else seq_logps)(pairs)
    return found.chosen - found.rejected


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PaddingEffect:
    """What tokens appended to one side do to a pair, [B].

    Attributes:
      value_change: change of the loss per appended token.
      weight_ratio: mean |w| of the tokens that were there before, after over before;
        NaN where it was 0.
    """

    value_change: Array
    weight_ratio: Array


def padded(
    pairs: PairLogps,
    side: str,
    count: int = 1,
    *,
    kind: Padding = "neutral",
) -> PairLogps:
    """The pairs with tokens appended to one side.

    Args:
      pairs: token log-probabilities.
      side: "chosen" or "rejected".
      count: tokens appended to each response of that side.
      kind: "neutral" tokens are as likely under the policy as under the reference, at
        the response's mean reference log-probability; "typical" ones have the
        response's means under both. Without reference the two are the same.

    Returns:
      [B, T + count] on that side.

    Raises:
      GradlabError: another side or kind, or a count below 1.
    """
    if (
        side not in ("chosen", "rejected")
        or kind not in ("neutral", "typical")
        or count < 1
    ):
        raise GradlabError(
            f"side={side!r}, kind={kind!r}, count={count}; expected chosen or rejected,"
            " neutral or typical, at least 1"
        )
    mask = getattr(pairs, f"{side}_mask")
    length = getattr(lengths(pairs), side)

    def mean(values: Array) -> Array:
        return seq_sum(values, mask) / length

    ref, policy = getattr(pairs, f"ref_{side}"), getattr(pairs, side)
    alike = ref if kind == "neutral" and ref is not None else policy
    new = {side: mean(alike), f"{side}_mask": jnp.ones_like(length)}
    if ref is not None:
        new[f"ref_{side}"] = mean(ref)
    squares = getattr(pairs, f"{side}_logsumsq")
    if squares is not None:
        new[f"{side}_logsumsq"] = mean(squares)
    if pairs.chosen_keep is not None:  # drawn anew below
        new[f"{side}_keep"] = jnp.zeros_like(length)
    grown = {
        name: _appended(getattr(pairs, name), value, count)
        for name, value in new.items()
    }
    return _drawn(replace(pairs, **grown))


def _appended(values: Array, new: Array, count: int) -> Array:
    values = jnp.asarray(values)
    tail = jnp.broadcast_to(new[..., None], (*new.shape, count))
    return jnp.concatenate([values, tail.astype(values.dtype)], axis=-1)


def _drawn(pairs: PairLogps) -> PairLogps:
    """SamPO's selection drawn anew: a token's chance number stays as it was."""
    if pairs.chosen_keep is None:
        return pairs
    kept = draw_kept(pairs, jax.random.key(0))
    return replace(pairs, chosen_keep=kept.chosen, rejected_keep=kept.rejected)


def padding_effect(
    loss: str | LossFn,
    pairs: PairLogps,
    side: str,
    count: int = 1,
    *,
    kind: Padding = "neutral",
) -> PaddingEffect:
    """How a loss answers to tokens appended to one side.

    Neutral tokens leave every sum of log-ratios alone, so summed losses don't answer;
    averaged ones see both the margin and the old tokens' weights diluted. With typical
    tokens it is the other way round.

    Args:
      loss: anything that `gradlab.losses.resolve` takes.
      pairs: token log-probabilities.
      side: as in `padded`, like the rest.
      count: appended tokens.
      kind: of them.

    Returns:
      `PaddingEffect`.

    Raises:
      GradlabError: as `padded`.

    Example:
      >>> from gradlab.losses import example_pair
      >>> padding_effect("dpo", example_pair(), "chosen").value_change
      Array([0.], dtype=float32)
    """
    base = _drawn(pairs)
    longer = padded(base, side, count, kind=kind)
    before, old = value_and_token_weights(loss, base)
    after, new = value_and_token_weights(loss, longer)
    mask = getattr(base, f"{side}_mask")
    width = mask.shape[-1]
    sizes = [seq_sum(jnp.abs(getattr(w, side)[..., :width]), mask) for w in (old, new)]
    some = sizes[0] > 0
    return PaddingEffect(
        value_change=(after - before) / count,
        weight_ratio=jnp.where(
            some, sizes[1] / jnp.where(some, sizes[0], 1.0), jnp.nan
        ),
    )
