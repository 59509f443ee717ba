"""Log-probs of target tokens under a large vocabulary: by chunks, or from all logits.

Sides: `gradlab` is `token_logps`; `jax_full` and `torch_full` are log-softmax over the
logits of all positions. Settings: forward; and backward, which includes the forward
pass and gives the gradient in hidden states and head.
"""

from collections.abc import Callable, Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from analyses.speed.config import Config
from analyses.speed.programs import Case, Program, jax_program
from gradlab.models.logps import token_logps
from gradlab.types import Array

SETTINGS = ("forward", "backward")
LogpsFn = Callable[[Array, Array, Array], Array]


def cases(config: Config, seed: int) -> Iterator[Case]:
    """Both settings at every number of positions, which is `size`."""
    for setting in SETTINGS:
        for length in config.lengths:
            make = partial(_arrays, config, length, seed)
            yield Case(
                "logps",
                setting,
                length,
                {
                    "gradlab": lambda m=make, s=setting: _jax(token_logps, m(), s),
                    "jax_full": lambda m=make, s=setting: _jax(full_logps, m(), s),
                    "torch_full": lambda m=make, s=setting: _torch(m(), s),
                },
                facts={"vocab_size": config.head_vocab_size},
            )


def full_logps(hidden: Array, head: Array, targets: Array) -> Array:
    """Log-softmax over all logits at once, [1, T]."""
    logps = jax.nn.log_softmax(hidden @ head)
    return jnp.take_along_axis(logps, targets[..., None], axis=-1)[..., 0]


def _arrays(config: Config, length: int, seed: int) -> tuple[Array, Array, Array]:
    """Hidden states [1, T, D], head [D, V], targets [1, T]."""
    rng = np.random.default_rng(seed)
    depth, vocab = config.head_width, config.head_vocab_size
    hidden = rng.normal(size=(1, length, depth)).astype(np.float32)
    head = (rng.normal(size=(depth, vocab)) / depth**0.5).astype(np.float32)
    targets = rng.integers(vocab, size=(1, length), dtype=np.int32)
    return jnp.asarray(hidden), jnp.asarray(head), jnp.asarray(targets)


def _jax(
    logps_fn: LogpsFn, arrays: tuple[Array, Array, Array], setting: str
) -> Program:
    def forward(hidden: Array, head: Array, targets: Array) -> tuple[Array]:
        return (logps_fn(hidden, head, targets),)

    def backward(hidden: Array, head: Array, targets: Array) -> tuple[Array, ...]:
        logps, pull = jax.vjp(lambda x, w: logps_fn(x, w, targets), hidden, head)
        return logps, *pull(jnp.ones_like(logps))

    return jax_program(forward if setting == "forward" else backward, *arrays)


def _torch(arrays: tuple[Array, Array, Array], setting: str) -> Program:
    from analyses.speed.torch_side import full_logps

    hidden, head, targets = map(np.asarray, arrays)
    return full_logps(hidden, head, targets, setting)
