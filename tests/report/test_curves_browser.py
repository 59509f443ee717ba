"""The curves of trainings in a real browser: numbers, choices, keys."""

import pytest

from gradlab.cli import main
from gradlab.report import read_run
from gradlab.report.curves import curves_payload
from tests.report.browser import Browser
from tests.report.material import write_run, write_training
from tests.report.test_browser import half_a_digit, plain

READINGS = """Object.fromEntries([...document.querySelectorAll("#lines li")].map((n) =>
  ["button span", ".reading"].map((part) => n.querySelector(part).textContent)))"""
TEXT = "document.getElementById('{}').textContent"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base = tmp_path_factory.mktemp("runs")
    return [
        write_training(base / "dpo"),
        write_training(base / "mle", steps=(0, 2, 10, 200), seed=1),
        write_run(base / "compare"),
    ]


@pytest.fixture(scope="module")
def page(folders, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "report.html"
    assert main(["report", *map(str, folders), "--out", str(out)]) == 0
    return out


@pytest.fixture
def opened(browser: Browser, page):
    browser.open(page, fragment="#compare=sets")
    yield browser
    assert browser.problems == []
    assert browser.requests == [page.as_uri()]


def series_of(folder, key):
    entries = curves_payload(read_run(folder).curves)
    return next(entry["series"] for entry in entries if entry["key"] == key)


def test_readings_are_the_numbers_of_the_files(opened, folders):
    series = series_of(folders[0], "probes:drift_sum")
    opened.run("document.getElementById('plot').focus()")
    for key, place in (("Home", 0), ("ArrowRight", 1), ("End", 3), ("ArrowLeft", 2)):
        opened.press(key)
        step = series["chosen"]["step"][place]
        assert opened.run(TEXT.format("reading-step")) == f"step {step}"
        shown = opened.run(READINGS)
        assert list(shown) == ["chosen", "rejected"]
        for side, text in shown.items():
            mean, _, band = text.rstrip("]").partition(" [")
            numbers = [mean, *band.split(", ")]
            for number, name in zip(numbers, ("value", "low", "high"), strict=True):
                want = series[side][name][place]
                assert abs(plain(number) - want) <= half_a_digit(want)
    spoken = opened.run("document.getElementById('plot').ariaValueText")
    assert spoken.startswith("step 10: chosen ")


def test_lines_go_through_their_points(opened, folders):
    series = series_of(folders[0], "probes:drift_sum")["chosen"]
    path = opened.run("document.querySelector('#plot path.line').getAttribute('d')")
    points = [tuple(map(float, p.split(" "))) for p in path[1:].split("L")]
    assert len(points) == len(series["step"])
    assert [x for x, _ in points] == sorted({x for x, _ in points})
    # Pixels are a falling, linear function of the numbers.
    (_, one), *_, (_, two) = points
    slope = (two - one) / (series["value"][-1] - series["value"][0])
    assert slope < 0
    for (_, y), value in zip(points, series["value"], strict=True):
        assert abs(y - one - slope * (value - series["value"][0])) < 0.2


def test_pairs_are_said_to_be_those_of_the_probes(opened):
    facts = opened.run("document.getElementById('facts').textContent")
    assert "probed pairs" in facts


def test_quantity_axis_and_lines_are_chosen(opened):
    opened.choose("curve", "training:loss")
    assert opened.run(TEXT.format("curves-title")) == "Over training: loss"
    assert list(opened.run(READINGS)) == ["training"]
    opened.choose("axis", "linear")
    opened.choose("curve", "probes:drift_sum")
    ticks = "[...document.querySelectorAll('#plot text.x')].map((n) => n.textContent)"
    assert opened.run(ticks) == ["0", "20", "40", "60", "80", "100", "steps"]
    lines = "document.querySelectorAll('#plot path.line').length"
    opened.run("document.querySelector('#lines button').click()")
    assert opened.run(lines) == 1
    opened.run("document.querySelector('#lines button').click()")
    assert opened.run(lines) == 2


def test_runs_side_by_side(opened, folders):
    opened.choose("compare", "runs")
    assert list(opened.run(READINGS)) == [str(folder) for folder in folders[:2]]
    opened.choose("set", "rejected")
    opened.run("document.getElementById('plot').focus()")
    opened.press("Home")
    opened.press("ArrowRight")
    shown = opened.run(READINGS)
    assert shown[str(folders[1])] == "–"  # this run was not measured at step 1
    mean = plain(shown[str(folders[0])].partition(" [")[0])
    want = series_of(folders[0], "probes:drift_sum")["rejected"]["value"][1]
    assert abs(mean - want) <= half_a_digit(want)


def test_the_table_has_every_number(opened, folders):
    opened.run("document.getElementById('curve-numbers').open = true")
    opened.settle()
    rows = opened.run(
        """[...document.querySelectorAll("#curve-table tbody tr")].map((row) =>
        [...row.cells].map((cell) => cell.textContent))"""
    )
    series = series_of(folders[0], "probes:drift_sum")
    assert [int(row[0]) for row in rows] == series["chosen"]["step"]
    for row, *want in zip(rows, *(series[s]["value"] for s in series), strict=True):
        for text, value in zip(row[1:], want, strict=True):
            assert abs(plain(text.partition(" [")[0]) - value) <= half_a_digit(value)


def test_texts_begin_with_the_last_step(opened):
    assert opened.run(TEXT.format("loss-name")) == "Step"
    label = "document.getElementById('loss').selectedOptions[0].textContent"
    assert opened.run(label) == "step 100"
    assert opened.run(TEXT.format("legend-title")).startswith("step 100 · drift")
    opened.run("document.querySelector('#summary-table tbody button').click()")
    opened.settle()
    assert opened.run(label) == "step 0"


def test_a_run_without_curves_has_its_texts(opened):
    opened.choose("run", 2)
    opened.wait("document.getElementById('loss-name').textContent === 'Loss'")
    assert opened.run("document.getElementById('curves').hidden")
    assert not opened.run("document.getElementById('pair').hidden")


def test_a_run_without_texts_has_its_curves(browser, tmp_path):
    folder = write_training(tmp_path / "run", sets=("argmax",))
    out = tmp_path / "page.html"
    assert main(["report", str(folder), "--out", str(out)]) == 0
    for width in (360, 1280):
        browser.open(out, width=width)
        assert browser.run("document.getElementById('pair').hidden")
        assert browser.run("document.getElementById('list').hidden")
        assert list(browser.run(READINGS)) == ["argmax"]
        assert browser.run("document.documentElement.scrollWidth") <= width
        assert browser.problems == []
