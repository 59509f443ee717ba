"""Losses that learn from demonstrations: SPIN, GSIL, DIL.

The chosen response is the demonstration, the rejected one a sample of the previous
policy, which is also the reference. Symbols as in `gradlab.losses.dpo`.
"""

import warnings

import jax
from jax.core import Tracer

from gradlab.losses.checks import check_choice
from gradlab.losses.dpo import dpo, hinge
from gradlab.losses.terms import clipped_exp, log_ratios, logistic_loss, seq_logps
from gradlab.types import Array, PairLogps

GSIL_KINDS = ("bernoulli", "logistic", "brier", "hinge", "kliep", "lsif")


def spin(pairs: PairLogps, *, beta: float = 0.1, link: str = "logistic") -> Array:
    """SPIN, self-play fine-tuning: DPO of demonstrations against the model's samples.

    Formula:
        logistic  L = -log s(beta h)
        hinge     L = max(0, 1 - beta h)

    Gradient:
        logistic  D_w = -beta s(-beta h), D_l = -D_w
        hinge     D_w = -beta where beta h < 1, else 0 (also at the kink); D_l = -D_w

    Args:
      pairs: token log-probabilities; chosen is the demonstration, rejected a sample of
        the previous policy, which is the reference.
      beta: strength of the pull to the reference, per nat (the paper's lambda).
      link: "logistic" or "hinge".

    Returns:
      [B].

    Raises:
      LossInputError: no reference, unknown link, or arrays of unequal shape.

    Conventions:
        The same functions as `dpo` and `hinge`: what differs is where the pairs come
        from. uclaml/SPIN a12ba80 agrees, and GSIL's code for the logistic link.

    Example:
      >>> f"{spin(example_pair())[0]:.4f}"
      '0.6444'

    References:
      Chen et al., Self-Play Fine-Tuning Converts Weak Language Models to Strong
      Language Models, arXiv:2401.01335.
    """
    check_choice("spin", "link", link, ("logistic", "hinge"))
    return (dpo if link == "logistic" else hinge)(pairs, beta=beta)


def gsil(
    pairs: PairLogps,
    *,
    scale: float = 0.01,
    shift: float = 0.0,
    kind: str = "bernoulli",
    exp_clip: float | None = 80.0,
) -> Array:
    """GSIL: estimate the density ratio of demonstrations to samples by the log-ratio.

    Formula:
        z_w = scale a + shift, z_l = scale b + shift; L = real(z_w) + generated(z_l)
        kind       real              generated
        bernoulli  -log s(z_w)       -log s(-z_l)            alias: logistic
        brier      s(-z_w)^2         s(z_l)^2
        hinge      max(0, 1 - z_w)   max(0, 1 + z_l)
        kliep      -z_w              exp(z_l)
        lsif       -exp(z_w)         (1/2) exp(2 z_l)

    Gradient:
        kind       D_w / scale            D_l / scale
        bernoulli  -s(-z_w)               s(z_l)
        brier      -2 s(z_w) s(-z_w)^2    2 s(z_l)^2 s(-z_l)
        hinge      -[z_w < 1]             [z_l > -1]
        kliep      -1                     exp(z_l)
        lsif       -exp(z_w)              exp(2 z_l)
        For every kind but hinge D_l / -D_w = exp(z) at equal z. Exponentials are
        constant, with derivative 0, once their argument reaches `exp_clip`.

    Args:
      pairs: token log-probabilities; chosen is the demonstration, rejected a sample of
        the previous policy, which is the reference.
      scale: of the log-ratios, per nat (alpha in the released code).
      shift: added to the scaled log-ratios (beta in the released code). Other than 0 it
        moves the optimum, which is warned of.
      kind: "bernoulli" (or "logistic"), "brier", "hinge", "kliep" or "lsif".
      exp_clip: cap on exponents; a pair beyond it no longer moves. `None`: no cap.

    Returns:
      [B].

    Raises:
      LossInputError: no reference, unknown kind, or arrays of unequal shape.

    Conventions:
        tengxiao1/GSIL bf269e0, summed log-probabilities: its trainer's defaults are
        scale 0.1 and shift 0.1, the released script's 0.01 and 2. The optimum is
        z = log(p_real / p_generated), so that the script's log-ratio ends 200 nats
        below the reference where the two are equally likely; the shift of 0 is a choice
        made here. There the Brier term is averaged over the batch before being added
        (the same batch mean), the hinge is a `clamp` (full slope at the kink) and
        exponentials aren't capped.

    Example:
      >>> f"{gsil(example_pair(), scale=0.1, kind='lsif')[0]:.4f}"
      '-0.5989'

    References:
      Xiao et al., How to Leverage Demonstration Data in Alignment for Large Language
      Model? A Self-Imitation Learning Perspective, arXiv:2410.10093.
    """
    check_choice("gsil", "kind", kind, GSIL_KINDS)
    _warn_of_shift(scale, shift)
    a, b = log_ratios(pairs, "gsil")
    return density_ratio_loss(scale * a + shift, scale * b + shift, kind, exp_clip)


def _warn_of_shift(scale: float, shift: float) -> None:
    if isinstance(shift, Tracer) or isinstance(scale, Tracer) or shift == 0:
        return
    warnings.warn(
        f"loss 'gsil': shift={shift} moves the optimum: where demonstration and sample "
        f"are equally likely the log-ratio ends at {-shift / scale:g} nats, not at 0",
        stacklevel=3,
    )


def density_ratio_loss(
    z_w: Array, z_l: Array, kind: str, exp_clip: float | None
) -> Array:
    """The sum of the real and the generated side's loss of one kind, elementwise."""
    if kind == "brier":
        return jax.nn.sigmoid(-z_w) ** 2 + jax.nn.sigmoid(z_l) ** 2
    if kind == "hinge":
        return jax.nn.relu(1.0 - z_w) + jax.nn.relu(1.0 + z_l)
    if kind == "kliep":
        return -z_w + clipped_exp(z_l, exp_clip)
    if kind == "lsif":
        return -clipped_exp(z_w, exp_clip) + 0.5 * clipped_exp(2.0 * z_l, exp_clip)
    return logistic_loss(z_w) + logistic_loss(-z_l)


def dil(
    pairs: PairLogps, *, kind: str = "lsif", exp_clip: float | None = 80.0
) -> Array:
    """DIL, direct imitation learning: density-ratio losses of the plain log-ratios.

    Formula:
        bce   L = -log s(a) - log s(-b)
        lsif  L = -e^a + (1/2) e^(2b)
        ukl   L = -S_w + e^b

    Gradient:
        bce   D_w = -s(-a)   D_l = s(b)
        lsif  D_w = -e^a     D_l = e^(2b)
        ukl   D_w = -1       D_l = e^b
        Exponentials are constant, with derivative 0, once their argument reaches
        `exp_clip`.

    Args:
      pairs: token log-probabilities with reference.
      kind: "bce", "lsif" or "ukl". There is no beta: the released code doesn't use it
        in these branches.
      exp_clip: cap on exponents; a pair beyond it no longer moves. `None`: no cap.

    Returns:
      [B].

    Raises:
      LossInputError: no reference, unknown kind, or arrays of unequal shape.

    Conventions:
        tengxiao1/DIL 0bf8bdc; exponentials aren't capped there. `gsil` with scale 1 and
        shift 0 is the same: kind bernoulli for "bce", lsif for "lsif", and kliep plus
        the constant R_w, with the same gradient, for "ukl".

    Example:
      >>> f"{dil(example_pair())[0]:.4f}"
      '-1.4648'

    References:
      Xiao et al., On a Connection Between Imitation Learning and RLHF,
      arXiv:2503.05079.
    """
    check_choice("dil", "kind", kind, ("bce", "lsif", "ukl"))
    a, b = log_ratios(pairs, "dil")
    if kind == "ukl":
        return -seq_logps(pairs).chosen + clipped_exp(b, exp_clip)
    return density_ratio_loss(a, b, {"bce": "bernoulli"}.get(kind, kind), exp_clip)
