"""The losses of the study: how a table calls them, and how the library does.

A pointwise member is a pair of losses l_1 of the demonstration's z and l_-1 of the
generated response's, with z = scale log(pi / pi_t) + shift. It is strictly proper where
l_-1'(z) = -e^z l_1'(z): both sides then balance at z = log(p_data / p_generated).
"""

from functools import partial

import jax.numpy as jnp

from gradlab.losses.terms import log_ratios
from gradlab.types import Array, LossFn, PairLogps

Loss = str | LossFn  # as `gradlab.losses.resolve` reads it


def exponential(
    pairs: PairLogps, *, scale: float = 0.1, shift: float = 0.0, rate: float = 1.0
) -> Array:
    """One more pair of convex functions: e^(-rate z_w) + e^(rate z_l).

    Args:
      pairs: token log-probabilities with reference.
      scale: of the log-ratios, per nat.
      shift: added to the scaled log-ratios.
      rate: 1/2 is strictly proper; 1 estimates half of the log-ratio.

    Returns:
      [B].
    """
    a, b = log_ratios(pairs, "exponential")
    demonstration = jnp.exp(-rate * (scale * a + shift))
    return demonstration + jnp.exp(rate * (scale * b + shift))


GSIL: dict[str, Loss] = {
    kind: f"gsil(kind={kind})"
    for kind in ("bernoulli", "brier", "hinge", "kliep", "lsif")
}
EXTRA: dict[str, Loss] = {
    "exp(z/2)": partial(exponential, rate=0.5), "exp(z)": exponential
}  # fmt: skip
MEMBERS: dict[str, Loss] = GSIL | EXTRA
PROPER = ("bernoulli", "brier", "kliep", "lsif", "exp(z/2)")

# Losses of whole pairs; SPIN's beta plays the part of the scale.
COUPLED = {"spin": "spin", "spin_hinge": "spin(link=hinge)"}
LEARNERS: dict[str, Loss] = {"sft": "mle", **COUPLED, **GSIL}

# On demonstrations with corrupted copies in place of samples, each at its own settings.
ON_PAIRS = {
    "dpo": "dpo",
    "simpo": "simpo",
    "dil_lsif": "dil(kind=lsif)",
    "dil_ukl": "dil(kind=ukl)",
    "dil_bce": "dil(kind=bce)",
    "cal_dpo_half": "cal_dpo(calibration_weight=0.5)",
    "cal_dpo_one": "cal_dpo(calibration_weight=1.0)",
}


def hyper_of(loss: str, scale: Array | float, shift: Array | float) -> dict:
    """Scale and shift as the loss calls them; `sft` has neither."""
    if loss in COUPLED:
        return {"beta": scale}
    return {"scale": scale, "shift": shift} if loss in MEMBERS else {}
