"""Random ragged batches, and the settings under which every loss is tested."""

import itertools

import jax.numpy as jnp
import numpy as np

from gradlab.losses import LOSSES
from gradlab.types import PairLogps

# B, T, T' differ pairwise, so that a mixed-up axis can't go unnoticed.
B, T_CHOSEN, T_REJECTED = 3, 5, 7

# Keyword values to cross; a loss is tested at its defaults and at each of these.
VARIANTS: dict[str, list[dict]] = {
    "mle": [{"reduction": r} for r in ("mean", "batch")],
    "unlikelihood_token": [
        {"reduction": "mean", "alpha": 0.5},
        {"min_one_minus_p": 0.1},
    ],
    "exmate": [
        {"reduction": r, "lam": lam}
        for r, lam in itertools.product(("mean", "sum", "token", "batch"), (0.05, 0.7))
    ],
    "dpo": [{"beta": 0.5, "label_smoothing": 0.2}],
    "ipo": [{"tau": 0.5}, {"reduction": "mean"}],
    "hinge": [{"beta": 1.5}],
    "averaged_dpo": [{"reference_averaged": False}, {"beta": 0.5}],
    "slic": [{"delta": 2.0, "beta": 0.5, "lam": 0.3, "regularizer": "mean"}],
    "simpo": [{"gamma_beta_ratio": 0.7, "label_smoothing": 0.1}],
    "orpo": [{"lam": 1.0}],
    "dpop": [{"beta": 0.1, "lam": 5.0}],
    "rpo": [{"beta": 0.1, "eta": 0.5}],
}


def settings() -> list[tuple[str, dict]]:
    """Every loss at its defaults and at its variants."""
    return [(name, h) for name in LOSSES for h in [{}, *VARIANTS.get(name, [])]]


def setting_id(value) -> str:
    if isinstance(value, dict):
        return ",".join(f"{k}={v}" for k, v in value.items()) or "defaults"
    return str(value)


def random_pairs(
    seed: int, *, batch: int = B, dtype=jnp.float64, left_padding: bool = False
) -> PairLogps:
    """A ragged batch of log-probabilities with a nearby reference."""
    rng = np.random.default_rng(seed)
    fields = {}
    for side, width in (("chosen", T_CHOSEN), ("rejected", T_REJECTED)):
        logps = -rng.exponential(1.0, (batch, width)) - 1e-3
        lengths = rng.integers(1, width + 1, (batch, 1))
        steps = np.arange(width)[::-1] if left_padding else np.arange(width)
        ref = np.minimum(logps + rng.normal(0, 0.5, logps.shape), -1e-3)
        fields[side] = jnp.asarray(logps, dtype)
        fields[f"{side}_mask"] = jnp.asarray(steps < lengths, dtype)
        fields[f"ref_{side}"] = jnp.asarray(ref, dtype)
        fields[f"{side}_logsumsq"] = jnp.asarray(
            -rng.exponential(1.0, logps.shape), dtype
        )
        keep = (steps < lengths) & (rng.random(logps.shape) < 0.7)
        fields[f"{side}_keep"] = jnp.asarray(keep, dtype)
    return PairLogps(**fields, kl_logratios=jnp.asarray(rng.normal(0, 1, 6), dtype))
