"""From a table to verdicts: a made-up table whose answers are known."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from analyses.common.rows import row
from analyses.self_imitation.config import Config
from analyses.self_imitation.ledger_of_claims import CLAIMS
from analyses.self_imitation.members import GSIL, LEARNERS, MEMBERS, PROPER
from analyses.self_imitation.rows import make_table
from analyses.self_imitation.verdicts import make_claims

SEEDS = range(5)
CONFIG = replace(Config(), draws=100)
WIDTH = CONFIG.runs.response_tokens
# KL after training: Bernoulli beats SFT and SPIN, Brier neither, KLIEP SPIN alone.
ENDS = {"sft": 0.3, "spin": 0.5, "bernoulli": 0.1, "brier": 0.9, "kliep": 0.4}
FINAL = CONFIG.runs.stages * CONFIG.runs.stage_steps


def rows_of_seed(seed: int):
    noise = 1e-3 * np.random.default_rng(seed).normal()
    for loss in LEARNERS:
        keys = {"loss": loss, "seed": seed, "decoding": "sampled", "shift": 0.0}
        end = ENDS.get(loss, 0.6) + noise
        yield from tabular_rows(loss, end, keys)
        yield from decoder_rows(loss, end, keys)
        yield from word_rows(loss, end, keys)
    for member in MEMBERS:
        wrong = 1e-3 if member == "lsif" else 1e-14
        yield row("optimum_error", wrong, part="optimum", loss=member, seed=seed)
    for loss, drift in {
        "dil_lsif": 1.0,
        "dil_bce": -3.0,
        "dpo": 0.2,
        "simpo": -1,
    }.items():
        given = {"part": "lm pairs", "loss": loss, "seed": seed, "iteration": 1}
        for step in (1, 2):
            yield row("d_chosen_sum", step * (drift + noise), step=step, **given)
            yield row("d_rejected_sum", -4 * step, step=step, **given)


def tabular_rows(loss: str, end: float, keys: dict):
    last = CONFIG.tabular.iterations
    scales = (0.1, 1.0) if loss != "sft" else (1.0,)
    for scale, draw in itertools.product(scales, range(4)):
        # LSIF's draws are spread wider, and one in four ends far away.
        far = 5.0 * (draw == 3) if loss == "lsif" else 0.01 * draw
        given = {**keys, "part": "sampled", "scale": scale, "draw": draw}
        yield row("kl_data_policy", 1.0, iteration=0, **given)
        yield row("kl_data_policy", end + far, iteration=last, **given)
    for scale in (0.1, 1.0):
        given = {**keys, "part": "exact", "scale": scale}
        for iteration in range(last + 1):
            falling = 1 - 0.1 * iteration if loss != "hinge" else 1 + 0.1 * iteration
            # From the second on, only rounding.
            kl = falling if loss != "kliep" else (iteration == 0) + 1e-9 * iteration
            yield row("kl_data_policy", kl, iteration=iteration, **given)
        given = {**keys, "scale": scale}
        kl = 1e-6 if loss != "spin" else 0.1
        yield row("kl_data_policy", kl, part="source", iteration=last, **given)
        yield row("entropy", 1.0, part="exact", iteration=last, **given)
        given |= {"decoding": "greedy"}
        yield row("entropy", 1.2, part="exact", iteration=last, **given)
    if loss in GSIL:
        slope = 1.2 if loss == "brier" else 1.001
        yield row("slope", slope + 0.01 * end, part="calibration", **keys)


def decoder_rows(loss: str, end: float, keys: dict):
    keys = {**keys, "scale": 0.1}
    last = CONFIG.runs.iterations
    for part in ("lm", "lm own rate"):
        yield row("kl_data_policy", 1.0, part=part, iteration=0, **keys)
        yield row("kl_data_policy", end, part=part, iteration=last, **keys)
        yield row("acc", 1 - end, part=part, iteration=last, **keys)
    for step in (FINAL / 2, FINAL):
        share = step / FINAL
        chosen = {"spin": -4.0, "bernoulli": 2.0, "brier": -4.0}.get(loss, 0.1)
        given = {**keys, "part": "lm", "step": step, "iteration": 1}
        yield row("d_chosen_sum", share * (chosen + end) * WIDTH, **given)
        yield row("d_rejected_sum", share * (-5 + 0.1 * end) * WIDTH, **given)
        if loss == "bernoulli":
            for scale, shift in itertools.product((0.01, 0.1), (0.5, 2.0)):
                target = {"scale": scale, "shift": shift, "target_nat": -shift / scale}
                given = {**keys, **target, "part": "lm scale", "step": step}
                yield row("d_chosen_sum", -share * shift / scale, **given)
                yield row("d_rejected_sum", share * (end - shift / scale), **given)


def word_rows(loss: str, end: float, keys: dict):
    """Answers rise under all but the hinge, Brier's once; LSIF's margin grows."""
    keys, tokens = {**keys, "scale": CONFIG.words.scale}, 20.0
    last, step = CONFIG.words.iterations, CONFIG.words.stages * CONFIG.words.stage_steps
    for part, iteration in itertools.product(
        ("words", "words own rate"), range(last + 1)
    ):
        given = {**keys, "part": part, "iteration": iteration}
        rise = {"hinge": -0.1, "brier": 0.1 / max(iteration, 1)}.get(loss, 0.1)
        yield row("acc", 0.4 + iteration * rise + 0.01 * end, **given)
        kl = end if iteration == last else 1.0 - 0.1 * iteration
        yield row("kl_data_policy", kl, **given)
        yield row("tokens_real", tokens, **given)
        if iteration:
            margin = (iteration if loss == "lsif" else 1 / iteration) + 0.01 * end
            yield row("d_chosen_sum", 0.0, step=step / 2, **given)
            yield row("d_rejected_sum", 0.0, step=step / 2, **given)
            rejected = (0.5 - margin) * tokens
            yield row("d_chosen_sum", 0.5 * tokens, step=step, **given)
            yield row("d_rejected_sum", rejected, step=step, **given)


@pytest.fixture(scope="module")
def claims():
    rows = [line for seed in SEEDS for line in rows_of_seed(seed)]
    for member in MEMBERS:
        given = {"part": "identity", "loss": member}
        if member in PROPER:
            rows.append(row("ratio_error", 1e-14, **given))
        wrong = 0.4 if member == "hinge" else 1e-15
        rows.append(row("balance_error", wrong, scale=0.1, shift=0.5, **given))
    rows += [row("bound_error", 0.0, part="identity", loss=m) for m in GSIL]
    return make_claims(make_table(rows), CONFIG, {})


def found(claims, claim, setting):
    rows = claims[(claims["claim_id"] == claim) & (claims["setting"] == setting)]
    assert len(rows) == 1, (claim, setting)
    return rows.iloc[0]


def test_every_claim_has_a_verdict(claims):
    assert set(claims["claim_id"]) == set(CLAIMS)
    assert (claims["verdict"] != "").all()


@pytest.mark.parametrize(
    ("claim", "setting", "verdict"),
    [
        ("S5.1a", "lm, equal rate, bernoulli, scale 0.1", "reproduced"),
        ("S5.1a", "lm, own rates, kliep, scale 0.1", "contradicted"),
        ("S5.1a", "tabular, 64 demonstrations, bernoulli, scale 1", "reproduced"),
        ("S5.1a", "benchmarks", "not testable"),
        ("S5.1b", "lm, equal rate, kliep, scale 0.1", "reproduced"),
        ("S5.1b", "lm, equal rate, brier, scale 0.1", "contradicted"),
        ("S5.1c", "lm, equal rate, bernoulli, scale 0.1", "reproduced"),
        ("S5.1d", "lm, equal rate, brier, scale 0.1", "contradicted"),
        ("S5.2a", "kliep", "reproduced"),
        ("S5.2b", "tabular, brier", "reproduced"),
        ("S5.2b", "tabular, lsif", "contradicted"),
        ("S5.2c", "tabular, hinge", "reproduced"),
        ("S5.2d", "tabular, kliep", "reproduced"),
        ("S5.2d", "tabular, brier", "contradicted"),
        ("S5.3a", "lm, bernoulli, scale 0.1", "reproduced"),
        ("S5.3b", "lm, bernoulli, scale 0.1", "reproduced"),
        ("S5.3c", "lm, bernoulli, scale 0.1", "reproduced"),
        ("S5.3c", "lm, brier, scale 0.1", "contradicted"),
        ("S5.4a", "lm, bernoulli, released setting", "reproduced"),
        ("S5.4a", "tabular, lsif, released setting", "skipped"),
        ("S5.4b", "lm, bernoulli", "reproduced"),
        ("S5.5", "bernoulli", "reproduced"),
        ("S5.5", "hinge", "contradicted"),
        ("S5.6a", "lsif", "reproduced"),
        ("S5.6b", "tabular, 64 demonstrations", "reproduced"),
        ("S5.6c", "tabular, 64 demonstrations", "reproduced"),
        ("S5.6c", "lm", "skipped"),
        ("S5.7a", "tabular, lsif, scale 1", "reproduced"),
        ("S5.7a", "tabular, hinge, scale 1", "contradicted"),
        ("S5.7a", "tabular, kliep, scale 0.1", "reproduced"),
        ("S5.7b", "tabular, lsif, scale 1", "reproduced"),
        ("S5.7b", "tabular, spin, scale 1", "contradicted"),
        ("S5.7b", "lm, spin, scale 0.1", "skipped"),
        ("S5.8", "lm, dil_lsif, equal update norm", "reproduced"),
        ("S5.8", "lm, dil_lsif, equal margin", "reproduced"),
        ("S5.8", "lm, dil_bce, equal update norm", "contradicted"),
        ("S5.8", "lm, dil_ukl, equal margin", "skipped"),
        ("S5.9", "tabular, lsif, scale 1", "reproduced"),
        ("S5.1a", "word problems, equal rate, bernoulli, scale 0.1", "reproduced"),
        ("S5.1d", "word problems, own rates, hinge, scale 0.1", "contradicted"),
        ("S5.3b", "word problems, bernoulli, scale 0.1", "reproduced"),
        ("S5.3c", "word problems, bernoulli, scale 0.1", "reproduced"),
        ("S5.7a", "word problems, own rates, kliep, scale 0.1", "reproduced"),
        ("S5.10a", "word problems, equal rate, sft", "reproduced"),
        ("S5.10a", "word problems, own rates, hinge", "contradicted"),
        ("S5.10b", "word problems, equal rate, kliep", "reproduced"),
        ("S5.10b", "word problems, equal rate, brier", "inconclusive"),
        ("S5.11a", "word problems, equal rate, spin", "reproduced"),
        ("S5.11b", "word problems, equal rate, spin", "reproduced"),
        ("S5.11b", "word problems, own rates, lsif", "contradicted"),
    ],
)
def test_verdicts(claims, claim, setting, verdict):
    assert found(claims, claim, setting)["verdict"] == verdict
