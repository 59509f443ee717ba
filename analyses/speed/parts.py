"""The parts of the study: each yields its cases, with sides that compute the same.

A further part is a module with such a function, and a row here.
"""

from collections.abc import Callable, Iterator

from analyses.speed import drift, logps, pair_gradients, token_weights
from analyses.speed.config import Config
from analyses.speed.programs import Case

PARTS: dict[str, Callable[[Config, int], Iterator[Case]]] = {
    "drift": drift.cases,
    "pair_gradients": pair_gradients.cases,
    "token_weights": token_weights.cases,
    "logps": logps.cases,
}
