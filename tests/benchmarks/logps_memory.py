"""Peak temporary memory and time of token statistics: dense against chunked.

Run with `python tests/benchmarks/logps_memory.py`; it is no test. It asks XLA for the
temporary memory of each compiled program (nothing is estimated), at the vocabulary of
GPT-2. Dense memory grows with T * V; chunked memory must not.
"""

import argparse
import time

import jax

from gradlab.models.logps import token_stats, token_stats_from_logits

VOCAB, DEPTH = 50_257, 64


def dense(hidden, head, targets):
    """All statistics from [1, T, V] logits."""
    return token_stats_from_logits(hidden @ head, targets)


def by_positions(hidden, head, targets):
    """The default: 256 positions at a time, the whole vocabulary."""
    return token_stats(hidden, head, targets)


def by_both(hidden, head, targets):
    """256 positions and 8,192 tokens of the vocabulary at a time."""
    return token_stats(hidden, head, targets, vocab_chunk=8192)


def forward(statistics):
    """All five statistics."""
    return statistics


def reverse(statistics):
    """The gradient of the summed log-probabilities in hidden states and head."""

    def total(hidden, head, targets):
        return statistics(hidden, head, targets).logps.sum()

    return jax.grad(total, argnums=(0, 1))


def tangent(statistics):
    """The directional derivative of the log-probabilities along (hidden, head)."""

    def along(hidden, head, targets):
        def logps(*primals):
            return statistics(*primals, targets).logps

        return jax.jvp(logps, (hidden, head), (hidden, head))[1]

    return along


def measure(mode, statistics, length: int, *, timed: bool) -> tuple[float, float]:
    """(temporary MiB, best seconds of two runs) at one length."""
    keys = jax.random.split(jax.random.key(0), 3)
    hidden = jax.random.normal(keys[0], (1, length, DEPTH))
    head = jax.random.normal(keys[1], (DEPTH, VOCAB)) / DEPTH**0.5
    targets = jax.random.randint(keys[2], (1, length), 0, VOCAB)
    run = jax.jit(mode(statistics)).lower(hidden, head, targets).compile()
    memory = run.memory_analysis().temp_size_in_bytes / 2**20
    seconds = float("nan")
    for _ in range(2 if timed else 0):
        start = time.perf_counter()
        jax.block_until_ready(run(hidden, head, targets))
        elapsed = time.perf_counter() - start
        seconds = elapsed if seconds != seconds else min(seconds, elapsed)
    return memory, seconds


def main():
    """Prints one row for each pass, form and length."""
    parser = argparse.ArgumentParser(description=__doc__)
    lengths = [256, 512, 1024, 2048]
    parser.add_argument("--lengths", type=int, nargs="+", default=lengths)
    parser.add_argument("--no-time", action="store_true", help="compile only")
    options = parser.parse_args()
    print(f"V = {VOCAB:,}, D = {DEPTH}, float32, {jax.devices()[0].device_kind}")
    heads = "".join(f"{f'T={length}':>17}" for length in options.lengths)
    print(f"{'temporary MiB (seconds)':31}{heads}")
    for mode in (forward, reverse, tangent):
        for statistics in (dense, by_positions, by_both):
            cells = ""
            for length in options.lengths:
                memory, seconds = measure(
                    mode, statistics, length, timed=not options.no_time
                )
                cells += f"{memory:9,.0f} ({seconds:5.2f})"
            print(f"{mode.__name__:10}{statistics.__name__:21}{cells}", flush=True)


if __name__ == "__main__":
    main()
