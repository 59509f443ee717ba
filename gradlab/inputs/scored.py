"""Pairs after scoring: everything that the comparison of losses reads."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from gradlab.types import PairLogps

SIDES = ("chosen", "rejected")


@dataclass(frozen=True)
class ScoredSide:
    """One side of N pairs under policy and reference; rows are padded on the right.

    Attributes:
      ids: [N, L] token ids.
      mask: [N, L] True on response tokens.
      logps: [N, L] policy log-probability of each token, in nats.
      ref_logps: [N, L] likewise under the reference.
      entropy: [N, L] of the policy's next-token distribution, in nats.
      log_sum_sq: [N, L] log sum_v p_v^2 under the policy.
      max_logp: [N, L] log-probability of the policy's most likely token.
      argmax: [N, L] its id.
    """

    ids: np.ndarray
    mask: np.ndarray
    logps: np.ndarray
    ref_logps: np.ndarray
    entropy: np.ndarray
    log_sum_sq: np.ndarray
    max_logp: np.ndarray
    argmax: np.ndarray


@dataclass(frozen=True)
class ScoredPairs:
    """N scored pairs.

    Attributes:
      chosen: the preferred responses.
      rejected: the dispreferred ones.
      rows: [N] the pairs' rows in their source, from 1.
      kl_logratios: [N] summed log-ratios of each prompt with the next pair's chosen
        response, for losses that estimate a KL (KTO); None if not scored.
      unknown: statistics that nobody computed; their arrays hold NaN.
    """

    chosen: ScoredSide
    rejected: ScoredSide
    rows: np.ndarray
    kl_logratios: np.ndarray | None = None
    unknown: frozenset[str] = frozenset()

    def logps(self, *, seed: int = 0) -> PairLogps:
        """The pairs as losses take them, in float64 where that is enabled.

        Args:
          seed: of the draw that SamPO keeps; the draw is shared by policy and
            reference.
        """
        dtype = float  # float64 where that is enabled, else float32
        keep = kept_tokens(self.chosen.mask, self.rejected.mask, seed)
        fields = {}
        for name, side, kept in zip(
            SIDES, (self.chosen, self.rejected), keep, strict=True
        ):
            fields[name] = jnp.asarray(side.logps, dtype)
            fields[f"{name}_mask"] = jnp.asarray(side.mask)
            if "ref_logps" not in self.unknown:
                fields[f"ref_{name}"] = jnp.asarray(side.ref_logps, dtype)
            if "log_sum_sq" not in self.unknown:
                fields[f"{name}_logsumsq"] = jnp.asarray(side.log_sum_sq, dtype)
            fields[f"{name}_keep"] = jnp.asarray(kept, dtype)
        if self.kl_logratios is not None:
            fields["kl_logratios"] = jnp.asarray(self.kl_logratios, dtype)
        return PairLogps(**fields)


def kept_tokens(
    chosen_mask: np.ndarray, rejected_mask: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Down-samples the longer response of each pair to the length of the shorter.

    Args:
      chosen_mask: [N, L] True on response tokens.
      rejected_mask: [N, L'] likewise.
      seed: of the uniform draw without replacement.

    Returns:
      Two boolean arrays of the same shapes with min(L_w, L_l) tokens a row.
    """
    rng = np.random.default_rng(seed)
    most = np.minimum(chosen_mask.sum(1), rejected_mask.sum(1))[:, None]

    def draw(mask: np.ndarray) -> np.ndarray:
        keys = np.where(mask, rng.random(mask.shape), np.inf)
        return mask & (keys.argsort(1).argsort(1) < most)

    return draw(chosen_mask), draw(rejected_mask)
