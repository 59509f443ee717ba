"""Curves over a training as the JSON that the page's script reads."""

from typing import Any

import pandas as pd

from gradlab.report.packing import plain_number
from gradlab.tables import select

# quantity of probes.csv -> its name and unit; others go by their own name
PROBES = {
    "drift_sum": ("drift of a text, Δ log p since the start", "nats"),
    "drift_mean": ("drift per token, Δ log p since the start", "nats per token"),
    "below_start": ("share of texts less likely than at the start", ""),
    "logp_sum": ("log-probability of a text", "nats"),
    "logp_mean": ("log-probability per token", "nats per token"),
    "logp_sum_margin": ("log-probability, chosen minus rejected", "nats"),
    "accuracy": ("share of pairs whose chosen text is the likelier", ""),
    "entropy_mean": ("entropy of the predictions", "nats per token"),
    "hit_mean": ("share of tokens that are the most likely ones", ""),
    "top_k_mass_mean": ("probability of the k most likely tokens", ""),
    "max_logp_sum": ("log-probability of the most likely tokens", "nats"),
    "predicted_sum": ("drift by the coming step, predicted", "nats"),
    "realised_sum": ("drift by the coming step, realised", "nats"),
    "len": ("length of a text", "tokens"),
    "answers": ("share of new problems solved exactly", ""),
}
TRAINING = {
    "loss": ("loss", ""),
    "logps_sum": ("log-probability of a response", "nats"),
    "logps_mean": ("log-probability per token", "nats per token"),
    "drift": ("drift of a response since the start", "nats"),
    "rewards": ("implicit rewards", ""),
    "weights": ("total weight Σ|∂L/∂log p|", "loss per nat"),
    "grad_norm": ("norm of the gradient", ""),
    "learning_rate": ("learning rate", ""),
    "len": ("length of a response", "tokens"),
    "num_tokens": ("tokens seen", "tokens"),
    "epoch": ("epochs", ""),
}
QUANTILES = "means over the texts; bands: from the 10 % to the 90 % quantile"
INTERVAL = "shares; bands: 95 % intervals"
NAMES = {"probes": PROBES, "training": TRAINING}


def curves_payload(curves: pd.DataFrame) -> list[dict[str, Any]]:
    """One entry per quantity: key, source, label, unit, what its bands are, its series.

    A series has its steps and values, and where they are known low and high.
    """
    found = []
    if curves.empty:
        return found
    keys = curves[["source", "quantity"]].drop_duplicates()
    for source, quantity in keys.itertuples(index=False, name=None):
        rows = select(curves, source=source, quantity=quantity)
        label, unit = NAMES[source].get(quantity, (quantity.replace("_", " "), ""))
        series = {
            str(name): _series(own) for name, own in rows.groupby("series", sort=False)
        }
        entry = {"key": f"{source}:{quantity}", "source": source, "label": label}
        band = INTERVAL if quantity == "answers" else QUANTILES
        found.append({**entry, "unit": unit, "band": band, "series": series})
    return sorted(found, key=_place)


def _place(entry: dict[str, Any]) -> tuple[str, int]:
    known = list(NAMES[entry["source"]])
    name = entry["key"].partition(":")[2]
    return entry["source"], known.index(name) if name in known else len(known)


def _series(rows: pd.DataFrame) -> dict[str, Any]:
    rows = rows.sort_values("step", kind="stable")
    found: dict[str, Any] = {"step": [int(step) for step in rows["step"]]}
    for name in ("value", "low", "high"):
        if name in rows and bool(rows[name].notna().any()):
            found[name] = [_shown(value) for value in rows[name]]
    return found


def _shown(value: float) -> Any:
    """Six digits, of which the page shows four."""
    return plain_number(float(f"{value:.6g}"))
