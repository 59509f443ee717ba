"""Losses that correct for length, select tokens or weigh pairs."""

from gradlab.losses import length_aware, reweighted
from gradlab.losses.closed_form import length_aware as length_aware_weights
from gradlab.losses.closed_form import reweighted as reweighted_weights
from gradlab.losses.info import REFERENCE, LossInfo

LENGTH_AWARE: dict[str, LossInfo] = {
    "averaged_dpo": LossInfo(
        length_aware.averaged_dpo,
        family="length_aware",
        formula="-log s(beta (a/L_w - b/L_l))",
        citation="lambert2024tulu3",
        closed_form=length_aware_weights.averaged_dpo_weights,
        defaults_source="beta: Tulu 3, released configuration",
        needs_fields=REFERENCE,
    ),
    "rdpo": LossInfo(
        length_aware.rdpo,
        family="length_aware",
        formula="-log s(beta h + alpha (L_w - L_l))",
        citation="park2024disentangling",
        closed_form=length_aware_weights.rdpo_weights,
        defaults_source="alpha: script of the SamPO repository; beta: as of dpo",
        needs_fields=REFERENCE,
    ),
    "lddpo": LossInfo(
        length_aware.lddpo,
        family="length_aware",
        formula="-log s(beta h), tokens beyond the shorter length weighing alpha",
        citation="liu2024length",
        closed_form=length_aware_weights.lddpo_weights,
        defaults_source="alpha: no source recorded; beta: as of dpo",
        needs_fields=REFERENCE,
    ),
    "sampo": LossInfo(
        reweighted.sampo,
        family="length_aware",
        formula="-log s(beta h) on min(L_w, L_l) drawn tokens of each side",
        citation="lu2024eliminating",
        closed_form=reweighted_weights.sampo_weights,
        defaults_source="beta: as of dpo; shared_indices: choice",
        needs_fields=(*REFERENCE, "chosen_keep", "rejected_keep"),
        draws_fields=("key", ("chosen_keep", "rejected_keep")),
    ),
    "wpo": LossInfo(
        reweighted.wpo,
        family="length_aware",
        formula="-W log s(beta h), W = min(1, u_w u_l) held constant",
        citation="zhou2024wpo",
        closed_form=reweighted_weights.wpo_weights,
        defaults_source="beta, clamp: the authors' code",
        needs_fields=(*REFERENCE, "chosen_logsumsq", "rejected_logsumsq"),
        stops_gradient=True,
    ),
}
