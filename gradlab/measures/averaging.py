"""Optima over a finite set of responses: summed and averaged log-likelihoods.

With rewards r (the Bradley-Terry scores for DPO, the mean chance to win over tau / beta
for IPO), lengths L and every pair compared, a loss fixes all differences of r / beta
between responses. Where it compares summed log-ratios the policy is therefore
pi_ref exp(r / beta - c); where it compares log-ratios per token,

    pi = pi_ref exp(L (r / beta - c)),    c such that pi sums to 1.

The second is not the optimum of the expected reward less beta times the KL per token,
pi_ref exp(L (r - mu) / beta - 1), unless all lengths are equal.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import logsumexp

from gradlab.errors import GradlabError

_STEPS = 200  # of Newton's method; it takes about ten


def summed_optimum(ref_logps, rewards, *, beta: float) -> np.ndarray:
    """log pi of pi_ref exp(r / beta - c), [n] nats.

    Example:
      >>> found = summed_optimum(np.log([0.5, 0.5]), [1.0, 0.0], beta=1.0)
      >>> np.exp(found).round(3)
      array([0.731, 0.269])
    """
    logps = np.asarray(ref_logps, float) + np.asarray(rewards, float) / beta
    return logps - logsumexp(logps)


def averaged_optimum(ref_logps, rewards, lengths, *, beta: float) -> np.ndarray:
    """log pi of pi_ref exp(L (r / beta - c)), [n] nats.

    Args:
      ref_logps: [n] log-probabilities of all responses; they sum to 1.
      rewards: [n]
      lengths: [n] tokens, positive.
      beta: strength of the pull to the reference, tokens per nat.

    Returns:
      [n] log-probabilities that sum to 1; c is unique, since the sum falls in it.

    Raises:
      GradlabError: a length that isn't positive, or a reference that doesn't sum to 1.

    Example:
      Equal rewards: the reference, whatever the lengths.
      >>> found = averaged_optimum(np.log([0.5, 0.5]), [1.0, 1.0], [1, 9], beta=0.5)
      >>> np.exp(found).round(3)
      array([0.5, 0.5])
    """
    ref, lengths = _checked(ref_logps, lengths)
    tilt = ref + lengths * np.asarray(rewards, float) / beta
    return _normalised(lambda c: tilt - lengths * c, lengths)


def averaged_kl_optimum(ref_logps, rewards, lengths, *, beta: float) -> np.ndarray:
    """log pi that maximises E[r] - beta E[log(pi / pi_ref) / L], [n] nats.

    Formula:
        pi = pi_ref exp(L (r - mu) / beta - 1)

    Args:
      ref_logps: as in `averaged_optimum`, like the rest.
      rewards: [n]
      lengths: [n]
      beta: of the objective.

    Raises:
      GradlabError: as `averaged_optimum`.
    """
    ref, lengths = _checked(ref_logps, lengths)
    tilt = ref + lengths * np.asarray(rewards, float) / beta - 1
    return _normalised(lambda mu: tilt - lengths * mu, lengths)


def averaging_operator(
    logps, ref_logps, rewards, lengths, *, beta: float
) -> np.ndarray:
    """One application of T: pi -> pi_ref exp(L (r / beta - c(pi))), [n] log weights.

    Formula:
        c(pi) = E_pi[r / beta - log(pi / pi_ref) / L]

    The averaged optimum is its only fixed point among the distributions: there the
    bracket is the same for every response.

    Args:
      logps: [n] of a policy.
      ref_logps: as in `averaged_optimum`, like the rest.
      rewards: [n]
      lengths: [n]
      beta: of the loss.

    Returns:
      [n] logarithms; they sum to 1 at the fixed point.

    Raises:
      GradlabError: as `averaged_optimum`.
    """
    ref, lengths = _checked(ref_logps, lengths)
    logps, scores = np.asarray(logps, float), np.asarray(rewards, float) / beta
    c = float(np.exp(logps) @ (scores - (logps - ref) / lengths))
    return ref + lengths * (scores - c)


def _checked(ref_logps, lengths) -> tuple[np.ndarray, np.ndarray]:
    ref, lengths = np.asarray(ref_logps, float), np.asarray(lengths, float)
    if not (lengths > 0).all():
        raise GradlabError(f"lengths holds {lengths.min()}; expected positive numbers")
    total = float(np.exp(ref).sum())
    if abs(total - 1) > 1e-6:
        raise GradlabError(f"exp(ref_logps) sums to {total}; expected 1")
    return ref, lengths


def _normalised(logps_at: Callable[[float], np.ndarray], lengths) -> np.ndarray:
    """logps_at(c) for the c at which they sum to 1.

    log sum exp is convex and falls in c with slope -E[L], so that Newton's method, from
    its first step on, climbs to the root from the left without overshooting.
    """
    c = 0.0
    for _ in range(_STEPS):
        logps = logps_at(c)
        value = float(logsumexp(logps))
        step = value / float(np.exp(logps - value) @ lengths)
        if c + step == c:
            break
        c += step
    logps = logps_at(c)
    return logps - logsumexp(logps)  # the last digit
