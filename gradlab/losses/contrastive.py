"""Noise-contrastive losses of log-ratios: InfoNCA and NCA.

Symbols as in `gradlab.losses.dpo`; x = beta h.
"""

import jax

from gradlab.errors import LossInputError
from gradlab.losses.checks import check_range
from gradlab.losses.terms import log_ratios, logistic_loss, upcast
from gradlab.types import Array, PairLogps


def nca_pair(pairs: PairLogps, *, beta: float = 0.01) -> Array:
    """NCA on a pair: absolute likelihood of the chosen, not only its lead.

    Formula:
        L = -log s(beta a) - (1/2) log s(-beta a) - (1/2) log s(-beta b)

    Gradient:
        D_w = -beta [s(-beta a) - (1/2) s(beta a)], 0 at beta a = log 2: the chosen's
        log-ratio has a target of its own. D_l = (beta/2) s(beta b).

    Args:
      pairs: token log-probabilities with reference.
      beta: strength of the pull to the reference, per nat.

    Returns:
      [B]; 2 log 2 where policy and reference agree.

    Raises:
      LossInputError: no reference, or arrays of unequal shape.

    Conventions:
        thu-ml/Noise-Contrastive-Alignment cbb9248, TRL 1.16 `nca_pair` and
        turbo-alignment 72e737d agree.

    Example:
      >>> f"{nca_pair(example_pair())[0]:.4f}"
      '1.3838'

    References:
      Chen et al., Noise Contrastive Alignment of Language Models with Explicit Rewards,
      arXiv:2402.05369.
    """
    a, b = log_ratios(pairs, "nca_pair")
    chosen = logistic_loss(beta * a) + 0.5 * logistic_loss(-beta * a)
    return chosen + 0.5 * logistic_loss(-beta * b)


def infonca(pairs: PairLogps, *, beta: float = 0.01, q: float | Array = 1.0) -> Array:
    """InfoNCA on a pair with a soft label.

    Formula:
        L = -q log s(x) - (1-q) log s(-x)

    Gradient:
        D_w = -beta (q - s(x)), D_l = -D_w. Stationary at s(x) = q.

    Args:
      pairs: token log-probabilities with reference.
      beta: strength of the pull to the reference, per nat.
      q: probability that the chosen is the better one, in [0, 1]: a number, or one per
        pair, [B]. From rewards: s((r_w - r_l) / alpha), alpha the reward temperature.

    Returns:
      [B]; log 2 where policy and reference agree.

    Raises:
      LossInputError: no reference, q out of range, or arrays of unequal shape.

    Conventions:
        q = 1 is `dpo`, and q = 1 - eps is `dpo` with label smoothing eps. The released
        reward-dataset code (thu-ml/Noise-Contrastive-Alignment cbb9248) adds 0.01 to
        the best answer's score to break ties; not done here. For more than two
        answers see `infonca_candidates`.

    Example:
      >>> f"{infonca(example_pair(), beta=0.1)[0]:.4f}"
      '0.6444'

    References:
      Chen et al., Noise Contrastive Alignment of Language Models with Explicit Rewards,
      arXiv:2402.05369.
    """
    check_range("infonca", "q", q, 0.0, 1.0, closed_high=True)
    a, b = log_ratios(pairs, "infonca")
    x = beta * (a - b)
    return q * logistic_loss(x) + (1.0 - q) * logistic_loss(-x)


def infonca_candidates(
    log_ratios: Array, rewards: Array, *, alpha: float, beta: float = 0.01
) -> Array:
    """InfoNCA on K answers with rewards. It takes no pairs, so it isn't in `LOSSES`.

    Formula:
        L = -sum_i softmax(r/alpha)_i log softmax(beta d)_i

    Gradient:
        dL/dd_i = -beta (softmax(r/alpha)_i - softmax(beta d)_i)

    Args:
      log_ratios: [B, K] d, each answer's summed log-ratio of policy to reference.
      rewards: [B, K] r, in the rewards' own unit.
      alpha: temperature of the rewards, in the same unit.
      beta: strength of the pull to the reference, per nat.

    Returns:
      [B].

    Raises:
      LossInputError: arrays of unequal shape.

    Example:
      >>> d, r = jax.numpy.array([[0.5, -0.5]]), jax.numpy.array([[1.0, 0.0]])
      >>> f"{infonca_candidates(d, r, alpha=0.1)[0]:.4f}"
      '0.6882'

    References:
      Chen et al., Noise Contrastive Alignment of Language Models with Explicit Rewards,
      arXiv:2402.05369.
    """
    log_ratios, rewards = upcast(log_ratios), upcast(rewards)
    if log_ratios.shape != rewards.shape:
        raise LossInputError(
            f"infonca_candidates: rewards has shape {rewards.shape}; expected "
            f"{log_ratios.shape}, the shape of log_ratios"
        )
    labels = jax.lax.stop_gradient(jax.nn.softmax(rewards / alpha))
    return -(labels * jax.nn.log_softmax(beta * log_ratios)).sum(-1)
