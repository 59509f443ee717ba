"""`gradlab train` on meshes of eight devices: the numbers of one device."""

import pytest

from gradlab.cli import main
from tests.training.cases import SMOOTH, same_run

STAGES = {
    "preference": ["--loss", "dpo", "--epochs", "1", "--probes.predict"],
    "coupled": [
        "--loss", "kto", "--steps", "3", "--data.micro-batches", "2",
        "--optimiser.name", "sgd", "--optimiser.momentum", "0.9",
    ],
    "sft": ["--stage", "sft", "--steps", "3"],
    "moving": ["--reference.every", "2", "--steps", "4", "--data.no-packing"],
    "selfplay": [
        "--stage", "selfplay", "--selfplay.rounds", "2", "--steps", "2",
        "--selfplay.max-new-tokens", "8",
    ],
}  # fmt: skip
PROBED = ["--probes.pairs", "8", "--probes.evaluations", "3"]
PROBED += ["--probes.kinds", "chosen,rejected,argmax"]


def run(place, out, data, fsdp, *more):
    """Trains on a mesh; gives the folder."""
    mesh = ["--mesh.data", str(data), "--mesh.fsdp", str(fsdp)]
    size = ["--data.batch-size", "16", "--optimiser.weight-decay", "0.1"]
    size += SMOOTH
    assert main([*place.arguments(out, *size, *PROBED), *mesh, *more]) == 0
    return out


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_the_numbers_are_those_of_one_device(place, tmp_path, stage):
    one = run(place, tmp_path / "one", 1, 1, *STAGES[stage])
    mesh = run(place, tmp_path / "mesh", 2, 4, *STAGES[stage])
    same_run(mesh, one)
