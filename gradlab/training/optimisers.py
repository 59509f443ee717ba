"""Optimisers, and numbers that change with the steps."""

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from gradlab.errors import GradlabError
from gradlab.training.config import OptimiserSettings
from gradlab.types import Array, Params

Schedule = Callable[[Any], Any]  # number of finished steps -> value
B2 = {"adamw": 0.999, "rmsprop": 0.99}  # of PyTorch; other rules have none

_SCHEDULED = re.compile(
    r"\s*(?P<name>\w+)\s*=\s*(?P<kind>linear|cosine)\s*"
    r"\(\s*(?P<first>[^,()]+),\s*(?P<last>[^,()]+)\)\s*"
)


def learning_rate(settings: OptimiserSettings, steps: int) -> Schedule:
    """Learning rate by the number of finished steps.

    Warm-up from 0 to the largest value, then constant, a straight line or a cosine to
    0 at `steps` (as transformers has it: the first step of a warm-up has rate 0).

    Args:
      settings: `warmup` below 1 is a share of the steps.
      steps: of the whole run.

    Returns:
      step -> rate, for host numbers and traced ones alike.

    Example:
      >>> rate = learning_rate(OptimiserSettings(learning_rate=1.0, warmup=2), 6)
      >>> [float(rate(step)) for step in range(7)]
      [0.0, 0.5, 1.0, 0.75, 0.5, 0.25, 0.0]
    """
    warmup = settings.warmup
    warmup = round(warmup * steps) if warmup < 1 else round(warmup)

    def rate(step: Any) -> Array:
        done = jnp.asarray(step, float)  # float64 where that is enabled
        rising = done / max(1, warmup)
        left = 1 - (done - warmup) / max(1, steps - warmup)
        falling = _falling(settings.schedule, jnp.clip(left, 0.0, 1.0))
        return settings.learning_rate * jnp.where(done < warmup, rising, falling)

    return rate


def _falling(kind: str, left: Array) -> Array:
    """From 1 to 0 as the share `left` of the run does; constant stays 1."""
    if kind == "constant":
        return jnp.ones_like(left)
    return left if kind == "linear" else 0.5 * (1 - jnp.cos(jnp.pi * left))


def hyper_schedules(texts: tuple[str, ...], steps: int) -> dict[str, Schedule]:
    """Hyperparameters of the loss that go from a first to a last value.

    Args:
      texts: such as "f=linear(0.5,1)", the increasing course of DPO-Shift
        (arXiv:2502.07599).
      steps: of the whole run; the last value is reached behind the last step.

    Returns:
      Hyperparameter -> (step -> value).

    Raises:
      GradlabError: a text of another form.

    Example:
      >>> float(hyper_schedules(("f=linear(0.5,1)",), 10)["f"](5))
      0.75
    """
    return dict(_hyper_schedule(text, steps) for text in texts)


def _hyper_schedule(text: str, steps: int) -> tuple[str, Schedule]:
    match = _SCHEDULED.fullmatch(text)
    try:
        first, last = float(match["first"]), float(match["last"])  # type: ignore[index]
    except (TypeError, ValueError):
        raise GradlabError(
            f"loss_schedule is {text!r}; expected NAME=linear(FIRST,LAST) or "
            "NAME=cosine(FIRST,LAST)"
        ) from None
    kind = match["kind"]  # type: ignore[index]

    def value(step: Any) -> Array:
        return last + (first - last) * _falling(kind, 1 - jnp.asarray(step) / steps)

    return match["name"], value  # type: ignore[index]


def make_optimiser(
    settings: OptimiserSettings, steps: int
) -> optax.GradientTransformation:
    """Clipping, the update rule, weight decay, the schedule.

    Decay is decoupled and scaled by the learning rate; parameters whose path matches
    `no_decay` are left out of it. RMSprop adds `eps` outside the root, as PyTorch does.

    Args:
      settings: names and numbers.
      steps: of the whole run.

    Example:
      >>> make_optimiser(OptimiserSettings(), 10).init({"w": jnp.ones(2)}) is not None
      True
    """
    b2 = B2.get(settings.name, 0.0) if settings.b2 is None else settings.b2
    rules = {
        "adamw": lambda: optax.scale_by_adam(settings.b1, b2, settings.eps),
        "sgd": lambda: _momentum(settings),
        "rmsprop": lambda: optax.chain(
            optax.scale_by_rms(b2, settings.eps, eps_in_sqrt=False),
            _momentum(settings),
        ),
        "adafactor": lambda: optax.chain(
            optax.scale_by_factored_rms(),
            optax.clip_by_block_rms(1.0),
        ),
    }
    rule = [rules[settings.name]()]
    mask = decay_mask(settings.no_decay)
    if settings.clip_norm is not None:
        rule.insert(0, optax.clip_by_global_norm(settings.clip_norm))
    if settings.weight_decay:
        rule.append(optax.add_decayed_weights(settings.weight_decay, mask))
    rate = learning_rate(settings, steps)
    return optax.chain(*rule, optax.scale_by_learning_rate(rate))


def _momentum(settings: OptimiserSettings) -> optax.GradientTransformation:
    return optax.trace(settings.momentum) if settings.momentum else optax.identity()


def decay_mask(no_decay: str) -> Callable[[Params], Any]:
    """params -> a tree of booleans, False where a path matches the expression.

    Paths read like layers/0/attention/query/kernel.

    Raises:
      GradlabError: not a regular expression.
    """
    try:
        spared = re.compile(no_decay)
    except re.error as error:
        raise GradlabError(
            f"optimiser.no_decay is {no_decay!r}; expected a regular expression: "
            f"{error}"
        ) from None

    def decays(path: Any, leaf: Any) -> bool:
        del leaf
        return not spared.search(jax.tree_util.keystr(path, simple=True, separator="/"))

    return lambda params: jax.tree_util.tree_map_with_path(decays, params)
