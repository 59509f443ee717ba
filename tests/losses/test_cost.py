"""What compiling and evaluating the whole catalogue costs."""

import time

import jax
import jax.numpy as jnp
import pytest

from gradlab.gradients import value_and_token_weights
from gradlab.losses import LOSSES, random_pairs
from gradlab.models.config import DecoderConfig
from gradlab.models.functional import build

from .cases import one_setting

pytestmark = pytest.mark.slow
B, T = 64, 512


def seconds(function, *arguments) -> float:
    """The faster of two runs."""
    times = []
    for _ in range(2):
        start = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(time.perf_counter() - start)
    return min(times)


def test_all_losses_compile_in_seconds_and_cost_less_than_a_forward_pass():
    pairs = random_pairs(0, batch=B, chosen_width=T, rejected_width=T)

    def everything(pairs):
        return [
            value_and_token_weights(name, pairs, **one_setting(name)) for name in LOSSES
        ]

    start = time.perf_counter()
    compiled = jax.jit(everything).lower(pairs).compile()
    compiling = time.perf_counter() - start
    weighing = seconds(compiled, pairs)

    # A forward pass on the same batch, timed on a 32nd of it: 64 would need 12 GiB.
    config = DecoderConfig(
        vocab_size=32_000, width=768, layers=12, heads=12, ff_width=2048, max_length=T
    )
    model, params = build(config)
    tokens = jnp.zeros((B // 32, T), jnp.int32)
    scoring = 32 * seconds(jax.jit(model.apply), params, tokens)

    print(f"compile {compiling:.1f} s, weigh {weighing:.3f} s, forward {scoring:.1f} s")
    assert compiling <= 20.0
    assert weighing < scoring
