"""Twenty steps of DPO: `gradlab train` and TRL's DPOTrainer go the same way.

The same random Llama, the same batches in the same order, float32, AdamW.
"""

import importlib
import warnings

import numpy as np
import pytest

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]

TOLERANCE = 1e-4  # absolute, in nats; of the loss and of summed log-probabilities
COMPARED = [
    "loss", "logps/chosen", "logps/rejected", "rewards/chosen", "rewards/rejected",
    "rewards/margins",
]  # fmt: skip
# schedule with its settings, parts of a batch
COURSES = {
    "constant": ({"schedule": "constant", "learning_rate": 1e-3}, 1),
    "linear": (
        {"schedule": "linear", "learning_rate": 2e-3, "warmup": 4, "weight_decay": 0.1},
        1,
    ),
    "in parts": ({"schedule": "linear", "learning_rate": 2e-3, "clip_norm": 0.1}, 2),
}


@pytest.fixture(scope="module")
def made(trl_live, tmp_path_factory):
    """The module that runs both sides, and a folder with model and pairs."""
    del trl_live  # torch, transformers and TRL are there
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = importlib.import_module("tests.parity.trajectories")
    folder = tmp_path_factory.mktemp("trajectory")
    module.write_model(folder / "model")
    module.write_pairs(folder / "pairs.jsonl")
    return module, folder


@pytest.fixture(scope="module", params=COURSES)
def course(request, made, tmp_path_factory):
    """Settings, and TRL's log under them."""
    from gradlab.training.config import OptimiserSettings

    module, folder = made
    values, parts = COURSES[request.param]
    settings = OptimiserSettings(**values)
    given = (folder / "model", folder / "pairs.jsonl")
    out = tmp_path_factory.mktemp("theirs")
    return (*given, settings, parts), module.theirs(*given, out, settings, parts)


@pytest.mark.parametrize("packing", [True, False], ids=["packed", "separate"])
def test_every_step_is_that_of_trl(made, course, tmp_path, packing):
    (model, data, settings, parts), expected = course
    found = made[0].ours(
        model, data, tmp_path / "run", settings, parts, packing=packing
    )
    assert len(found) == len(expected) == 20
    for name in COMPARED:
        ours, theirs = (
            np.array([line[name] for line in log]) for log in (found, expected)
        )
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE, err_msg=name)
    # While the policy is still the reference, the sign of a margin is rounding.
    moved = np.cumsum([line["learning_rate"] for line in expected])[:-1] > 0
    right = [[line["rewards/accuracies"] for line in log] for log in (found, expected)]
    ours, theirs = (np.array(column)[1:][moved] for column in right)
    np.testing.assert_array_equal(ours, theirs)
    rates = [[line["learning_rate"] for line in log] for log in (found, expected)]
    np.testing.assert_allclose(rates[0], rates[1], rtol=1e-6, atol=1e-12)
    norms = [[line["grad_norm"] for line in log] for log in (found, expected)]
    np.testing.assert_allclose(norms[0], norms[1], rtol=1e-4)
    # Both go far enough for a wrong step to show.
    assert abs(found[-1]["logps/rejected"] - found[9]["logps/rejected"]) > 0.1
    assert found[-1]["loss"] < found[0]["loss"] - 0.01
