"""The loop of one run: it learns, it repeats, it goes on where it stopped."""

import json
from dataclasses import replace

import jax
import numpy as np
import optax
import pytest

from gradlab.errors import GradlabError
from gradlab.losses import resolve
from gradlab.training.batching import Batcher
from gradlab.training.checkpoint import Checkpoints
from gradlab.training.forward import make_score
from gradlab.training.loop import Loop, MovingReference
from gradlab.training.metriclog import MetricLog, read_metrics
from gradlab.training.order import Order
from gradlab.training.rounds import Round, response_table
from gradlab.training.signals import StopRequest
from gradlab.training.step import Step, TrainState
from tests.training.cases import rows, tiny

STEPS = 12
MODEL, PARAMS = tiny()
PAIRS = rows(10, seed=4)
STEP = Step(make_score(MODEL), resolve("dpo"), optax.adam(0.01))
BATCHER = Batcher.of(PAIRS, 2, max_shapes=1)
ORDER = Order(BATCHER.lengths(), 4, STEPS, seed=(0,), window=2)
TABLE = response_table(STEP.score, PARAMS, BATCHER, batch_size=4)


class Compiled:
    """The same step for every run of this file, compiled once."""

    def __init__(self, step):
        self.loss, self.score, self.optimiser = step.loss, step.score, step.optimiser
        self.update = jax.jit(step.update)

    def compiled(self, like):
        del like
        return self.update


COMPILED = Compiled(STEP)


def made(folder, *, every=5, log_every=1, stop_at=None, moving=None, table=TABLE):
    """A loop over `STEPS` steps that is asked to stop behind `stop_at`."""
    folder.mkdir(exist_ok=True)
    only = Round(0, STEPS, BATCHER, ORDER, table, from_start=table is not None)
    stop = StopRequest()

    def watch(step, numbers):
        if step == stop_at:
            stop.name = "SIGTERM"

    return Loop(
        COMPILED,
        lambda *state: only,
        STEPS,
        lambda step: 0.01,
        MetricLog(folder / "metrics.jsonl", log_every),
        Checkpoints(folder / "checkpoints"),
        every,
        moving,
        watch=watch,
        stop=stop,
    )


def start():
    return TrainState.start(jax.tree.map(np.array, PARAMS), STEP.optimiser)


def same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    return folder, made(folder).run(start())


def test_it_learns_to_tell_the_pairs_apart(unbroken):
    lines = read_metrics(unbroken[0] / "metrics.jsonl")
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    assert lines[0]["loss"] == pytest.approx(np.log(2), abs=1e-6)
    assert lines[0]["drift/chosen"] == pytest.approx(0, abs=1e-5)
    assert lines[-1]["loss"] < 0.6
    assert lines[-1]["rewards/margins"] > 0.1
    assert lines[-1]["rewards/accuracies"] == 1


def test_two_runs_are_equal_to_the_bit(unbroken, tmp_path):
    folder, state = unbroken
    same(made(tmp_path).run(start()), state)
    expected = (folder / "metrics.jsonl").read_bytes()
    assert (tmp_path / "metrics.jsonl").read_bytes() == expected


@pytest.mark.parametrize("log_every", [1, 5])
@pytest.mark.parametrize("stop_at", [3, 5, 11])
def test_a_stopped_run_goes_on_to_the_same_end(unbroken, tmp_path, stop_at, log_every):
    whole = tmp_path / "whole"
    made(whole, log_every=log_every).run(start())
    broken = tmp_path / "broken"
    stopped = made(broken, stop_at=stop_at, log_every=log_every).run(start())
    assert int(stopped.step) == stop_at
    # What a killed process leaves behind its last checkpoint is not counted twice.
    with (broken / "metrics.jsonl").open("a") as file:
        file.write('{"step": 99}\n')
    same(made(broken, log_every=log_every).run(start()), unbroken[1])
    expected = (whole / "metrics.jsonl").read_bytes()
    assert (broken / "metrics.jsonl").read_bytes() == expected


def test_lines_hold_means_of_their_steps(unbroken, tmp_path):
    made(tmp_path, log_every=5).run(start())
    each = read_metrics(unbroken[0] / "metrics.jsonl")
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in lines] == [5, 10, 12]
    assert lines[0]["loss"] == pytest.approx(np.mean([x["loss"] for x in each[:5]]))
    assert lines[2]["num_tokens"] == each[-1]["num_tokens"]


def test_a_moving_reference_follows_and_is_resumed(tmp_path):
    moving = MovingReference(every=4, mix=0.5)

    def run(folder, **settings):
        loop = made(folder, moving=moving, table=None, **settings)
        return loop.run(start(), jax.tree.map(np.array, PARAMS))

    whole = run(tmp_path / "whole")
    run(tmp_path / "broken", stop_at=6)
    same(run(tmp_path / "broken"), whole)
    lines = read_metrics(tmp_path / "whole" / "metrics.jsonl")
    # Behind an update half of the log-ratio is gone.
    assert lines[4]["rewards/margins"] < 0.8 * lines[3]["rewards/margins"]


def test_a_number_that_is_not_finite_leaves_its_inputs(tmp_path):
    table = [[side.copy() for side in row] for row in TABLE]
    table[7][1][:] = np.nan
    with pytest.raises(GradlabError, match=r"not finite on row\(s\) 8 of the data"):
        made(tmp_path, table=table).run(start())
    note = json.loads((tmp_path / "failure" / "failure.json").read_text())
    saved = np.load(tmp_path / "failure" / "loss_inputs.npz")
    assert note["bad"] == [8]
    place = note["rows"].index(8)
    assert np.isnan(saved["values"][place])
    assert np.isnan(saved["ref"][place, 1]).any()
    assert np.isfinite(saved["logps"]).all()
    shape = saved["mask"].shape
    assert saved["logps"].shape == shape == (4, 2, shape[-1])


def test_the_reference_table_is_what_training_computes(unbroken):
    del unbroken
    batch = BATCHER.batch(np.arange(4), TABLE)
    _, report = COMPILED.update(start(), replace(batch))
    sums = [[side.sum() for side in TABLE[place]] for place in range(4)]
    np.testing.assert_allclose(report.sums, sums, rtol=1e-5)
