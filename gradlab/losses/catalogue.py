"""The table of losses: every name that gradlab knows, and what is known of it."""

from gradlab.losses.entries.demonstration import DEMONSTRATION
from gradlab.losses.entries.dpo import DPO
from gradlab.losses.entries.length_aware import LENGTH_AWARE
from gradlab.losses.entries.likelihood import LIKELIHOOD
from gradlab.losses.entries.preserving import PRESERVING
from gradlab.losses.entries.reference_free import REFERENCE_FREE
from gradlab.losses.entries.unpaired import UNPAIRED
from gradlab.losses.info import LossInfo

LOSSES: dict[str, LossInfo] = {
    **LIKELIHOOD,
    **DPO,
    **REFERENCE_FREE,
    **LENGTH_AWARE,
    **PRESERVING,
    **DEMONSTRATION,
    **UNPAIRED,
}

ALIASES: dict[str, str] = {"sft": "mle", "sigmoid_norm": "averaged_dpo"}
