"""Losses of single responses."""

from gradlab.losses import unpaired
from gradlab.losses.closed_form import unpaired as unpaired_weights
from gradlab.losses.info import REFERENCE, LossInfo

UNPAIRED: dict[str, LossInfo] = {
    "kto": LossInfo(
        unpaired.kto,
        family="unpaired",
        formula="[lam_d s(beta (z0 - a)) + lam_u s(beta (b - z0))] / 2",
        citation="ethayarajh2024kto",
        closed_form=unpaired_weights.kto_weights,
        defaults_source="beta, lam_d, lam_u: TRL and HALOs",
        needs_fields=(*REFERENCE, "kl_logratios"),
        couples_batch=True,
    ),
    "kto_pair": LossInfo(
        unpaired.kto_pair,
        family="unpaired",
        formula="[s(beta (K_l - a)) + s(beta (b - K_w))] / 2",
        citation="ethayarajh2024kto",
        closed_form=unpaired_weights.kto_pair_weights,
        defaults_source="beta: as of kto; detach_kl: as in the codes",
        needs_fields=REFERENCE,
        couples_batch=True,
        stops_gradient=("detach_kl", True),
    ),
}
