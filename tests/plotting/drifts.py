"""Tokens and pairs tables of a drift analysis with what makes their figures hard.

Drifts with heavy tails, losses with and without a split by cause, long names, long and
short responses, ties.
"""

import numpy as np
import pandas as pd

from tests.plotting.synthetic import WORDS

LOSSES = (
    "mle", "unlikelihood_token", "exmate", "dpo", "dpo+0.5*exmate(reduction=token)",
    "ipo", "averaged_dpo", "hinge", "dpop", "simpo", "orpo", "rpo",
    "my_pkg.my_mod:a_loss_of_mine",
)  # fmt: skip
CASES = ("no push", "ideal", "both fall", "both rise", "reversed")
UNDIVIDED = "orpo"
LENGTHS = ((18, 20), (24, 22), (30, 33), (90, 60), (12, 14), (26, 26), (40, 38), (7, 9))


def drift_tokens(
    lengths: tuple[tuple[int, int], ...] = LENGTHS,
    losses: tuple[str, ...] = LOSSES,
    prefix: int = 4,
    seed: int = 0,
) -> pd.DataFrame:
    """One row per loss, pair, side and position."""
    rng = np.random.default_rng(seed)
    frames = []
    for i, loss in enumerate(losses):
        for pair, sizes in enumerate(lengths):
            for side, length in zip(("chosen", "rejected"), sizes, strict=True):
                text = _text(pair, side, length, prefix)
                frames.append(
                    text.assign(loss=loss, **_drifts(i, loss, side, text, rng))
                )
    return pd.concat(frames, ignore_index=True)


def _text(pair: int, side: str, length: int, prefix: int) -> pd.DataFrame:
    position = np.arange(length)
    places = [position < prefix, position == prefix, position >= length - 2]
    region = np.select(places, ["prefix", "first", "suffix"], "middle")
    shift = 0 if side == "chosen" else 3
    words = [WORDS[(t + shift * (t >= prefix)) % len(WORDS)] for t in position]
    keys = {"pair": pair, "row": pair + 1, "side": side, "position": position}
    return pd.DataFrame({**keys, "token": words, "region": region})


def _drifts(i: int, loss: str, side: str, text: pd.DataFrame, rng) -> dict:
    count = len(text)
    scale = 10.0 ** (i % 4 - 3)
    surprise = rng.gamma(0.35, 2.0, count)  # few tokens move much
    own, other = (1.0, -1.15) if side == "chosen" else (0.9, -1.4)
    by_chosen = scale * own * surprise * rng.uniform(0.6, 1.1, count)
    by_rejected = scale * other * surprise * rng.uniform(0.3, 1.6, count)
    carried = np.zeros(count)
    if loss == "rpo":
        carried = scale * 0.2 * rng.normal(size=count)
    net = by_chosen + by_rejected + carried
    noise = scale * 0.02 * rng.normal(size=count)
    if loss == UNDIVIDED:
        by_chosen = by_rejected = np.full(count, np.nan)
    return {
        "logp": -surprise - 1e-3,
        "weight": -scale if side == "chosen" else scale,
        "predicted": net,
        "by_chosen": by_chosen,
        "by_rejected": by_rejected,
        "carried": carried,
        "own": 0.8 * net,
        "realised": net * (1 - 0.1 * np.tanh(net)) + noise,
    }


def drift_pairs(
    count: int = 60, losses: tuple[str, ...] = LOSSES, seed: int = 0
) -> pd.DataFrame:
    """One row per loss and pair."""
    rng = np.random.default_rng(seed)
    ches = rng.normal(size=count) ** 3 * 40 + 60
    known = {
        "pair": np.arange(count),
        "row": np.arange(count) + 1,
        "ches": ches,
        "ln_ches": ches / 300 + 0.1 * rng.normal(size=count),
        "edit_token": rng.choice([0.1, 0.25, 0.9], count),  # ties
        "score_cosine": rng.uniform(-0.3, 0.95, count),
    }
    frames = []
    for i, loss in enumerate(losses):
        scale = 10.0 ** (i % 4 - 3)
        case = np.array(CASES)[rng.choice(5, count, p=_case_odds(i))]
        fall = -scale * (0.5 * known["ln_ches"] + 0.3 * rng.normal(size=count))
        rows = {"loss": loss, "predicted_chosen": fall, "realised_chosen": 0.95 * fall}
        rows["case"] = "" if loss == UNDIVIDED else case
        frames.append(pd.DataFrame({**known, **rows}))
    return pd.concat(frames, ignore_index=True)


def _case_odds(i: int) -> np.ndarray:
    odds = np.array([0.02 * (i % 3), 1.0, 0.3 * (i % 5), 0.15, 0.02 * (i % 2)])
    return odds / odds.sum()
