"""How far the gradients of single pairs agree, read off their Gram matrix."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from gradlab.errors import GradlabError
from gradlab.types import Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class GradientSpread:
    """Agreement of the gradients g_1 ... g_N of N pairs.

    Attributes:
      mean_norm: ||mean of g||, the norm of the batch gradient.
      to_mean: [N] cosine of each g_i with the batch gradient; 0 where one of them is 0.
      top_share: share of the sum of ||g_i||^2 that the largest 5 % of pairs hold, at
        least one pair.
      noise_scale: tr(Cov g) / ||mean||^2, both without bias; infinite where no mean
        can be told from the noise.
    """

    mean_norm: Array
    to_mean: Array
    top_share: Array
    noise_scale: Array


def gradient_spread(gram: Array, *, top: float = 0.05) -> GradientSpread:
    """What the Gram matrix G[i, j] = <g_i, g_j> says of the batch.

    Formula:
        ||mean||^2 = sum_ij G_ij / N^2
        tr Cov     = (sum_i G_ii - N ||mean||^2) / (N - 1)
        noise      = tr Cov / (||mean||^2 - tr Cov / N)

    Args:
      gram: [N, N], from `gradlab.gradients.pair_gram`, N >= 2.
      top: share of the pairs that `top_share` counts, 0 < top <= 1.

    Raises:
      GradlabError: the matrix isn't square, or holds fewer than two pairs.

    References:
      The simple noise scale of McCandlish et al. 2018, arXiv:1812.06162.
    """
    gram = jnp.asarray(gram)
    count = gram.shape[-1]
    if gram.ndim != 2 or gram.shape[0] != count or count < 2:
        raise GradlabError(f"gram has shape {gram.shape}; expected [N, N] with N >= 2")
    if not 0 < top <= 1:
        raise GradlabError(f"top is {top}; expected a share above 0, at most 1")
    squares = jnp.diagonal(gram)
    mean = jnp.maximum(gram.sum(), 0) / count**2
    variance = jnp.maximum(squares.sum() - count * mean, 0) / (count - 1)
    signal = mean - variance / count
    product = jnp.sqrt(squares * mean)
    inner = gram.mean(1)
    largest = jax.lax.top_k(squares, max(1, round(top * count)))[0]
    return GradientSpread(
        mean_norm=jnp.sqrt(mean),
        to_mean=jnp.where(product > 0, inner / jnp.where(product > 0, product, 1), 0),
        top_share=largest.sum() / jnp.where(squares.sum() > 0, squares.sum(), 1),
        noise_scale=jnp.where(
            signal > 0, variance / jnp.where(signal > 0, signal, 1), jnp.inf
        ),
    )
