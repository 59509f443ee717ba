"""Tokens and summary tables with what makes figures hard.

Weights over many orders of magnitude, zeros, negatives on the rejected side, long texts
and 15 losses.
"""

import numpy as np
import pandas as pd

LOSSES = (
    "mle", "unlikelihood_token", "exmate", "dpo", "ipo", "averaged_dpo", "hinge",
    "slic", "dpop", "simpo", "orpo", "rpo", "dpo+0.1*exmate", "mate",
    "my_pkg.my_mod:my_loss",
)  # fmt: skip
WORDS = (
    " The", " answer", ",", " as", " far", " as", " I", " know", ",", " is",
    " instructional", ".", "\n", "\n", " So",
)  # fmt: skip


def tokens_table(
    lengths: tuple[tuple[int, int], ...] = ((14, 18), (30, 22), (90, 120)),
    losses: tuple[str, ...] = LOSSES,
    prefix: int = 4,
    seed: int = 0,
) -> pd.DataFrame:
    """One row per pair, side, position and loss."""
    rng = np.random.default_rng(seed)
    frames = []
    for pair, sizes in enumerate(lengths):
        for side, length in zip(("chosen", "rejected"), sizes, strict=True):
            logp = -rng.gamma(0.5, 2.5, length) - 1e-4
            position = np.arange(length)
            frame = pd.DataFrame(
                {
                    "pair": pair,
                    "row": pair + 1,
                    "side": side,
                    "position": position,
                    "token": [WORDS[t % len(WORDS)] for t in position],
                    "region": np.select(
                        [position < prefix, position == prefix],
                        ["prefix", "first"],
                        "middle",
                    ),
                    "logp": logp,
                }
            )
            frames += [
                frame.assign(loss=loss, weight=_weights(i, loss, side, logp, rng))
                for i, loss in enumerate(losses)
            ]
    return pd.concat(frames, ignore_index=True)


def _weights(i: int, loss: str, side: str, logp: np.ndarray, rng) -> np.ndarray:
    p = np.exp(logp)
    sign = -1.0 if side == "chosen" else 1.0
    if loss == "mle":
        return np.full(len(p), -1.0 if side == "chosen" else 0.0)
    if loss == "unlikelihood_token":
        return np.full(len(p), -1.0) if side == "chosen" else p / (1 - p)
    if loss == "ipo":
        return np.full(len(p), -sign * 3.0)
    if loss.startswith("my_pkg"):
        return rng.normal(size=len(p)) * 1e-6
    return np.full(len(p), sign * 10.0 ** (i % 5 - 3))


def summary_table(losses: tuple[str, ...] = LOSSES) -> pd.DataFrame:
    """One row per loss, with masses from 1e-6 to 1e2 and an exact 0."""
    count = len(losses)
    good = 10.0 ** np.linspace(2, -6, count)
    bad = good * np.where(np.arange(count) == 0, 0, 10.0 ** (np.arange(count) % 4 - 2))
    return pd.DataFrame(
        {
            "loss": losses,
            "mass_chosen": good,
            "mass_rejected": bad,
            "share_before": 0.25,
            "share_at": 0.05,
            "share_after": 0.7,
        }
    )


NASTY = (
    "$x^2$", "\\frac{1}{", "a_b^c", "\n", "\r\n", "\x00\x07", "\u202eevil", "\u200b",
    "\U0001f600\U0001f3f3\ufe0f\u200d\U0001f308", "漢字", " שלום", "مرحبا",
    "<script>alert(1)</script>" * 8, "", "   ", "e\u0301", "%s {0}", "$", "\\$",
    "\u2028", "\ufffd", "A" * 300, "\t", "_hidden",
)  # fmt: skip
NASTY_LABELS = ("_hidden", "$\\alpha$ <b>_x_</b>", "L" * 90, "a\nb\u202e\U0001f600")


def nasty_tokens() -> pd.DataFrame:
    """A pair whose tokens and loss labels are everything that text can be."""
    table = tokens_table(((24, 30),), losses=LOSSES[:4])
    labels = dict(zip(LOSSES[:4], NASTY_LABELS, strict=True))
    table["token"] = [NASTY[t % len(NASTY)] for t in table["position"]]
    table["loss"] = table["loss"].map(labels)
    return table
