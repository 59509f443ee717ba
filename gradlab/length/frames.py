"""The two tables of `gradlab length`: one row per pair and loss, one row per loss."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from gradlab.comparison.weighing import LossWeights
from gradlab.inputs.scored import SIDES, ScoredPairs
from gradlab.losses import BoundLoss
from gradlab.measures import (
    averages_tokens,
    length_r_squared,
    length_weights,
    margin,
    padding_effect,
    partial_rank_correlation,
)
from gradlab.measures.length import Padding
from gradlab.tables import estimate, select
from gradlab.types import PairLogps, PairWeights

# column of the summary -> (what of the pairs table, its length, held constant)
CORRELATIONS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "rho_mass_length": ("mass", "length", ()),
    "rho_margin": ("margin", "length_gap", ()),
    "rho_margin_partial": ("margin", "length_gap", ("token_gap",)),
    "rho_slope": ("slope", "length_gap", ()),
    "rho_slope_partial": ("slope", "length_gap", ("token_gap",)),
}
KINDS: tuple[Padding, Padding] = ("neutral", "typical")
ROUNDING = 1e-13
CONSTANT = 1e-9  # relative: what varies less is rounding


def pair_frame(
    scored: ScoredPairs, weighed: Sequence[LossWeights], *, padding: int, seed: int
) -> pd.DataFrame:
    """One row per loss and pair.

    Columns:
      loss, pair, row
      length_chosen, length_rejected, length_gap: tokens; the gap is chosen - rejected.
      averaged: whether the loss averages over tokens (`averages_tokens`).
      reference: whether it reads the reference (`reads_reference`).
      margin: what such a loss compares: the sides' difference in log-ratio, or in
        log-probability where it reads no reference; summed (nats) or, if `averaged`,
        per token.
      slope: |c|, the size of dL/dmargin.
      token_gap: the sides' difference per token, of what `margin` is made of.
      weight_*: mean |w| over a side's tokens; mass_*: its sum. Loss per nat.
      neutral_*, typical_*: change of the loss per token appended to that side; typical
        tokens have the response's mean log-probabilities, neutral ones a log-ratio of
        0.
    """
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        pairs = scored.logps(seed=seed)
        parts = [_of_loss(scored, pairs, weights, padding) for weights in weighed]
    return pd.concat(parts, ignore_index=True)


def _of_loss(
    scored: ScoredPairs, pairs: PairLogps, weights: LossWeights, padding: int
) -> pd.DataFrame:
    loss = weights.loss
    averaged, reference = averages_tokens(loss), reads_reference(loss, pairs)
    given = PairWeights(*(jnp.asarray(weights.weights[side]) for side in SIDES))
    found = length_weights(given, pairs)
    counts = {side: getattr(scored, side).mask.sum(1) for side in SIDES}
    columns = {
        "loss": loss.label,
        "pair": np.arange(len(scored.rows)),
        "row": scored.rows,
        **{f"length_{side}": counts[side] for side in SIDES},
        "length_gap": counts["chosen"] - counts["rejected"],
        "averaged": averaged,
        "reference": reference,
        "margin": margin(pairs, averaged=averaged, reference=reference),
        "slope": jnp.abs(found.slope_averaged if averaged else found.slope_summed),
        "token_gap": margin(pairs, averaged=True, reference=reference),
        **{f"weight_{side}": getattr(found.per_token, side) for side in SIDES},
        **{f"mass_{side}": getattr(found.mass, side) for side in SIDES},
    }
    columns |= _padding(loss, pairs, padding)
    return pd.DataFrame(
        {k: np.asarray(v) if hasattr(v, "shape") else v for k, v in columns.items()}
    )


def _padding(loss: BoundLoss, pairs: PairLogps, count: int) -> dict[str, jax.Array]:
    """Change of the loss per appended token, by kind and side, [N] each."""

    @jax.jit
    def changes(pairs: PairLogps) -> dict[str, jax.Array]:
        return {
            f"{kind}_{side}": _exact(
                padding_effect(loss, pairs, side, count, kind=kind).value_change
            )
            for kind in KINDS
            for side in SIDES
        }

    return changes(pairs)


def _exact(change: jax.Array) -> jax.Array:
    """0 where the loss changed by rounding alone."""
    return jnp.where(jnp.abs(change) < ROUNDING, 0.0, change)


def reads_reference(loss: BoundLoss, pairs: PairLogps) -> bool:
    """Whether the loss reads the reference; a user's own function is tried out.

    Moving every reference log-probability of the chosen side by a nat changes the loss
    of some pair, if the loss reads them.
    """
    if loss.info is not None or loss.needs_reference:
        return loss.needs_reference
    assert pairs.ref_chosen is not None
    moved = replace(pairs, ref_chosen=pairs.ref_chosen - 1.0)
    return bool(jnp.any(loss(moved) != loss(pairs)))


def summary_frame(
    pairs: pd.DataFrame, weighed: Sequence[LossWeights], *, draws: int, seed: int
) -> pd.DataFrame:
    """One row per loss.

    Columns:
      loss, averaged, reference: as in the pairs table; pairs: how many.
      coupled: whether one pair's loss depends on the others of the batch.
      rho_mass_length: rank correlation of a response's mass with its length, over the
        responses of both sides.
      rho_margin, rho_slope: of margin and |c| with the length difference; _partial:
        given the difference per token.
      mass_exponent: a in mass_chosen / mass_rejected = (L_w / L_l)^a, by least squares
        over pairs: 1 where a side's mass grows with its length, 0 where it doesn't; NaN
        where all lengths are equal or a side has no mass.
      r2_length: share of the margin's variance over pairs that the length difference
        explains, through the origin; the margin is then that of the implicit rewards.
        NaN without a reference.
      neutral_*, typical_*: means over pairs.
      *_low, *_high: 95 % intervals, pairs resampled. NaN: constant, so no correlation.
    """
    rows = []
    for weights in weighed:
        own = select(pairs, loss=weights.loss.label)
        rows.append(_summary_row(own, weights.loss, draws, seed))
    return pd.DataFrame(rows)


def _summary_row(own: pd.DataFrame, loss: BoundLoss, draws: int, seed: int) -> dict:
    row: dict[str, Any] = {
        "loss": loss.label,
        "pairs": len(own),
        "averaged": bool(own["averaged"].iloc[0]),
        "reference": bool(own["reference"].iloc[0]),
        "coupled": loss.couples_batch,
    }

    def put(name: str, values: np.ndarray, statistic: Callable) -> None:
        found = estimate([values], statistic, draws=draws, seed=seed)
        row[name], row[f"{name}_low"] = found.effect, found.boot_low
        row[f"{name}_high"] = found.boot_high

    for name, (quantity, length, given) in CORRELATIONS.items():
        if quantity == "mass":
            values = np.stack(
                [own[[f"mass_{s}", f"length_{s}"]].to_numpy(float) for s in SIDES], 1
            )
            put(name, _levelled(values), _over_responses)
        else:
            values = own[[quantity, length, *given]].to_numpy(float)
            put(name, _levelled(values), partial_rank_correlation)
    put("mass_exponent", _log_ratios(own), _exponent)
    put("r2_length", _rewards(own), length_r_squared)
    for kind in KINDS:
        for side in SIDES:
            row[f"{kind}_{side}"] = own[f"{kind}_{side}"].mean()
    return row


def _levelled(values: np.ndarray) -> np.ndarray:
    """Columns that vary by rounding alone made constant, so that they have no ranks."""
    flat = values.reshape(-1, values.shape[-1])
    still = np.ptp(flat, axis=0) <= CONSTANT * np.abs(flat).max(axis=0)
    return np.where(still, flat[0], values)


def _over_responses(values: np.ndarray) -> np.ndarray:
    """[draws, pairs, sides, 2] -> rank correlation over all responses."""
    flat = values.reshape(len(values), -1, 2)
    return partial_rank_correlation(flat)


def _log_ratios(own: pd.DataFrame) -> np.ndarray:
    """[pairs, 2] log ratio of the masses, and of the lengths, of the two sides."""
    columns = []
    for what in ("mass", "length"):
        one, two = (own[f"{what}_{side}"].to_numpy(float) for side in SIDES)
        known = (one > 0) & (two > 0)
        ratio = np.log(np.where(known, one, np.nan) / np.where(known, two, np.nan))
        # Equal masses differ in their last digits.
        columns.append(np.where(np.abs(ratio) < CONSTANT, 0.0, ratio))
    return np.stack(columns, axis=-1)


def _exponent(values: np.ndarray) -> np.ndarray:
    """a in mass ratio = length ratio ** a, by least squares: [draws]."""
    mass, length = values[..., 0], values[..., 1]
    scale = (length**2).sum(1)
    return (mass * length).sum(1) / np.where(scale > 0, scale, np.nan)


def _rewards(own: pd.DataFrame) -> np.ndarray:
    """[pairs, 2, 2] implicit reward and length of both responses, NaN without one."""
    gap = np.where(own["reference"], own["margin"], np.nan)
    lengths = [own[f"length_{side}"].to_numpy(float) for side in SIDES]
    rewards = np.stack([gap, np.zeros(len(own))], axis=1)
    return np.stack([rewards, np.stack(lengths, axis=1)], axis=-1)
