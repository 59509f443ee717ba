"""The table of losses is complete and consistent with the functions."""

import inspect
from dataclasses import fields

import pytest

from gradlab import losses
from gradlab.losses import ALIASES, LOSSES, resolve
from gradlab.losses.sources import SOURCES
from gradlab.types import PairLogps

# Names and defaults by which other software calls the losses.
DEFAULTS = {
    "mle": {"reduction": "sum"},
    "unlikelihood_token": {"alpha": 1.0, "reduction": "sum", "min_one_minus_p": None},
    "unlikelihood_sequence": {"alpha": 1.0},
    "mate": {"lam": 0.05, "reduction": "mean"},
    "exmate": {"lam": 0.05, "reduction": "mean"},
    "dpo": {"beta": 0.1, "label_smoothing": 0.0},
    "cdpo": {"beta": 0.1, "label_smoothing": 0.1},
    "robust_dpo": {"beta": 0.1, "label_smoothing": 0.1},
    "averaged_dpo": {"beta": 5.0, "reference_averaged": True},
    "ipo": {"tau": 0.1, "reduction": "sum"},
    "averaged_ipo": {"tau": 0.1},
    "hinge": {"beta": 0.1},
    "slic": {"delta": 1.0, "beta": 1.0, "lam": 0.1, "regularizer": "sum"},
    "exo_pair": {"beta": 0.1, "label_smoothing": 1e-3},
    "nca_pair": {"beta": 0.01},
    "infonca": {"beta": 0.01, "q": 1.0},
    "bco_pair": {"beta": 0.1, "baseline": 0.0},
    "sppo_hard": {"beta": 0.001},
    "aot": {"beta": 0.01, "label_smoothing": 0.0},
    "aot_unpaired": {"beta": 0.01, "label_smoothing": 0.0},
    "apo_zero": {"beta": 0.1},
    "apo_down": {"beta": 0.1},
    "discopop": {"beta": 0.05, "tau": 0.05},
    "f_dpo": {
        "beta": 0.1,
        "divergence": "reverse_kl",
        "alpha": 0.5,
        "exp_clip": 80.0,
    },
    "simpo": {
        "beta": 2.0,
        "gamma": 0.5,
        "gamma_beta_ratio": None,
        "label_smoothing": 0.0,
    },
    "cpo": {
        "beta": 0.1,
        "alpha": 1.0,
        "label_smoothing": 0.0,
        "nll_reduction": "mean",
    },
    "orpo": {"lam": 0.1},
    "alphapo": {"alpha": 0.25, "beta": 2.5, "gamma": 0.1, "exp_clip": 80.0},
    "rdpo": {"beta": 0.1, "alpha": 0.01},
    "lddpo": {"beta": 0.1, "alpha": 0.5, "weight_reference": True},
    "sampo": {"beta": 0.1, "shared_indices": True, "key": None},
    "wpo": {"beta": 0.01, "clamp": True, "label_smoothing": 0.0},
    "dpop": {"beta": 0.3, "lam": 50.0},
    "dpop_outside": {"beta": 0.1, "lam": 50.0},
    "dpop_inside_nobeta": {"beta": 0.3, "lam": 50.0},
    "rpo": {"beta": 0.01, "eta": 0.005},
    "irpo": {"beta": 0.1, "alpha": 1.0},
    "dpo_mle": {"beta": 0.1, "weight": 1.0, "reduction": "mean"},
    "dpo_exmate": {"beta": 0.1, "weight": 1.0, "lam": 0.05, "reduction": "mean"},
    "bcr_added": {"beta": 0.1, "drop": "sequence", "shape": "hinge", "base": None},
    "bcr_inside": {"beta": 0.1, "drop": "sequence", "shape": "hinge", "base": None},
    "cal_dpo": {"beta": 0.001, "calibration_weight": 0.5},
    "dpo_shift": {"beta": 0.01, "f": 0.7},
    "bpo": {"beta": 0.1, "alpha": 0.3},
    "flexdpo": {"beta_pos": 0.1, "beta_neg": 0.1},
    "spin": {"beta": 0.1, "link": "logistic"},
    "gsil": {"scale": 0.01, "shift": 0.0, "kind": "bernoulli", "exp_clip": 80.0},
    "dil": {"kind": "lsif", "exp_clip": 80.0},
    "kto": {"beta": 0.1, "lam_d": 1.0, "lam_u": 1.0},
    "kto_pair": {"beta": 0.1, "detach_kl": False},
}
REQUIRED = {"bcr_added": ("lam", "delta"), "bcr_inside": ("lam", "delta")}
WITHOUT_REFERENCE = {
    *("mle", "unlikelihood_token", "unlikelihood_sequence", "mate", "exmate"),
    *("slic", "simpo", "cpo", "orpo", "alphapo"),
}
COUPLED = {"aot", "aot_unpaired", "kto", "kto_pair"}
COUPLED_BY_A_SETTING = {"mle", "mate", "exmate", "bco_pair", "cpo"} | {
    *("dpo_mle", "dpo_exmate"),
}


def test_names_and_defaults():
    found = {
        name: {k: v for k, v in info.defaults.items() if k not in info.required}
        for name, info in LOSSES.items()
    }
    assert found == DEFAULTS
    required = {n: info.required for n, info in LOSSES.items() if info.required}
    assert required == REQUIRED


def test_every_name_is_a_function_of_the_package():
    for name, info in LOSSES.items():
        assert getattr(losses, name) is info.function
        assert info.function.__name__ == name
    for alias, name in ALIASES.items():
        assert getattr(losses, alias) is LOSSES[name].function
        assert alias not in LOSSES


def test_a_function_belongs_to_one_name():
    functions = [info.function for info in LOSSES.values()]
    assert len(set(functions)) == len(functions)


@pytest.mark.parametrize("name", LOSSES)
def test_every_row_is_filled(name):
    info = LOSSES[name]
    assert info.formula
    assert info.defaults_source
    assert info.citation in SOURCES
    assert set(info.needs_fields) <= {f.name for f in fields(PairLogps)}
    taken = inspect.signature(info.closed_form).parameters
    keywords = {n for n, p in taken.items() if p.kind is p.KEYWORD_ONLY}
    assert keywords == set(info.defaults)


def test_who_needs_what():
    spared = {n for n, info in LOSSES.items() if not info.needs_reference}
    assert spared == WITHOUT_REFERENCE
    more = {
        n: info.needs_fields[2:] for n, info in LOSSES.items() if info.needs_fields[2:]
    }
    assert more == {
        "sampo": ("chosen_keep", "rejected_keep"),
        "wpo": ("chosen_logsumsq", "rejected_logsumsq"),
        "kto": ("kl_logratios",),
    }


def test_who_couples():
    assert {n for n, i in LOSSES.items() if i.couples_batch is True} == COUPLED
    by_setting = {n for n, i in LOSSES.items() if isinstance(i.couples_batch, tuple)}
    assert by_setting == COUPLED_BY_A_SETTING
    assert not LOSSES["mle"].couples({})
    assert LOSSES["mle"].couples({"reduction": "batch"})


def test_every_source_is_cited():
    assert {info.citation for info in LOSSES.values()} == set(SOURCES)


def test_a_key_spares_sampo_its_selections():
    assert resolve("sampo").needs_fields[2:] == ("chosen_keep", "rejected_keep")
    assert resolve("sampo(key=0)").needs_fields == ("ref_chosen", "ref_rejected")
