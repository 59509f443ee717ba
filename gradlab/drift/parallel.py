"""Batches side by side on a CPU, in order of their first shapes.

One program seldom keeps two cores busy, and compiling never does. Results come back in
the order of the work, so that sums do not depend on how the threads were scheduled.
"""

import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import jax

Work = TypeVar("Work")
MOST_THREADS = 4  # each holds a batch's intermediate values


def spread(items: Sequence[Work], shape: Callable[[Work], Hashable]) -> list[Work]:
    """The items with one of each shape first, so that no two threads compile one shape.

    Example:
      >>> spread(["aa", "bb", "c", "d"], shape=len)
      ['aa', 'c', 'bb', 'd']
    """
    seen: dict[Hashable, int] = {}
    order = []
    for item in items:
        key = shape(item)
        order.append(seen.get(key, 0))
        seen[key] = order[-1] + 1
    return [item for _, item in sorted(zip(order, items, strict=True), key=_first)]


def _first(pair: tuple[int, Any]) -> int:
    return pair[0]


def in_parallel(run: Callable[[Work], Any], items: Sequence[Work]) -> Iterator[Any]:
    """run(item) for each item, in order; on a CPU a few at a time.

    An accelerator works through its own queue, so there the items just follow each
    other. The settings of jax that hold for one thread are carried into the others.
    """
    threads = min(MOST_THREADS, len(items), os.cpu_count() or 1)
    if threads < 2 or jax.default_backend() != "cpu":
        yield from map(run, items)
        return
    wide = jax.config.jax_enable_x64  # type: ignore[attr-defined]
    precision = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]

    def one(item: Work) -> Any:
        with jax.enable_x64(wide), jax.default_matmul_precision(precision):
            return jax.block_until_ready(run(item))

    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(one, items)
