"""Every loss stays finite, value and slope, wherever log-probabilities can go.

One table of cases, stacked along a first axis: log-probabilities from -1e4 to 0 on
either side, empty and identical responses, nothing but padding, and long responses.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.gradients import value_and_token_weights
from gradlab.losses import LOSSES, resolve
from gradlab.types import PairLogps
from tests.losses.cases import one_setting, setting_id, settings

pytestmark = pytest.mark.filterwarnings("ignore:loss 'gsil'")

LEVELS = (-1e4, -87.0, -1e-9, 0.0)
WIDTH, LONG = 5, 4096
DTYPES = ("float32", "float64", "bfloat16", "float16")
SIDES = ("chosen", "rejected")


def case(width, levels, refs, counts):
    """A batch of an extreme pair and an ordinary one.

    Args:
      width: padded length.
      levels: log-probability of all tokens of the first pair, by side.
      refs: likewise of the reference.
      counts: tokens of the first pair, by side; the rest is padding that holds NaN.
    """
    rng = np.random.default_rng(0)
    fields = {}
    for side, level, ref, count in zip(SIDES, levels, refs, counts, strict=True):
        usual = -rng.exponential(1.0, width)
        mask = np.stack([np.arange(width) < count, np.arange(width) < 3])
        # The likeliest token has at least the probability of this one.
        collision = np.where(level > -1e-6, 0.0, -3.0)
        values = {
            side: [np.full(width, level), usual],
            f"ref_{side}": [np.full(width, ref), usual - 0.1],
            f"{side}_logsumsq": [np.full(width, collision), np.full(width, -1.0)],
        }
        for name, rows in values.items():
            fields[name] = np.where(mask, np.stack(rows), np.nan)
        fields[f"{side}_mask"] = fields[f"{side}_keep"] = mask.astype(float)
    far = sum(abs(a - b) for a, b in zip(levels, refs, strict=True))
    return fields | {"kl_logratios": np.array([0.0, far, -far])}


def table(width):
    """All cases by name."""
    cases = {
        f"chosen {c:g}, rejected {r:g}, references {x:g} and {y:g}": case(
            width, (c, r), (x, y), (width, width)
        )
        for c, r, x, y in itertools.product(LEVELS, LEVELS, (-1e4, 0.0), (-1e4, 0.0))
    }
    for level in (*LEVELS, -1.0):
        same = ((level, level), (level, level))
        cases[f"identical at {level:g}"] = case(width, *same, (width, width))
        cases[f"empty chosen at {level:g}"] = case(width, *same, (0, width))
        cases[f"empty rejected at {level:g}"] = case(width, *same, (width, 0))
        cases[f"all masked at {level:g}"] = case(width, *same, (0, 0))
    return cases


def stacked(cases, dtype):
    return PairLogps(
        **{
            name: jnp.asarray(np.stack([one[name] for one in cases.values()]), dtype)
            for name in next(iter(cases.values()))
        }
    )


def over_cases(loss, pairs):
    """Values and token weights of every case."""
    return jax.vmap(lambda batch: value_and_token_weights(loss, batch))(pairs)


def faults(cases, values, weights):
    """What is not finite, or weighs in padding, case by case."""
    found = {}
    for number, (name, fields) in enumerate(cases.items()):
        if not np.isfinite(np.asarray(values[number], float)).all():
            found[name] = f"value {values[number]}"
        for side in SIDES:
            weight = np.asarray(getattr(weights, side)[number], float)
            if not np.isfinite(weight).all():
                found[name] = f"{side} weights {weight}"
            elif weight[fields[f"{side}_mask"] == 0].any():
                found[name] = f"{side} padding weighs"
    return found


# Odds p / (1 - p) are infinite at p = 1, which is what an empty response has too.
ODDS = ("unlikelihood_token", "unlikelihood_sequence", "orpo")


def certain(name, dtype):
    """Whether a response, or a token of it, has probability 1 in this case."""
    fields = table(WIDTH)[name]
    stored = jnp.dtype(dtype)  # -1e-9 is 0 in float16
    return any(
        not (fields[side][0][fields[f"{side}_mask"][0] > 0].astype(stored) < 0).all()
        or not fields[f"{side}_mask"][0].any()
        for side in SIDES
    )


def undocumented(found, dtype="float32"):
    """Without the faults of losses of the odds where a probability is 1."""
    kept = {}
    for label, wrong in found.items():
        odds = label.partition("(")[0] in ODDS
        if left := [name for name in wrong if not (odds and certain(name, dtype))]:
            kept[label] = {name: wrong[name] for name in left}
    return kept


def found_in(bound, dtype):
    """Faults by loss; all losses in one program, which bounds what compiling costs."""
    cases = table(WIDTH)
    with jax.enable_x64(dtype == "float64"):
        pairs = stacked(cases, dtype)
        together = jax.jit(lambda p: [over_cases(loss, p) for loss in bound])
        results = together(pairs)
    found = {}
    for loss, (values, weights) in zip(bound, results, strict=True):
        assert values.dtype == ("float64" if dtype == "float64" else "float32")
        if wrong := faults(cases, values, weights):
            found[loss.label] = wrong
    return found


def test_every_loss_at_its_defaults():
    found = found_in([resolve(name, **one_setting(name)) for name in LOSSES], "float32")
    assert not undocumented(found)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_setting(dtype):
    found = found_in([resolve(name, **hyper) for name, hyper in settings()], dtype)
    assert not undocumented(found, dtype)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "hyper"), settings(), ids=setting_id)
def test_without_jit(name, hyper):
    cases, loss = table(WIDTH), resolve(name, **hyper)
    wrong = faults(cases, *over_cases(loss, stacked(cases, "float32")))
    assert not undocumented({loss.label: wrong} if wrong else {})


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSSES)
def test_long_responses(name):
    """4,096 tokens at -1e4 and at 0: sums of tens of millions of nats."""
    cases = {
        key: one
        for key, one in table(LONG).items()
        if "-87" not in key and "-1e-09" not in key
    }
    loss = resolve(name, **one_setting(name))
    wrong = faults(cases, *over_cases(loss, stacked(cases, "float32")))
    assert not undocumented({loss.label: wrong} if wrong else {})


def test_a_fault_is_seen():
    """The table finds a loss that is right on ordinary pairs alone."""

    def odds(pairs):
        total = jnp.sum(jnp.where(pairs.chosen_mask > 0, pairs.chosen, 0), -1)
        return -jnp.log(jnp.exp(total) / (1 - jnp.exp(total)))

    cases = table(WIDTH)
    wrong = faults(cases, *over_cases(resolve(odds), stacked(cases, "float32")))
    assert any("-10000" in name for name in wrong)
    assert any("all masked" in name for name in wrong)
