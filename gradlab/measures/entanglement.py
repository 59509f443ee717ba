"""Entanglement of the two responses: which side falls when a loss takes one step.

For one pair and one step of gradient descent, with s_c, s_r the gradients of the summed
log-probabilities S_c, S_r (the *scores*) and a loss that pulls S_c up by d_c >= 0 and
pushes S_r down by d_r >= 0,

    dS_c / eta = d_c <s_c, s_c> - d_r <s_c, s_r>      own pull minus the other's push
    dS_r / eta = d_c <s_r, s_c> - d_r <s_r, s_r>

The four products are an `Influence`; everything here is a function of them. They exist
for token-varying weights and for any preconditioned inner product too.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.errors import GradlabError
from gradlab.gradients.token import token_weights
from gradlab.types import Array, LossFn, PairLogps

CASES = ("no push", "ideal", "both fall", "both rise", "reversed")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ScoreProducts:
    """Products of a pair's two score gradients, in squared nats per parameter unit².

    Attributes:
      chosen: [B] n_c = <s_c, s_c>.
      rejected: [B] n_r = <s_r, s_r>.
      inner: [B] <s_c, s_r>.
    """

    chosen: Array
    rejected: Array
    inner: Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Influence:
    """What each side's part of a step does to each side, nats per unit learning rate.

    With G_c = -sum_t w_t grad l_t over chosen tokens and G_r = +sum_t w_t grad l_t over
    rejected tokens, all [B]:

    Attributes:
      chosen_own: <s_c, G_c>, by how much the chosen part raises the chosen response.
      chosen_cross: <s_c, G_r>, by how much the rejected part lowers it.
      rejected_cross: <s_r, G_c>, by how much the chosen part raises the rejected one.
      rejected_own: <s_r, G_r>, by how much the rejected part lowers it.
    """

    chosen_own: Array
    chosen_cross: Array
    rejected_cross: Array
    rejected_own: Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Entanglement:
    """One row per pair, [B]; changes are in nats per unit learning rate.

    Attributes:
      chosen_change: dS_c / eta; negative: the chosen response falls.
      rejected_change: dS_r / eta.
      kappa_chosen: pushed over pulled on the chosen side; it falls iff above 1.
      kappa_rejected: pulled over pushed on the rejected side; it rises iff above 1.
      case: index into `CASES`: 1 chosen up, rejected down; 2 both fall; 3 both rise;
        4 reversed; 0 where the step moves neither.
      margin_falls: S_c - S_r gets smaller.
    """

    chosen_change: Array
    rejected_change: Array
    kappa_chosen: Array
    kappa_rejected: Array
    case: Array
    margin_falls: Array


def influence_of_sums(products: ScoreProducts, d_c: Array, d_r: Array) -> Influence:
    """The influence of a loss of S_c and S_r alone, from its two slopes.

    Args:
      products: of each pair, in any inner product.
      d_c: [B] -dL/dS_c, the pull on the chosen response, loss per nat.
      d_r: [B] +dL/dS_r, the push on the rejected response, loss per nat.

    Returns:
      d_c n_c, d_r <s_c, s_r>, d_c <s_c, s_r> and d_r n_r.
    """
    return Influence(
        chosen_own=d_c * products.chosen,
        chosen_cross=d_r * products.inner,
        rejected_cross=d_c * products.inner,
        rejected_own=d_r * products.rejected,
    )


def entanglement(influence: Influence, *, band: float | None = None) -> Entanglement:
    """Changes, conditions and case of each pair.

    Formula:
        chosen rises    iff d_c n_c >= d_r ip     (kappa_chosen = d_r ip / (d_c n_c))
        rejected falls  iff d_r n_r >= d_c ip     (kappa_rejected = d_c ip / (d_r n_r))

    Args:
      influence: of each pair, [B].
      band: a change counts as none while it is smaller than this share of the two
        terms whose difference it is; by default 16 units of rounding.

    Returns:
      `Entanglement`. A kappa is NaN where 0 is divided by 0, infinite where only its
      denominator is 0.

    Guarantees:
      Case 4 can't occur for non-negative weights constant along each response, in any
      inner product (Cauchy-Schwarz); with token-varying weights it can.

    Example:
      >>> products = ScoreProducts(jnp.ones(1), 4 * jnp.ones(1), 1.5 * jnp.ones(1))
      >>> row = entanglement(influence_of_sums(products, jnp.ones(1), jnp.ones(1)))
      >>> CASES[int(row.case[0])], float(row.chosen_change[0])
      ('both fall', -0.5)

    References:
      Yuan et al., A Common Pitfall of Margin-based Language Model Alignment: Gradient
      Entanglement, arXiv:2410.13828; for unequal weights by the same algebra.
    """
    chosen = _difference(influence.chosen_own, influence.chosen_cross, band)
    rejected = _difference(influence.rejected_cross, influence.rejected_own, band)
    falls = jnp.where(chosen < 0, 1, 0)
    rises = jnp.where(rejected > 0, 2, 0)
    sizes = sum(jnp.abs(leaf) for leaf in jax.tree.leaves(influence))
    margin = _difference(
        influence.chosen_own + influence.rejected_own,
        influence.chosen_cross + influence.rejected_cross,
        band,
    )
    return Entanglement(
        chosen_change=influence.chosen_own - influence.chosen_cross,
        rejected_change=influence.rejected_cross - influence.rejected_own,
        kappa_chosen=influence.chosen_cross / influence.chosen_own,
        kappa_rejected=influence.rejected_cross / influence.rejected_own,
        case=jnp.where(sizes == 0, 0, 1 + falls + rises),
        margin_falls=margin < 0,
    )


def _difference(plus: Array, minus: Array, band: float | None) -> Array:
    """plus - minus, or 0 where the two cancel to within the band."""
    plus, minus = jnp.asarray(plus), jnp.asarray(minus)
    share = 16 * jnp.finfo(plus.dtype).eps if band is None else band
    change = plus - minus
    return jnp.where(
        jnp.abs(change) <= share * (jnp.abs(plus) + jnp.abs(minus)), 0, change
    )


def cosine(products: ScoreProducts) -> Array:
    """Cosine of the two score gradients, [B]; NaN where one of them is 0."""
    return products.inner / (jnp.sqrt(products.chosen) * jnp.sqrt(products.rejected))


def kappa_min(products: ScoreProducts) -> Array:
    """<s_c, s_r> / min(n_c, n_r), [B]: above 1 iff equal weights entangle the pair.

    Both norms enter. A published script takes the chosen norm twice, and so never sees
    that the rejected response may be the one that rises.
    """
    return products.inner / jnp.minimum(products.chosen, products.rejected)


def margin_can_fall(d_c: Array, d_r: Array) -> Array:
    """The cosine above which a step can lower the margin, for some pair of norms.

    Formula:
        2 sqrt(d_c d_r) / (d_c + d_r); 1 for equal weights: their margin never falls.
    """
    return 2.0 * jnp.sqrt(d_c * d_r) / (d_c + d_r)


def sequence_weights(
    loss: str | LossFn, pairs: PairLogps, **hyper
) -> tuple[Array, Array]:
    """d_c and d_r of a loss: its pull and its push, per nat of each response's sum.

    Args:
      loss: anything `resolve` takes.
      pairs: token log-probabilities, concrete arrays.
      **hyper: the loss's hyperparameters.

    Returns:
      (d_c, d_r), [B] each: -w on chosen and +w on rejected tokens.

    Raises:
      GradlabError: the loss's weights vary along a response (unlikelihood, the token
        form of ExMATE and the like); use `token_influence` for them.

    Example:
      >>> d_c, d_r = sequence_weights("dpo", example_pair(), beta=0.1)
      >>> f"{d_c[0]:.4f} {d_r[0]:.4f}"
      '0.0475 0.0475'
    """
    weights = token_weights(loss, pairs, **hyper)
    return (
        -_constant(weights.chosen, pairs.chosen_mask, "chosen", loss),
        _constant(weights.rejected, pairs.rejected_mask, "rejected", loss),
    )


def mean_and_spread(weights: Array, mask: Array) -> tuple[Array, Array]:
    """Mean and greatest deviation from it of the weights [N, T] of each response, [N].

    0 and 0 for a response without tokens.
    """
    inside = jnp.asarray(mask, bool)
    total = jnp.sum(jnp.where(inside, weights, 0), -1)
    mean = total / jnp.maximum(jnp.sum(inside, -1), 1)
    deviation = jnp.where(inside, jnp.abs(weights - mean[..., None]), 0)
    return mean, jnp.max(deviation, -1)


def _constant(weights: Array, mask: Array, side: str, loss: str | LossFn) -> Array:
    mean, spread = mean_and_spread(weights, mask)
    vary = spread > 1e3 * jnp.finfo(weights.dtype).eps * jnp.abs(mean)
    if bool(jnp.any(vary)):
        row = int(jnp.argmax(vary))
        raise GradlabError(
            f"the weights of the loss {loss!r} vary along the {side} response of pair "
            f"{row} by {float(spread[row]):.3g} around {float(mean[row]):.3g}; "
            "expected a loss of the two sums (use token_influence for this one)"
        )
    return mean


def case_shares(
    cases: Iterable[int], *, z: float = 1.959964
) -> Mapping[str, tuple[float, float, float]]:
    """The share of each case with its Wilson interval.

    Formula:
        (k + z²/2 ± z sqrt(k (n - k) / n + z²/4)) / (n + z²)

    Args:
      cases: indices into `CASES`, one per pair.
      z: normal quantile of the interval; the default gives 95 %.

    Returns:
      name of the case -> (share, low, high). A non-zero share of "reversed" for a loss
      of the two sums is a numerical alarm.

    Raises:
      GradlabError: no pairs, or an index that is no case.

    Example:
      >>> shares = case_shares([1, 1, 2, 1])
      >>> shares["ideal"][0], [round(x, 3) for x in shares["ideal"][1:]]
      (0.75, [0.301, 0.954])
    """
    codes = np.asarray(cases).ravel()
    if codes.size == 0 or codes.min() < 0 or codes.max() >= len(CASES):
        raise GradlabError(
            f"cases: got {codes.size} numbers beginning with {codes[:5].tolist()}; "
            f"expected at least one, each an index from 0 to {len(CASES) - 1}"
        )
    counts = np.bincount(codes, minlength=len(CASES))
    return {
        name: _wilson(int(count), codes.size, z)
        for name, count in zip(CASES, counts, strict=True)
    }


def _wilson(count: int, total: int, z: float) -> tuple[float, float, float]:
    middle = count + z * z / 2
    half = z * math.sqrt(count * (total - count) / total + z * z / 4)
    low, high = ((middle + sign * half) / (total + z * z) for sign in (-1, 1))
    # The bound is exactly 0 or 1 when no pair or every pair is in the case.
    return count / total, max(low, 0.0) if count else 0.0, min(high, 1.0)
