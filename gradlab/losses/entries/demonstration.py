"""Losses of demonstrations against samples."""

from gradlab.losses import demonstration
from gradlab.losses.closed_form import demonstration as demonstration_weights
from gradlab.losses.info import REFERENCE, LossInfo

DEMONSTRATION: dict[str, LossInfo] = {
    "spin": LossInfo(
        demonstration.spin,
        family="demonstration",
        formula="-log s(beta h)",
        citation="chen2024selfplay",
        closed_form=demonstration_weights.spin_weights,
        defaults_source="beta: as of dpo; link: choice",
        needs_fields=REFERENCE,
    ),
    "gsil": LossInfo(
        demonstration.gsil,
        family="demonstration",
        formula="real(scale a + shift) + generated(scale b + shift)",
        citation="xiao2024leverage",
        closed_form=demonstration_weights.gsil_weights,
        defaults_source="scale: the released script; shift, kind, exp_clip: choice",
        needs_fields=REFERENCE,
    ),
    "dil": LossInfo(
        demonstration.dil,
        family="demonstration",
        formula="-e^a + e^(2b)/2",
        citation="xiao2025connection",
        closed_form=demonstration_weights.dil_weights,
        defaults_source="kind, exp_clip: choice",
        needs_fields=REFERENCE,
    ),
}
