"""Losses written by users: found by `module:function` and tried on a probe batch."""

import importlib
import inspect
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.errors import LossInputError
from gradlab.losses.example import random_pairs
from gradlab.types import LossFn


def imported(path: str) -> LossFn:
    """The function that `module:function` names.

    Raises:
      LossInputError: the module can't be imported, or has no such function.
    """
    module_name, _, function_name = path.partition(":")
    try:
        function: Any = importlib.import_module(module_name)
        for part in function_name.split("."):
            function = getattr(function, part)
    except (ImportError, AttributeError) as error:
        raise LossInputError(
            f"can't import the loss '{path}': {error}; expected module:function, with "
            "the module importable from the current folder"
        ) from None
    if not callable(function):
        raise LossInputError(f"the loss '{path}' is a {type(function).__name__}")
    return cast(LossFn, function)


def try_out(function: LossFn, hyper: dict[str, Any], *, name: str) -> None:
    """Call a user's loss on a small batch and refuse what is no loss.

    Args:
      function: the user's function.
      hyper: its hyperparameters.
      name: for messages.

    Raises:
      LossInputError: it takes no pairs, fails, or returns something other than one
        finite number per pair.
    """
    size = 3
    expected = f"expected (pairs: PairLogps, *, <hyperparameters>) -> [{size}] floats"
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters or parameters[0].kind not in kinds:
        raise LossInputError(f"the loss '{name}' takes no pairs; {expected}")
    try:
        # A name may be resolved while jax.jit traces; the probe is to be run anyway.
        with jax.ensure_compile_time_eval():
            pairs = random_pairs(0, batch=size)
            values = jnp.asarray(function(pairs, **hyper))
    except Exception as error:
        raise LossInputError(
            f"the loss '{name}' failed on a probe batch of {size} pairs: "
            f"{type(error).__name__}: {error}; {expected}"
        ) from error
    if values.shape != (size,) or not jnp.issubdtype(values.dtype, jnp.floating):
        raise LossInputError(
            f"the loss '{name}' returned {values.dtype}{list(values.shape)} for a "
            f"probe batch of {size} pairs; {expected}"
        )
    if not np.all(np.isfinite(values)):
        raise LossInputError(
            f"the loss '{name}' returned {values.tolist()} on a probe batch with "
            "log-probabilities between -10 and 0; expected finite values"
        )
