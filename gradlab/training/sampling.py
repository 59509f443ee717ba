"""How the next token is chosen from the logits: greedily or by chance."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gradlab.errors import GradlabError
from gradlab.types import Array


class Heat(NamedTuple):
    """Numbers of a sampler that may change without compiling anew."""

    temperature: Array
    top_p: Array


@dataclass(frozen=True)
class Sampler:
    """What a compiled sampler depends on.

    Attributes:
      greedy: take the most likely token.
      top_k: draw among the k most likely tokens; None: among all.
      nucleus: draw from the smallest set of likely tokens with probability top_p.
    """

    greedy: bool
    top_k: int | None
    nucleus: bool


def sampler(
    temperature: float, top_k: int | None, top_p: float | None
) -> tuple[Sampler, Heat]:
    """The sampler with these settings.

    Raises:
      GradlabError: a setting out of range, or a limit on a greedy choice.
    """
    if temperature < 0:
        raise GradlabError(f"temperature={temperature}: expected 0 or more")
    if top_k is not None and (not isinstance(top_k, int) or top_k < 1):
        raise GradlabError(f"top_k={top_k}: expected a positive integer or None")
    if top_p is not None and not 0 < top_p <= 1:
        raise GradlabError(f"top_p={top_p}: expected a number in (0, 1] or None")
    if temperature == 0 and (top_k is not None or top_p is not None):
        raise GradlabError(
            f"temperature=0 is greedy and draws nothing; found top_k={top_k}, "
            f"top_p={top_p}, expected None for both"
        )
    heat = Heat(jnp.float32(temperature or 1.0), jnp.float32(top_p or 1.0))
    return Sampler(temperature == 0, top_k, top_p is not None), heat


def choose(sampler: Sampler, heat: Heat, logits: Array, keys: Array) -> Array:
    """One token for each row of logits [B, V], with the row's own key [B] -> [B]."""
    if sampler.greedy:
        return logits.argmax(-1).astype(jnp.int32)
    limited = limit(sampler, heat, logits / heat.temperature)
    return jax.vmap(jax.random.categorical)(keys, limited).astype(jnp.int32)


def limit(sampler: Sampler, heat: Heat, logits: Array) -> Array:
    """Logits [B, V] with -inf for tokens that `top_k` and then `top_p` leave out.

    The nucleus is taken from the k most likely tokens, their probabilities adding up
    to 1 (the order of transformers). Tokens as likely as the last one stay in.
    """
    if sampler.top_k is None and not sampler.nucleus:
        return logits
    count = min(sampler.top_k or logits.shape[-1], logits.shape[-1])
    best = jax.lax.top_k(logits, count)[0]  # [B, k], the largest first
    last = best[:, -1]
    if sampler.nucleus:
        probs = jax.nn.softmax(best, axis=-1)
        before = jnp.cumsum(probs, axis=-1) - probs
        inside = (before < heat.top_p).sum(-1, keepdims=True)
        last = jnp.take_along_axis(best, jnp.maximum(inside, 1) - 1, axis=-1)[:, 0]
    return jnp.where(logits >= last[:, None], logits, -jnp.inf)
