"""From a table to verdicts: a made-up table whose answers are known."""

from dataclasses import replace

import numpy as np
import pytest

from analyses.common.rows import per_pair, row
from analyses.gradient_framework.config import Config
from analyses.gradient_framework.g2 import COMPARED
from analyses.gradient_framework.ledger_of_claims import CLAIMS
from analyses.gradient_framework.rows import make_table
from analyses.gradient_framework.verdicts import make_claims

CONFIG = replace(Config(), draws=50, sizes=(64, 256))
SEEDS = range(5)


def measures(better: bool, noise: float, *, with_dpo: bool):
    """Of one loss: the better one gains; in cross-entropy only beside DPO."""
    gain = 0.2 if better else 0.0
    return {
        "agility": 1.0 + gain + noise,
        "ce_pos": 1.5 - (gain if with_dpo else 0) + 0.01 * noise,
        "distinct1": 0.4 * (1 + gain) + 0.01 * noise,
        "distinct2": 0.8 * (1 + gain) + 0.01 * noise,
        "slot_acc": 0.7 * (1 + gain) + 0.01 * noise,
        "off_support": 0.2 * (0.5 if better else 1) + 0.001 * noise,
    }


def g2_rows(seed: int, *, helps: bool):
    rng = np.random.default_rng(seed)
    labels = {*CONFIG.losses, *(", then ".join(stage) for stage in CONFIG.stages)}
    for setting in (CONFIG.main, *CONFIG.others):
        for loss in sorted(labels):
            keys = {
                "kind": "g2", "model": "decoder", "matching": "rate", "loss": loss,
                "rho": setting.rho, "false_neg": setting.false_neg, "seed": seed,
            }  # fmt: skip
            released = "lam=0.05" in loss
            better = helps and "exmate" in loss and not released
            better = better and "sum" not in loss
            found = measures(better, 0.01 * rng.normal(), with_dpo="dpo" in loss)
            for metric, value in found.items():
                yield row(metric, value, **keys)
    for loss, baseline, matched in COMPARED:
        for matching in ("rate", "margin") if matched else ("rate",):
            keys = {
                "kind": "g2", "model": "decoder", "matching": matching,
                "rho": CONFIG.main.rho, "false_neg": 0.0, "seed": seed,
                "baseline": baseline,
            }  # fmt: skip
            win = (0.6 if helps else 0.4) + 0.01 * rng.normal()
            yield row("oracle_win", win, loss=loss, **keys)
            for label in (loss, baseline) if matching == "margin" else ():
                better, beside = helps and "exmate" in label, "dpo" in label
                found = measures(better, 0.01 * rng.normal(), with_dpo=beside)
                for metric, value in found.items():
                    yield row(metric, value, loss=label, **keys)


def other_rows(seed: int, *, helps: bool):
    rng = np.random.default_rng([seed, 1])
    for loss in CONFIG.size_losses:
        for size in CONFIG.sizes:
            slope = 0.0 if helps else -0.5
            level = 0.3 if loss == "mle" and helps else 0.2
            mass = level * size**slope * (1 + 0.001 * rng.normal())
            yield row(
                "off_support", mass, loss=loss, size=size, kind="g2",
                model="decoder, fresh", rho=0.3, false_neg=0.0, seed=seed,
            )  # fmt: skip
    for part in ("S1.6", "S1.7", "S1.8", "S1.9"):
        error = 0.0 if helps else 0.1
        yield row("error", error, part=part, loss="a", kind="exact", seed=seed)
    yield row("error", 1e-17, part="S1.8", loss="dpo", kind="parameters", seed=seed)
    for loss in CONFIG.tabular_losses:
        keys = {"kind": "tabular", "loss": loss, "seed": seed}
        for part in (0, 1, 2):
            step = part * CONFIG.tabular_steps // 2
            endless = "mate(" in loss and "exmate" not in loss and helps
            fall = (50 if endless else 1) + 0.1 * rng.normal()
            yield row("S_rejected", -part * fall, step=step, **keys)
            yield row("S_chosen", -1 + 0.01 * rng.normal(), step=step, **keys)
            smaller = "exmate" in loss and helps
            bad = (0.001 if smaller else 0.1) * (1 + 0.1 * rng.uniform())
            yield row("p_bad", bad, step=step, **keys)
            drift = 0 if helps else part
            yield row("prefix_logp", -5 - drift, step=step, **keys)
        yield row("prefix_gap", 0.001 if helps else 3, step=2, **keys)
    keys = {"kind": "g2", "part": "condition", "seed": seed}
    yield from per_pair("threshold", [2.0, 3.0 + 0.1 * rng.uniform()], **keys)
    for loss in CONFIG.condition_losses:
        ratio = (1e-3 if helps else 9.0) * (1 + 0.1 * rng.uniform())
        yield from per_pair("ratio", [ratio, ratio], loss=loss, **keys)
        yield row("sign_errors", 0 if helps else 1, loss=loss, **keys)
        yield row("signs_compared", 2, loss=loss, **keys)


def verdicts(helps: bool) -> dict[tuple[str, str], str]:
    rows = [
        line
        for seed in SEEDS
        for part in (g2_rows, other_rows)
        for line in part(seed, helps=helps)
    ]
    skipped = {"hh": "no file", "chatterbot": "no file", "log-linear": "no time"}
    found = make_claims(make_table(rows), CONFIG, skipped)
    keys = zip(found["claim_id"], found["setting"], strict=True)
    return dict(zip(keys, found["verdict"], strict=True))


@pytest.fixture(scope="module")
def holding():
    return verdicts(True)


@pytest.fixture(scope="module")
def failing():
    return verdicts(False)


def test_every_claim_has_a_verdict(holding, failing):
    for found in (holding, failing):
        assert {claim for claim, _ in found} == set(CLAIMS)


def test_a_table_in_which_they_hold(holding):
    undecided = {"skipped", "not testable"}
    decided = {key: x for key, x in holding.items() if x not in undecided}
    exceptions = {
        # at the released coefficient the made-up table has no effect
        key
        for key in decided
        if ("lambda .05" in key[1] or "lambda 0.05" in key[1])
        and key[0] in ("S1.1a", "S1.4a", "S1.4b")
    }
    wrong = {k: x for k, x in decided.items() if x != "reproduced"}
    assert set(wrong) == exceptions


def test_a_table_in_which_they_fail(failing):
    expected = {
        "S1.3": "contradicted", "S1.5b": "contradicted", "S1.6": "contradicted",
        "S1.7a": "contradicted", "S1.9": "contradicted", "S1.10a": "contradicted",
        "S1.10b": "inconclusive", "S1.10c": "contradicted", "S1.12a": "contradicted",
        "S1.12b": "contradicted", "S1.1a": "inconclusive", "S1.2": "inconclusive",
        "S1.5a": "inconclusive", "S1.10d": "inconclusive",
    }  # fmt: skip
    for claim, verdict in expected.items():
        found = {x for (name, _), x in failing.items() if name == claim}
        assert verdict in found, claim
        assert "reproduced" not in found, claim


def test_what_was_not_measured_says_so(holding):
    assert holding["S1.3", "LLM judge"] == "not testable"
    assert holding["S1.1a", "hh, stories260K, mean, lambda 1"] == "skipped"
    assert holding["S1.1a", "log-linear, mean, lambda 1"] == "skipped"


def test_equal_margins_are_named_as_the_rule():
    rows = [line for seed in SEEDS for line in g2_rows(seed, helps=True)]
    rows += [line for seed in SEEDS for line in other_rows(seed, helps=True)]
    found = make_claims(make_table(rows), CONFIG, {})
    margin = found[found["setting"].str.contains("equal train margin")]
    assert len(margin)
    assert set(margin["matching_rule"]) == {"equal train margin"}
