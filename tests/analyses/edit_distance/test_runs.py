"""Starts, edits and runs of the study at smoke size."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from analyses.common.arrays import pair_logps_fn
from analyses.common.record import compile_effort
from analyses.common.training import epochs, train
from analyses.edit_distance import runs
from analyses.edit_distance.cells import (
    NATURAL,
    Cell,
    Edit,
    cells_of,
    dpo_of,
    dpop_of,
    edits_of,
    losses_of,
)
from analyses.edit_distance.config import Config
from analyses.edit_distance.places import places_of
from analyses.edit_distance.scenes import STEPS, text_start, word_start
from gradlab.data import TokenizedPair, arithmetic
from gradlab.losses import resolve
from gradlab.measures import pair_edits

CONFIG = Config.smoke()


def my_loss(pairs, *, weight: float = 1.0):
    """A user's own loss: the chosen side's likelihood."""
    return -weight * jnp.where(pairs.chosen_mask, pairs.chosen, 0).sum(-1)


@pytest.fixture(autouse=True)
def _quick():
    with compile_effort(quick=True):
        yield


@pytest.fixture(scope="module")
def start():
    return text_start(CONFIG, 0, "under")


def test_no_cell_occurs_twice():
    config = Config()
    for kind in ("text", "arithmetic"):
        cells = [c for part in cells_of(config, kind).values() for c in part]
        plain = [replace(cell, detailed=False) for cell in cells]
        assert len(set(plain)) == len(plain)
    assert len(set(losses_of(config))) == len(losses_of(config))
    for loss in losses_of(config):
        resolve(loss)


def test_a_users_loss_joins_the_main_grid_of_both_kinds():
    name = "tests.analyses.edit_distance.test_runs:my_loss"
    config = replace(Config(), extra_losses=(name,))
    for kind in ("text", "arithmetic"):
        edits = {c.edit for c in cells_of(config, kind)["main"] if c.loss == name}
        assert len(edits) == len({c.edit for c in cells_of(config, kind)["main"]})
    assert name in losses_of(config)


def test_strengths_have_their_shortest_names():
    assert dpo_of(0.1) == "dpo"
    assert resolve(dpo_of(0.3)).hyper == {"beta": 0.3}
    assert dpop_of(0.3, 50) == "dpop"
    assert resolve(dpop_of(0.1, 500)).hyper == {"beta": 0.1, "lam": 500}


@pytest.mark.parametrize("operation", ["substitute", "insert", "delete"])
@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_edits_are_as_asked(start, operation, place):
    pairs = start.pairs(Edit(2, operation, place))
    change = {"substitute": 0, "insert": 2, "delete": -2}[operation]
    for pair, (prompt, chosen) in zip(pairs, start.texts, strict=True):
        assert (pair.prompt, list(pair.chosen)) == (prompt, chosen)
        assert len(pair.rejected) - len(chosen) == change
        found = pair_edits(pair.chosen, pair.rejected)
        assert 1 <= found.token_edits <= 2
        where = min(int(place * len(chosen)), len(chosen) - 2)
        assert found.first >= where


def test_the_whole_response_has_no_token_of_the_chosen_one(start):
    for pair in start.pairs(Edit(0)):
        assert len(pair.rejected) == len(pair.chosen)
        assert all(c != r for c, r in zip(pair.chosen, pair.rejected, strict=True))


def test_every_edit_is_made_on_the_same_chosen_responses():
    start = word_start(CONFIG, 0)
    one, four = start.pairs(Edit(1, "one")), start.pairs(Edit(4, place=0.25))
    assert [list(p.chosen) for p in one] == [list(p.chosen) for p in four]
    for pair in one:  # a wrong result of one or two digits, and nothing else
        assert pair_edits(pair.chosen, pair.rejected).token_edits <= 2
    prompts = {problem.prompt for problem in start.problems}
    assert len(prompts) == CONFIG.problems
    assert start.tokenizer is not None
    decoded = {start.tokenizer.decode(p.prompt, skip_special=True) for p in one}
    assert not prompts & decoded


def test_no_problem_to_be_solved_is_one_of_the_pairs(monkeypatch):
    def problems(*_, exclude, **__):
        excluded.update(exclude)
        return []

    excluded = set()
    monkeypatch.setattr(arithmetic, "problems", problems)
    # Under seed 0 the two corruptions take different problems.
    runs = replace(CONFIG.word_runs, pairs=24, held=8)
    word_start(replace(CONFIG, word_runs=runs), 0)
    one, follow = (
        {
            pair.prompt
            for pair in arithmetic.pairs(
                32, 0, kinds=(kind,), steps=STEPS, style="terse"
            )
        }
        for kind in NATURAL
    )
    assert one != follow
    assert excluded == one | follow


def test_places():
    pairs = [TokenizedPair(1, [0], [5, 1, 8, 9], [5, 2, 3, 8, 9])]
    places = places_of(pairs, 6)
    assert places.of("before")[0, 0].tolist() == [True] + [False] * 5
    assert places.of("at")[1, 0].tolist() == [False, True] + [False] * 4
    assert places.of("after").sum(-1).tolist() == [[2], [3]]
    chosen, rejected = places.shared(np.arange(12.0).reshape(2, 1, 6))
    assert (chosen.tolist(), rejected.tolist()) == ([2, 3], [9, 10])
    parts = sum(places.of(name).sum() for name in ("before", "at", "after"))
    assert parts == places.mask.sum() == 9


def test_a_path_is_the_run_of_its_loss(start):
    pairs = start.pairs(Edit(1, place=0.25))[:8]
    data, logps_fn = start.arrays(pairs), pair_logps_fn(start.model, start.shape[1])
    given = runs.at_reference(logps_fn, start.params, data)
    order = epochs(8, 4, 4, np.random.default_rng(0))
    common = (logps_fn, start.params, data, given)
    looks = jnp.array([True, False, False, True])
    params, drifts = runs.train_path(
        *common, jnp.asarray(order), looks, 1e-2, 1, losses=("dpo", "ipo")
    )
    expected, _ = train(*common, jnp.asarray(order), 1e-2, loss="ipo")
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, atol=2e-6), params, expected
    )
    after = jnp.stack(logps_fn(expected, data)) - jnp.stack(
        [given.chosen, given.rejected]
    )
    mask = np.asarray(data.mask(start.shape[1]))
    np.testing.assert_allclose(drifts[-1], np.where(mask, after, 0), atol=1e-4)
    assert [bool(np.any(drift)) for drift in drifts] == looks.tolist()


def test_rows_of_a_run_add_up(start):
    cell = Cell("text", "dpo", Edit(1, place=0.25), 1e-3, "under", detailed=True)
    rows = list(runs.run_rows(CONFIG, cell, 0))
    found = {
        (r["metric"], r.get("side", ""), r.get("step", "")): r["value"]
        for r in rows
        if r["rule"] == runs.EQUAL_RATE and "offset" not in r
    }
    places = places_of(start.pairs(cell.edit)[:8], start.shape[1])
    parts = sum(
        found[f"d_{place}", "chosen", ""] * places.of(place)[0].sum()
        for place in ("before", "at", "after")
    )
    total = found["d_sum", "chosen", CONFIG.text_runs.steps]
    assert parts / 8 == pytest.approx(total, rel=1e-4)
    profile = sum(
        r["value"] * (places.mask[0] & (places.offset[0] == r["offset"])).sum()
        for r in rows
        if r["metric"] == "profile" and r["side"] == "chosen"
    )
    assert profile / 8 == pytest.approx(total, rel=1e-4)
    assert 0 <= found["choice_start", "", ""] <= 1


def test_nothing_moves_at_rate_zero():
    cell = Cell("text", "dpo", Edit(1, place=0.25), 0.0, "under", detailed=True)
    for found in runs.run_rows(CONFIG, cell, 0):
        if found["metric"].startswith(("d_", "below")) or found["metric"] == "profile":
            # Two compiled programs may round the same sum differently.
            assert found["value"] == pytest.approx(0, abs=1e-6)


def test_every_step_of_the_first_stage_is_looked_at():
    given = replace(Config().text_runs, stages=3, stage_steps=4)
    assert given.looks == (1, 2, 3, 4, 8, 12)


def test_where_a_margin_is_passed():
    path = np.array([1.0, 3.0, 2.0])
    assert runs.reaching(path, 4.0) is None
    assert runs.reaching(path, 2.5) == 0.75
    assert runs.along(np.array([2.0, 6.0, 0.0]), 1.5) == 3.0


def test_a_margin_before_the_first_evaluation_is_not_read_off(start):
    pairs = start.pairs(Edit(1, place=0.25))[:2]
    places = places_of(pairs, start.shape[1])
    cell = Cell("text", "dpo", Edit(1, place=0.25), 1e-3)
    drifts = np.zeros((3, 2, 2, start.shape[1]))
    drifts[:, 0, :, 0] = np.array([1.5, 3.0, 4.5])[:, None]
    for margin, sums in ((1.0, []), (2.25, [2.25, 0.0]), (5.0, [])):
        given = replace(CONFIG.text_runs, stages=2, stage_steps=2, margin=margin)
        rows = runs.measured_rows(drifts, places, given, cell, {})
        found = [
            r["value"]
            for r in rows
            if r["rule"] == runs.EQUAL_MARGIN and r["metric"] == "d_sum"
        ]
        assert found == sums


def test_edits_are_compared_at_one_margin_and_the_smallest_rate():
    for kind, made in (("text", 4), ("arithmetic", 3)):
        edits = edits_of(Config(), kind)
        cells = [c for part in cells_of(Config(), kind).values() for c in part]
        found = {c.edit for c in cells if (c.loss, c.rate) == ("dpo", 1e-4)}
        assert found == set(edits)
        assert len(edits) == made
