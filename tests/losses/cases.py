"""The settings under which every loss is tested, and batches to test it on."""

import itertools

from gradlab.losses import LOSSES
from gradlab.losses import random_pairs as random_pairs

# B, T, T' of random_pairs: they differ, so that a mixed-up axis can't go unnoticed.
B, T_CHOSEN, T_REJECTED = 3, 5, 7

_DROPS = ("sequence", "token_mean", "tokenwise")
_BUDGETS = ((1.0, 0.0), (5.0, 0.1))
_BASES = ("simpo(gamma=1.0)", "wpo(beta=0.1)", "exmate(reduction=batch)")
_BUDGETED = [
    *(
        {"lam": lam, "delta": delta, "beta": 0.3, "drop": drop}
        for drop, (lam, delta) in itertools.product(_DROPS, _BUDGETS)
    ),
    {"lam": 1.0, "delta": 0.1, "shape": "squared"},
    {"lam": 1.0, "delta": 0.1, "shape": "softplus", "drop": "tokenwise"},
    *({"lam": 1.0, "delta": 0.1, "base": base} for base in _BASES),
    {"lam": 2.0, "delta": 0.1, "base": "ipo", "drop": "token_mean"},
]

# A loss is tested at its defaults, if it has them, and at each of these.
VARIANTS: dict[str, list[dict]] = {
    "mle": [{"reduction": r} for r in ("mean", "batch")],
    "unlikelihood_token": [
        {"reduction": "mean", "alpha": 0.5},
        {"min_one_minus_p": 0.1},
    ],
    "unlikelihood_sequence": [{"alpha": 0.3}],
    "mate": [{"reduction": r, "lam": 0.5} for r in ("mean", "sum", "batch")],
    "exmate": [{"reduction": r, "lam": 0.7} for r in ("mean", "sum", "token", "batch")],
    "dpo": [{"beta": 0.5, "label_smoothing": 0.2}],
    "cdpo": [{"beta": 0.5, "label_smoothing": 0.3}],
    "robust_dpo": [{"beta": 0.5, "label_smoothing": 0.3}, {"label_smoothing": 0.0}],
    "ipo": [{"tau": 0.5}, {"reduction": "mean"}],
    "averaged_ipo": [{"tau": 0.5}],
    "hinge": [{"beta": 1.5}],
    "exo_pair": [{"beta": 0.5, "label_smoothing": 0.2}],
    "nca_pair": [{"beta": 0.5}],
    "infonca": [{"beta": 0.3, "q": 0.8}, {"q": 0.0}],
    "bco_pair": [{"beta": 0.5, "baseline": b} for b in (0.25, "batch_mean")],
    "sppo_hard": [{"beta": 0.1}],
    "aot": [{"beta": 0.3, "label_smoothing": 0.1}],
    "aot_unpaired": [{"beta": 0.3, "label_smoothing": 0.1}],
    "apo_zero": [{"beta": 0.5}],
    "apo_down": [{"beta": 0.5}],
    "discopop": [{"beta": 0.2, "tau": 0.5}, {"beta": 1.0, "tau": 1.0}],
    "f_dpo": [
        {"divergence": "forward_kl", "beta": 0.5},
        {"divergence": "js", "beta": 0.5},
        {"divergence": "alpha", "beta": 0.5, "alpha": 0.3},
        {"divergence": "alpha", "alpha": 0.9, "exp_clip": 20.0},
    ],
    "slic": [
        {"delta": 2.0, "beta": 0.5, "lam": 0.3, "regularizer": "mean"},
        {"lam": 0.0},
    ],
    "simpo": [{"gamma_beta_ratio": 0.7, "label_smoothing": 0.1}],
    "cpo": [
        {"alpha": 0.5, "nll_reduction": "sum", "label_smoothing": 0.1},
        {"beta": 0.5, "nll_reduction": "batch"},
    ],
    "orpo": [{"lam": 1.0}],
    "alphapo": [{"alpha": a, "beta": 2.0, "gamma": 0.5} for a in (-0.5, 0.0)],
    "averaged_dpo": [{"reference_averaged": False}, {"beta": 0.5}],
    "rdpo": [{"beta": 0.5, "alpha": 0.2}],
    "lddpo": [
        {"beta": 0.5, "alpha": 0.25, "weight_reference": w} for w in (True, False)
    ],
    "sampo": [{"beta": 0.5}, {"key": 3}, {"key": 4, "shared_indices": False}],
    "wpo": [
        {"beta": 0.5, "clamp": False},
        {"beta": 0.1, "label_smoothing": 0.1},
    ],
    "dpop": [{"beta": 0.1, "lam": 5.0}],
    "dpop_outside": [{"beta": 0.3, "lam": 5.0}],
    "dpop_inside_nobeta": [{"beta": 0.1, "lam": 0.5}],
    "rpo": [{"beta": 0.1, "eta": 0.5}],
    "irpo": [{"beta": 0.5, "alpha": 0.25}],
    "dpo_mle": [{"beta": 0.5, "weight": 0.2, "reduction": r} for r in ("sum", "batch")],
    "dpo_exmate": [
        {"beta": 0.5, "weight": 0.5, "lam": 0.7, "reduction": r}
        for r in ("sum", "token", "batch")
    ],
    **dict.fromkeys(("bcr_added", "bcr_inside"), _BUDGETED),
    "cal_dpo": [{"beta": 0.1, "calibration_weight": 1.0}],
    "dpo_shift": [{"beta": 0.5, "f": 0.95}],
    "bpo": [{"beta": 0.5, "alpha": 1.0}],
    "flexdpo": [{"beta_pos": 0.5, "beta_neg": 0.2}],
    "spin": [{"beta": 0.5, "link": "hinge"}],
    "gsil": [
        {"kind": kind, "scale": 0.3, "shift": shift}
        for kind, shift in (
            ("bernoulli", 0.5),
            ("logistic", 0.0),
            ("brier", 0.5),
            ("hinge", 0.5),
            ("kliep", 0.0),
            ("lsif", 0.5),
        )
    ],
    "dil": [{"kind": "bce"}, {"kind": "ukl"}],
    "kto": [{"beta": 0.5, "lam_d": 1.33, "lam_u": 0.8}],
    "kto_pair": [{"beta": 0.5}, {"beta": 0.5, "detach_kl": True}],
}


def settings() -> list[tuple[str, dict]]:
    """Every loss at its defaults, where it has them, and at its variants."""
    return [
        (name, hyper)
        for name, info in LOSSES.items()
        for hyper in [*([] if info.required else [{}]), *VARIANTS[name]]
    ]


def one_setting(name: str) -> dict:
    """The defaults of a loss, or its first variant if it has none."""
    return VARIANTS[name][0] if LOSSES[name].required else {}


def setting_id(value) -> str:
    if isinstance(value, dict):
        return ",".join(f"{k}={v}" for k, v in value.items()) or "defaults"
    return str(value)
