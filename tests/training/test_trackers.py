"""Trackers get the lines of metrics.jsonl; nothing here reaches the network."""

import sys
from types import ModuleType

import numpy as np
import pytest

from gradlab.cli import main
from gradlab.training.metriclog import read_metrics


class Calls(ModuleType):
    """A stand-in for a tracker's package that writes down what it is told."""

    def __init__(self, name):
        super().__init__(name)
        self.calls = []
        for function in ("init", "log", "finish"):
            setattr(self, function, self._noting(function))

    def _noting(self, function):
        return lambda *given, **named: self.calls.append((function, given, named))

    def of(self, function):
        return [(given, named) for name, given, named in self.calls if name == function]


class Writer:
    """A stand-in for tensorboardX.SummaryWriter."""

    made: list["Writer"] = []  # noqa: RUF012

    def __init__(self, folder, purge_step=None):
        self.folder, self.purge_step = folder, purge_step
        self.scalars, self.texts, self.closed = [], [], False
        Writer.made.append(self)

    def add_scalar(self, *event):
        self.scalars.append(event)

    def add_text(self, *text):
        self.texts.append(text)

    def close(self):
        self.closed = True


def told(calls):
    """(step, numbers) of every call of log."""
    return [(named["step"], given[0]) for given, named in calls.of("log")]


def expected(out):
    return [
        (line["step"], {k: v for k, v in line.items() if k != "step"})
        for line in read_metrics(out / "metrics.jsonl")
    ]


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_hosted_trackers_hear_every_line(name, place, tmp_path, monkeypatch):
    package = Calls(name)
    monkeypatch.setitem(sys.modules, name, package)
    out = tmp_path / "run"
    arguments = place.arguments(out, "--steps", "4", "--log-every", "2")
    assert main([*arguments, "--trackers", name]) == 0
    assert told(package) == expected(out)
    assert [step for step, _ in told(package)] == [2, 4]
    ((_, begun),) = package.of("init")
    assert begun["project"] == "gradlab"
    assert begun["resume"] == "allow"
    assert begun["config"]["data"]["batch_size"] == 4
    assert package.calls[-1][0] == "finish"


def test_a_resumed_run_goes_on_under_its_own_name(place, tmp_path, monkeypatch):
    out, packages = tmp_path / "run", [Calls("wandb"), Calls("wandb")]
    arguments = place.arguments(out, "--steps", "4", "--checkpoint.every", "2")
    for package in packages:
        monkeypatch.setitem(sys.modules, "wandb", package)
        assert main([*arguments, "--trackers", "wandb", "--resume"]) == 0
        (out / "manifest.json").unlink()
    one, other = (package.of("init")[0][1]["id"] for package in packages)
    assert one == other
    assert len(packages[0].of("log")) == 4
    assert packages[1].of("log") == []


def test_tensorboard_gets_scalars_by_step(place, tmp_path, monkeypatch):
    package = ModuleType("tensorboardX")
    package.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorboardX", package)
    out = tmp_path / "run"
    assert main(place.arguments(out, "--steps", "3", "--trackers", "tensorboard")) == 0
    writer = Writer.made[-1]
    assert writer.folder == str(out / "tensorboard")
    assert writer.closed
    assert writer.purge_step is None
    found = [(step, name, value) for name, value, step in writer.scalars]
    assert found == [(s, k, v) for s, line in expected(out) for k, v in line.items()]


def test_event_files_hold_the_numbers(place, tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    out = tmp_path / "run"
    assert main(place.arguments(out, "--steps", "3", "--trackers", "tensorboard")) == 0
    (file,) = (out / "tensorboard").iterdir()
    found = {}
    for event in map(Event.FromString, records(file.read_bytes())):
        for value in event.summary.value:
            if value.WhichOneof("value") == "simple_value":
                found.setdefault(event.step, {})[value.tag] = value.simple_value
    for step, numbers in expected(out):
        assert set(found[step]) == set(numbers)
        for name, value in numbers.items():
            np.testing.assert_allclose(found[step][name], value, rtol=1e-6)


def records(data):
    """The records of an event file: length, its checksum, bytes, their checksum."""
    place = 0
    while place < len(data):
        length = int.from_bytes(data[place : place + 8], "little")
        yield data[place + 12 : place + 12 + length]
        place += 16 + length


@pytest.mark.parametrize(
    ("name", "package"),
    [("tensorboard", "tensorboardX"), ("wandb", "wandb"), ("trackio", "trackio")],
)
def test_a_missing_package_names_its_extra(
    name, package, place, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, package, None)
    out = tmp_path / "run"
    assert main(place.arguments(out, "--trackers", name)) == 2
    assert f"pip install 'gradlab[{name}]'" in capsys.readouterr().err
    assert not out.exists()
