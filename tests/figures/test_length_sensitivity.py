"""Every figure of `length_sensitivity` from a synthetic table: clean, and right."""

import itertools

import numpy as np
import pandas as pd
import pytest

from figures import _length_runs
from figures.length_sensitivity import draw
from gradlab.errors import GradlabError
from tests.plotting.drawing import flaws

COLUMNS = (
    "study", "kind", "loss", "seed", "step", "side", "beta_kind", "ref_convention",
    "subset", "part", "quantity", "pair", "L_c", "L_r", "quartile", "kappa", "beta",
    "rate", "alpha_ld", "metric", "value",
)  # fmt: skip
TEXT = ("kind", "loss", "side", "beta_kind", "ref_convention", "subset", "part",
        "quantity")  # fmt: skip
NAMES = ("weights", "maps", "padding", "optimum", "masses", "correlations", "eos",
         "frontier", "meetings", "rewards", "subsets", "quartiles",
         "variants")  # fmt: skip
LOSSES = ("mle", "mle(reduction=mean)", "dpo", "averaged_dpo", "lddpo", "sampo")
SETS = ("hh_helpful", "hh_harmless", "gsm8k")


def _weights(put):
    for loss, part, one, two in itertools.product(
        LOSSES, ("reference", "trained"), (1, 4, 16, 64), (1, 4, 16, 64)
    ):
        keys = {"kind": "weights", "loss": loss, "part": part, "L_c": one, "L_r": two}
        if two == 16:
            put("w_abs", 0.05 / one, **keys)
            put("mass", 0.05, **keys)
        put("mass_ratio", np.log2(one / two), **keys)
    for loss, part, side, step in itertools.product(
        LOSSES, ("neutral", "typical"), ("chosen", "rejected"), (1, 4, 16)
    ):
        put("value_change", 0.01 * step, kind="padding", loss=loss, part=part,
            side=side, step=step)  # fmt: skip


def _pairs(put, rng):
    for pair, place in itertools.product(range(3), range(8)):
        keys = {"kind": "tabular", "pair": pair, "quantity": f"y{place}",
                "L_c": 1 + place}  # fmt: skip
        for loss in ("averaged_dpo", "dpo", "ipo", "ipo(reduction=mean)"):
            value = -rng.exponential(3)
            put("logp_fitted", value, loss=loss, **keys)
            put("logp_closed", value, loss=loss, **keys)
            if loss == "averaged_dpo":
                put("logp_averaged_kl", value - 0.5, loss=loss, **keys)
    for kind, loss in itertools.product(SETS, LOSSES):
        for quartile, length in enumerate((8, 20, 50, 110)):
            put("mass", length / 40, kind=kind, loss=loss, part="reference",
                L_c=length, quartile=quartile)  # fmt: skip
        for quantity, part in itertools.product(
            ("margin", "slope", "gradient"), ("plain", "given")
        ):
            value = rng.uniform(-0.8, 0.8)
            keys = {"kind": kind, "loss": loss, "quantity": quantity, "part": part}
            for name, shift in (("rho", 0), ("rho_low", -0.1), ("rho_high", 0.1)):
                put(name, value + shift, side="gap", **keys)


def _runs(put, rng):
    for seed in range(3):
        for pair in range(4):
            keys = {"kind": "identity", "seed": seed, "pair": pair}
            put("first_margin_sd", 0.1 + 0.2 * pair, **keys)
            put("first_margin_spread", 1 + 0.02 * rng.normal(), **keys)
        for loss, quartile in itertools.product(("mle", "dpo", "simpo"), range(4)):
            keys = {"kind": "eos", "loss": loss, "quartile": quartile, "seed": seed}
            put("length", 3 + 6 * quartile, **keys)
            put("w_eos", 2 - 0.3 * quartile, **keys)
            put("eos_energy", 0.5 / (1 + quartile), **keys)
        for kappa in (0.5, 0.0):
            for metric, value in (("gen_len", 12), ("score", 0.5), ("kl_seq", 0),
                                  ("trunc_share", 0)):  # fmt: skip
                put(metric, value, kind="task", loss="reference", kappa=kappa,
                    seed=seed)  # fmt: skip
        for (loss, kind), beta in itertools.product(
            _length_runs.NAMES, (0.05, 0.1, 0.3)
        ):
            keys = {"kind": "task", "loss": loss, "beta_kind": kind, "beta": beta,
                    "kappa": 0.5, "rate": 1.0, "seed": seed}  # fmt: skip
            put("gen_len", 12 + 0.3 / beta + rng.normal(), **keys)
            put("score", 0.5 + 0.02 / beta, **keys)
            put("kl_seq", 0.2 / beta, **keys)
            put("trunc_share", 0.3 if loss == "sampo" and beta < 0.2 else 0, **keys)
            for part in ("data", "policy"):
                put("r2_len", rng.uniform(0, 1), part=part, **keys)
            for side, quartile in itertools.product(("chosen", "rejected"), range(4)):
                keys |= {"side": side, "quartile": quartile}
                put("drift_sum", -quartile, **keys)
                put("drift_token", -0.1, **keys)
        for convention, alpha in itertools.product(("both", "policy"), (0.0, 0.5, 1.0)):
            put("gen_len", 12 + alpha, kind="task", loss="lddpo", beta_kind="sum",
                ref_convention=convention, alpha_ld=alpha, kappa=0.5, rate=1.0,
                beta=0.1, seed=seed)  # fmt: skip
        for subset, (loss, kind) in itertools.product(
            _length_runs.SUBSETS, (("dpo", "sum"), ("averaged_dpo", "avg_matched"))
        ):
            put("gen_len", 12 + len(subset), kind="task", loss=loss, beta_kind=kind,
                subset=subset, kappa=0.0, rate=1.0, beta=0.1, seed=seed)  # fmt: skip


def make() -> pd.DataFrame:
    rng, rows = np.random.default_rng(0), []

    def put(metric, value, **keys):
        rows.append({"seed": 0, **keys, "metric": metric, "value": float(value)})

    _weights(put)
    _pairs(put, rng)
    _runs(put, rng)
    table = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    table["study"] = "length_sensitivity"
    return table.fillna(dict.fromkeys(TEXT, ""))


@pytest.fixture(scope="module")
def table():
    return make()


@pytest.fixture(scope="module")
def figures(table):
    return draw(table)


def test_all_figures_are_drawn_and_clean(figures):
    assert tuple(figures) == NAMES
    for name, figure in figures.items():
        assert flaws(figure) == [], name
        assert 3.2 < figure.get_figwidth() <= 6.75


def test_a_figure_without_its_rows_is_left_out(table):
    task = table[table["kind"] == "task"]
    drawn = set(draw(task[task["subset"] == ""]))
    assert drawn == {"frontier", "meetings", "rewards", "quartiles"}
    assert set(draw(table[table["kind"] == "weights"])) == {"weights", "maps"}
    with pytest.raises(GradlabError):
        draw(table.drop(columns="metric"))


def test_the_frontier_starts_at_the_reference(figures):
    score = figures["frontier"].axes[0]
    for line in score.lines[: len(_length_runs.FRONTIER)]:
        assert len(line.get_xdata()) == 4
        assert line.get_xdata()[0] == 0
        assert line.get_ydata()[0] == 0.5


def test_policies_that_are_cut_off_have_open_markers(figures):
    for ax in figures["frontier"].axes:
        (cut,) = [line for line in ax.lines if line.get_markerfacecolor() == "white"]
        assert len(cut.get_xdata()) == 2


def test_every_policy_of_a_comparison_at_equal_divergence_is_shown(figures):
    one, sampo, simpo, *rest = figures["meetings"].axes
    for ax in (one, sampo, simpo):
        assert sum(len(line.get_xdata()) for line in ax.lines) == 2 * 3 * 3
        assert ax.get_title(loc="left") == "κ = 0.5"
    assert not rest


def test_rewards_are_of_losses_whose_reward_is_measured(figures):
    labels = [t.get_text() for t in figures["rewards"].axes[0].get_yticklabels()]
    assert "dpo" in labels
    assert not {"simpo summed", "reference summed, Lβ"} & set(labels)


def test_fits_lie_on_the_identity_and_the_other_optimum_below(figures):
    left, right = figures["optimum"].axes[:2]
    for dots in left.collections:
        x, y = np.asarray(dots.get_offsets()).T
        np.testing.assert_allclose(x, y)
    x, y = np.asarray(right.collections[0].get_offsets()).T
    np.testing.assert_allclose(y, x - 0.5)
