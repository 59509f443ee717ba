"""CHES: how much the hidden states of two responses have in common.

With h_k the hidden vector that the unembedding reads when token k is predicted, and
H_c, H_r its sums over the responses, the centred hidden embedding similarity is

    CHES     = <H_c, H_r> - ||H_c||^2
    LN-CHES  = <H_c, H_r> / (n_c n_r) - ||H_c||^2 / n_c^2

Pairs of high CHES are those whose chosen answer is pushed down (Razin et al.,
Unintentional Unalignment: Likelihood Displacement in Direct Preference Optimization,
arXiv:2410.08847, Definition 2). Compare pairs under one model, never across models.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.core import Tracer

from gradlab.errors import GradlabError
from gradlab.types import Array

LAST = ("predictors", "include_final")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ResponseHidden:
    """What one side's hidden states contribute, float32 or wider.

    Attributes:
      total: [B, D] sum of the states.
      final: [B, D] the last of them.
      count: [B] how many.
    """

    total: Array
    final: Array
    count: Array


def response_hidden(
    hidden: Array, start: Array, length: Array, *, last: str = "predictors"
) -> ResponseHidden:
    """Sums the hidden states of each response.

    Args:
      hidden: [B, T, D] of prompt and response, what the unembedding reads (after the
        final norm); padded on either side with anything, NaN included.
      start: [B] position of the first response token, at least 1.
      length: [B] response tokens, at least 1.
      last: "predictors": the `length` states that predict response tokens, from the
        last prompt token to the last but one response token, as in the definition;
        "include_final": the state at the final response token too, as in the released
        experiment script (where the final token may be EOS, depending on the data).

    Returns:
      `ResponseHidden`. Under "include_final" the count is `length` + 1.

    Raises:
      GradlabError: an unknown convention, or a range outside [0, T).
    """
    if last not in LAST:
        raise GradlabError(f"last={last!r}; expected one of {', '.join(LAST)}")
    count = length + (last == "include_final")
    _check_range(start - 1, start - 1 + count, hidden.shape[1])
    places = jnp.arange(hidden.shape[1])
    inside = (places >= start[:, None] - 1) & (places < (start - 1 + count)[:, None])
    wide = hidden.astype(jnp.promote_types(hidden.dtype, jnp.float32))
    final = jnp.take_along_axis(wide, (start - 2 + count)[:, None, None], axis=1)
    return ResponseHidden(
        # Selected, not multiplied: padding may hold NaN.
        total=jnp.sum(jnp.where(inside[..., None], wide, 0), axis=1),
        final=final[:, 0],
        count=count,
    )


def _check_range(low: Array, high: Array, width: int) -> None:
    if isinstance(low, Tracer) or isinstance(high, Tracer):
        return
    bad = (low < 0) | (high > width) | (high <= low)
    if bool(jnp.any(bad)):
        row = int(jnp.argmax(bad))
        raise GradlabError(
            f"response {row} needs hidden states {int(low[row])} to "
            f"{int(high[row]) - 1}, but there are states 0 to {width - 1}; expected "
            "start >= 1, length >= 1 and a response inside the tokens"
        )


def ches(chosen: ResponseHidden, rejected: ResponseHidden) -> Array:
    """CHES of each pair, [B], in squared hidden units.

    Example:
      >>> states = jnp.array([[[1.0, 0.0], [0.0, 2.0], [5.0, 5.0]]])
      >>> start, length = jnp.array([1]), jnp.array([2])
      >>> one = response_hidden(states, start, length)
      >>> two = response_hidden(3 * states, start, length)
      >>> float(ches(one, two)[0])
      10.0
    """
    return _inner(chosen.total, rejected.total) - _inner(chosen.total, chosen.total)


def ln_ches(chosen: ResponseHidden, rejected: ResponseHidden) -> Array:
    """Length-normalised CHES of each pair, [B]: CHES of the mean hidden states.

    The one to filter data with: plain CHES grows with the length of the rejected
    response, since inner products of hidden states are almost all positive.
    """
    mean_c = chosen.total / chosen.count[:, None]
    mean_r = rejected.total / rejected.count[:, None]
    return _inner(mean_c, mean_r) - _inner(mean_c, mean_c)


def last_hidden_inner(chosen: ResponseHidden, rejected: ResponseHidden) -> Array:
    """Inner product of the two last hidden states, [B]."""
    return _inner(chosen.final, rejected.final)


def last_hidden_cosine(chosen: ResponseHidden, rejected: ResponseHidden) -> Array:
    """Cosine of the two last hidden states, [B]; NaN where one of them is 0."""
    norms = jnp.linalg.norm(chosen.final, axis=-1) * jnp.linalg.norm(
        rejected.final, axis=-1
    )
    return _inner(chosen.final, rejected.final) / norms


def residual_products(
    logits: Array, targets: Array, other_logits: Array, other_targets: Array
) -> Array:
    """Coefficients a[t, t'] = <e_y - p, e_y' - p'> of two responses of one pair.

    They weigh the inner products of hidden states in the change of a response's
    log-probability: the part of <s_c, s_r> that goes through the unembedding is
    sum_{t, t'} a[t, t'] <h_t, h'_t'>.

    Args:
      logits: [T, V] at the positions that predict `targets`.
      targets: [T] token ids.
      other_logits: [T', V]
      other_targets: [T']

    Returns:
      [T, T'], each in [-2, 2]. CHES takes them all as positive and equal.
    """
    return _residuals(logits, targets) @ _residuals(other_logits, other_targets).T


def _residuals(logits: Array, targets: Array) -> Array:
    wide = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return jax.nn.one_hot(targets, logits.shape[-1], dtype=wide.dtype) - jax.nn.softmax(
        wide
    )


def _inner(one: Array, two: Array) -> Array:
    return jnp.sum(one * two, axis=-1)
