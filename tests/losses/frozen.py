"""Losses with what they hold constant frozen at one batch.

The first call records what every `stop_gradient` returns, later calls replay it. The
replayed loss is an ordinary function whose derivative can be compared with differences.
"""

from contextlib import contextmanager
from unittest import mock

import jax

from gradlab.losses import BoundLoss
from gradlab.types import PairLogps


@contextmanager
def stop_gradient_as(function):
    with mock.patch.object(jax.lax, "stop_gradient", function):
        yield


def frozen_at(loss: BoundLoss, pairs: PairLogps) -> BoundLoss:
    """`loss` with the results of its stop_gradient calls fixed at `pairs`."""
    recorded = []
    original = jax.lax.stop_gradient

    def record(x):
        recorded.append(original(x))
        return recorded[-1]

    with stop_gradient_as(record):
        loss(pairs)

    def replayed(pairs, **hyper):
        remaining = iter(recorded)
        with stop_gradient_as(lambda x: next(remaining)):
            return loss.function(pairs, **hyper)

    return BoundLoss(loss.label, lambda pairs: replayed(pairs, **loss.hyper))
