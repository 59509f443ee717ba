"""A small study table with the schema that figures/gradient_comparison.py documents."""

import numpy as np
import pandas as pd

LOSSES = ("mle", "unlikelihood_token", "exmate", "dpo", "averaged_dpo")
COLUMNS = [
    "study", "loss", "seed", "step", "pair", "side", "position", "token", "region", "p",
    "length", "metric", "value",
]  # fmt: skip
ANSWERS = {
    "chosen": [
        "She", "has", "3", "+", "4", "=", "7", "apples", ".\n", "Answer", ":", "7",
    ],
    "rejected": [
        "She", "has", "3", "+", "4", "=", "8", "apples", ".\n", "So", "the", "answer",
        "is", ":", "8",
    ],
}  # fmt: skip


def weights(loss: str, logp: np.ndarray, side: str) -> np.ndarray:
    """dL/dlogp at policy = reference, in the closed forms that every paper gives."""
    sign, p, length = (-1 if side == "chosen" else 1), np.exp(logp), len(logp)
    if loss == "dpo":
        return np.full(length, sign * 0.05)
    if loss == "averaged_dpo":
        return np.full(length, sign * 0.05 / length)
    if side == "chosen":
        return np.full(length, -1 / length if loss == "exmate" else -1.0)
    if loss == "unlikelihood_token":
        return p / (1 - p)
    bounded = 0.05 * np.exp(logp.mean()) / length
    return np.full(length, bounded if loss == "exmate" else 0.0)


def study_table(seeds: int = 3, pairs: int = 2) -> pd.DataFrame:
    """Rows of every metric, in long format."""
    rng = np.random.default_rng(0)
    rows: list[dict] = []
    for seed in range(seeds):
        for pair in range(pairs):
            rows += _token_rows(seed, pair, rng)
        rows += _summary_rows(seed, rng)
        rows += _curve_rows(seed)
    table = pd.DataFrame(rows).assign(study="gradient_comparison", step=np.nan)
    text = {"side": "", "token": "", "region": ""}
    return table.fillna(text).reindex(columns=COLUMNS)


def _token_rows(seed: int, pair: int, rng: np.random.Generator) -> list[dict]:
    rows = []
    for side, words in ANSWERS.items():
        logp = -rng.gamma(1.0, 1.5, len(words)) - 1e-3
        for loss in LOSSES:
            w = weights(loss, logp, side)
            for t, word in enumerate(words):
                region = "prefix" if t < 6 else "first" if t == 6 else "middle"
                keys = {
                    "loss": loss, "seed": seed, "pair": pair, "side": side,
                    "position": t, "token": " " + word, "region": region,
                }  # fmt: skip
                for metric, value in {
                    "weight": w[t], "logp": logp[t], "logit_grad_norm": abs(w[t]),
                }.items():  # fmt: skip
                    rows.append(keys | {"metric": metric, "value": float(value)})
    return rows


def _summary_rows(seed: int, rng: np.random.Generator) -> list[dict]:
    rows = []
    for i, loss in enumerate(LOSSES):
        good = 10.0 ** (2 - i) * rng.lognormal(0, 0.2)
        bad = 0.0 if loss == "mle" else good * 10.0 ** (1 - i)
        values = {
            "mass_chosen": good, "mass_rejected": bad, "share_before": 0.3,
            "share_at": 0.1, "share_after": 0.6, "corr_length": 0.5,
        }  # fmt: skip
        for metric, value in values.items():
            rows.append({"loss": loss, "seed": seed, "metric": metric, "value": value})
    return rows


def _curve_rows(seed: int) -> list[dict]:
    rows = []
    odds = np.linspace(-9, 9, 37)
    for p in 1 / (1 + np.exp(-odds)):
        penalties = {
            "mle": 0,
            "unlikelihood_token": p / (1 - p),
            "exmate": p,
            "dpo": 0.05,
        }
        for loss, value in penalties.items():
            net = 0.0 if loss == "dpo" else value - 1
            for metric, number in {
                "penalty_weight": value,
                "prefix_net_weight": net,
            }.items():
                rows.append({"loss": loss, "seed": seed, "p": p, "metric": metric,
                             "value": float(number)})  # fmt: skip
    for length in range(1, 129):
        sums = {"exmate (sum)": length * 0.7**length, "exmate (mean)": 0.7,
                "exmate (token)": length * 0.7}  # fmt: skip
        for loss, value in sums.items():
            rows.append({"loss": loss, "seed": seed, "length": length,
                         "metric": "weight_by_length", "value": value})  # fmt: skip
    roles = {
        "mle": (-0.8, 0.2, 0.3, 0.3), "unlikelihood_token": (-0.85, 0.45, 0.2, 0.2),
        "exmate": (-0.81, 0.22, 0.3, 0.29), "dpo": (-0.05, 0.05, 0.0, 0.0),
    }  # fmt: skip
    for loss, values in roles.items():
        for role, value in zip(("good", "bad", "third", "rest"), values, strict=True):
            rows.append({"loss": loss, "seed": seed, "region": role,
                         "metric": "logit_gradient", "value": value})  # fmt: skip
    return rows
