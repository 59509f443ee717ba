"""Small runs as `gradlab compare` and `gradlab drift` leave them, without a model."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from gradlab.data.embedded import embedded_model_folder
from gradlab.tables import write_table

SIDES = ("chosen", "rejected")
WORDS = (" the", " cat", " sat", ",", " on", " a", " mat", ".", "\n", " 12", "é")
LOSSES = ("dpo", "dpop(lam=5)", "dpo + 0.5*exmate")
DRIFTS = ("predicted", "by_chosen", "by_rejected", "own", "realised")


def tokens_table(
    pairs: int = 4,
    *,
    losses: Sequence[str] = LOSSES,
    words: Sequence[str] = WORDS,
    drift: bool = True,
    length: int = 12,
    seed: int = 0,
) -> pd.DataFrame:
    """Random numbers over many orders of magnitude on random texts.

    Pair n shares n + 1 tokens, then differs; the rejected side is one token longer.
    """
    rng = np.random.default_rng(seed)
    frames = []
    for pair in range(pairs):
        shared = rng.integers(len(words), size=length)
        for side, code in zip(SIDES, range(2), strict=True):
            ids = rng.integers(len(words), size=length + code)
            ids[: pair + 1] = shared[: pair + 1]
            ids[pair + 1] = (shared[pair + 1] + code) % len(words)
            keys = {"pair": pair, "row": pair + 1, "side": side}
            frame = pd.DataFrame(
                {
                    **keys,
                    "position": np.arange(len(ids)),
                    "token_id": ids,
                    "token": [words[i] for i in ids],
                    "logp": -rng.gamma(0.5, 2.0, len(ids)).astype(np.float32),
                }
            )
            frames.append(frame)
    base = pd.concat(frames, ignore_index=True)
    return pd.concat(
        [_with_loss(base, loss, drift, rng) for loss in losses], ignore_index=True
    )


def _with_loss(base: pd.DataFrame, loss: str, drift: bool, rng) -> pd.DataFrame:
    def wide() -> np.ndarray:
        return rng.normal(size=len(base)) * 10.0 ** rng.uniform(-9, 2, len(base))

    frame = base.assign(loss=loss, weight=wide())
    if drift:
        return frame.assign(**{name: wide() for name in DRIFTS})
    return frame.assign(logit_grad_norm=np.abs(wide()))


def summary_table(losses: Sequence[str] = LOSSES) -> pd.DataFrame:
    """Columns that the report knows, one that it doesn't, a gap and an infinity."""
    count = len(losses)
    return pd.DataFrame(
        {
            "loss": list(losses),
            "pairs": 4,
            "value": np.linspace(0.7, 0.1, count),
            "predicted_chosen": [(-3.0) ** -n for n in range(count)],
            "ratio_bad_good": [np.nan, np.inf, *np.arange(count)][:count],
            "update_norm": np.arange(count) + 0.5,
        }
    )


def write_run(
    folder: Path,
    tokens: pd.DataFrame | None = None,
    *,
    summary: pd.DataFrame | None = None,
    prompts: Sequence[str] = ("How many?\n",) * 4,
    manifest: dict | None = None,
) -> Path:
    """A folder with everything that the report reads."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens = tokens_table() if tokens is None else tokens
    losses = list(pd.unique(tokens["loss"]))
    write_table(tokens, folder / "tokens.parquet")
    summary = summary_table(losses) if summary is None else summary
    write_table(summary, folder / "summary.csv")
    pairs = pd.DataFrame({"pair": range(len(prompts)), "prompt": list(prompts)})
    write_table(pairs, folder / "prompts.parquet")
    known = {"command": "gradlab drift", "pairs": tokens["pair"].nunique()}
    text = json.dumps({**known, **(manifest or {})})
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    return folder


def write_training(
    folder: Path,
    *,
    steps: Sequence[int] = (0, 1, 10, 100),
    sets: Sequence[str] = SIDES,
    rows: int = 3,
    seed: int = 0,
    manifest: dict | None = None,
) -> Path:
    """A folder as `gradlab train` leaves it, with random numbers and texts."""
    rng = np.random.default_rng(seed)
    (folder / "probes").mkdir(parents=True)
    lengths = {(name, row): 6 + row + n for n, name in enumerate(sets)
               for row in range(rows)}  # fmt: skip
    ids = {key: rng.integers(260, 500, size).tolist() for key, size in lengths.items()}
    texts = {
        name: [
            {"row": row + 1, "prompt": [300, 301], "response": ids[name, row]}
            for row in range(rows)
        ]
        for name in sets
    }
    (folder / "probes" / "texts.json").write_text(json.dumps(texts))
    tokens = pd.concat(
        pd.DataFrame(
            {
                "step": step, "probe": name, "row": row + 1,
                "position": np.arange(lengths[name, row]), "token_id": ids[name, row],
                "logp": -rng.gamma(1.0, 1.0, lengths[name, row]),
                "drift": rng.normal(size=lengths[name, row]) * step,
            }
        )
        for step in steps for name in sets for row in range(rows)
    )  # fmt: skip
    write_table(tokens, folder / "probe_tokens.parquet")
    sums = tokens.groupby(["step", "probe", "row"], sort=False)["drift"].sum()
    groups = sums.groupby(["step", "probe"], sort=False)
    found = {"mean": groups.mean(), "q10": groups.quantile(0.1),
             "q90": groups.quantile(0.9)}  # fmt: skip
    table = pd.concat(
        [rows.rename("value").reset_index().assign(statistic=name)
         for name, rows in found.items()]
    )  # fmt: skip
    table.insert(2, "metric", "drift_sum")
    write_table(
        table[["step", "probe", "metric", "statistic", "value"]], folder / "probes.csv"
    )
    lines = [
        {"step": step, "loss": 0.7 / step, "rewards/chosen": 0.1 * step,
         "rewards/rejected": "nan"}
        for step in range(1, 13)
    ]  # fmt: skip
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text)
    known = {"command": "gradlab train", "loss": "dpo", "steps": steps[-1]}
    (folder / "manifest.json").write_text(json.dumps({**known, **(manifest or {})}))
    model = folder / "model"
    model.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        source = embedded_model_folder() / name
        if source.is_file():
            shutil.copy(source, model)
    return folder
