"""Tables, manifests and metrics of earlier runs, read back by report, table, resume."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st

from gradlab.errors import GradlabError
from gradlab.paper.command import paper_table
from gradlab.paper.config import TableConfig
from gradlab.report.command import report
from gradlab.report.config import ReportConfig
from gradlab.report.page import render_page
from gradlab.report.payload import run_payload
from gradlab.report.runs import read_run
from gradlab.tables import read_manifest, read_table
from gradlab.training.metriclog import read_metrics
from tests.fuzz.cases import (
    SCALARS,
    VALUES,
    as_lines,
    changed,
    damaged,
    fuzz,
    loads_or_refuses,
    objects,
    sizes,
)
from tests.report.material import (
    LOSSES,
    SIDES,
    tokens_table,
    write_run,
    write_training,
)

TEXTS = "probes/texts.json"


@pytest.fixture
def run(tmp_path):
    tokens = tokens_table(2, length=3).assign(region="prefix")
    summary = pd.DataFrame({"loss": LOSSES, "pairs": 2, "value": [0.1, np.inf, np.nan]})
    return write_run(tmp_path / "run", tokens, summary=summary, prompts=("a", "b"))


def frames(good: pd.DataFrame) -> st.SearchStrategy[bytes]:
    """Parquet files of a table in which columns are absent, or hold other things."""
    columns = list(good.columns)

    def file(changes: dict, rows: int, twice: bool) -> bytes:
        frame = good.copy()
        for name, value in changes.items():
            if value is None:
                del frame[name]
            else:
                frame[name] = [value] * len(frame)
        frame = frame.head(rows)
        frame = pd.concat([frame, frame]) if twice else frame
        written = io.BytesIO()
        frame.to_parquet(written, index=False)
        return written.getvalue()

    numbers = st.integers(-5, 5) | st.floats() | st.sampled_from([2**62, -(2**62)])
    other = st.none() | st.booleans() | numbers | st.text(max_size=5) | st.just([1, 2])
    changes = st.dictionaries(st.sampled_from(columns), other, max_size=3)
    return st.builds(file, changes, st.integers(0, 100), st.booleans())


def csvs(good: bytes) -> st.SearchStrategy[bytes]:
    head, *rows = good.decode().splitlines()
    cells = st.lists(SCALARS.map(str), max_size=9).map(",".join)
    drawn = st.lists(cells | st.sampled_from(rows), max_size=4)
    return damaged(good) | drawn.map(
        lambda lines: "\n".join([head, *lines]).encode(errors="surrogatepass")
    )


def use(folder):
    """Everything that reads a run."""

    def page():
        render_page([run_payload(read_run(folder))])

    def table():
        config = TableConfig(run=folder, draws=5)
        made = paper_table(config)
        made.latex(), made.markdown(), made.csv()

    loads_or_refuses(page, "")
    loads_or_refuses(table, "")


@sizes(15, 350)
@pytest.mark.parametrize("name", ["tokens.parquet", "prompts.parquet", "summary.csv"])
def test_tables_of_a_run(most, name, run):
    good = (run / name).read_bytes()
    drawn = csvs(good) if name.endswith("csv") else damaged(good) | frames(
        pd.read_parquet(run / name)
    )  # fmt: skip

    def check(content):
        (run / name).write_bytes(content)
        loads_or_refuses(lambda: read_table(run / name), name)
        use(run)

    fuzz(most, check, drawn)
    (run / name).write_bytes(good)
    render_page([run_payload(read_run(run))])
    assert paper_table(TableConfig(run=run, draws=5)).losses == list(LOSSES)


TEXT = objects({"row": st.integers(1, 3), "prompt": VALUES, "response": VALUES})
PROBED = {
    "probes.csv": lambda good: csvs(good),
    "probe_tokens.parquet": lambda good: frames(pd.read_parquet(io.BytesIO(good))),
    "metrics.jsonl": lambda good: st.lists(METRICS | VALUES, max_size=3).map(as_lines),
    "probes/texts.json": lambda good: st.fixed_dictionaries(
        {}, optional=dict.fromkeys(SIDES, st.lists(TEXT, max_size=3) | VALUES)
    ).map(lambda found: json.dumps(found).encode()),
}
METRICS = objects({"step": st.integers(), "loss": st.floats()})


@sizes(12, 100)
@pytest.mark.parametrize("name", PROBED)
def test_what_a_training_left(most, name, tmp_path):
    folder = write_training(tmp_path / "run")
    good = (folder / name).read_bytes()

    def check(content):
        (folder / name).write_bytes(content)
        loads_or_refuses(lambda: render_page([run_payload(read_run(folder))]), "")

    fuzz(most, check, damaged(good) | PROBED[name](good))
    (folder / name).write_bytes(good)
    assert run_payload(read_run(folder))["rows"] == "step"


@sizes(10, 300)
def test_manifests(most, run):
    path = run / "manifest.json"
    good = json.loads(path.read_text()) | {"versions": {}, "losses": {}, "commit": "a"}
    drawn = changed(good).map(json.dumps).map(str.encode)

    def check(content):
        path.write_bytes(content)
        loads_or_refuses(lambda: read_manifest(path), path)
        use(run)

    fuzz(most, check, drawn | damaged(json.dumps(good).encode()))


@sizes(30, 600)
def test_metrics(most, tmp_path):
    path = tmp_path / "metrics.jsonl"
    line = objects({"step": st.integers(), "loss": st.floats()})
    good = as_lines([{"step": 1, "loss": 0.5}, {"step": 2, "loss": "nan"}])
    drawn = st.lists(line | VALUES, max_size=3).map(as_lines) | damaged(good)

    def check(content):
        path.write_bytes(content)
        for found in loads_or_refuses(lambda: read_metrics(path), path) or ():
            assert isinstance(found.get("step", 0), int)

    fuzz(most, check, drawn)
    path.write_bytes(good)
    assert len(read_metrics(path)) == 2


@sizes(8, 250)
@pytest.mark.parametrize(
    "name",
    ["metrics.jsonl", "probes.csv", "answers.csv", "probe_tokens.parquet", TEXTS],
)
def test_files_of_a_training(most, name, tmp_path):
    folder = write_training(tmp_path / "run", rows=1, steps=(0, 1))
    answers = "step,metric,share,low,high\n0,problems,0.5,0.4,0.6\n"
    (folder / "answers.csv").write_text(answers)
    good = (folder / name).read_bytes()
    if name.endswith("csv"):
        drawn = csvs(good)
    elif name.endswith("parquet"):
        drawn = damaged(good) | frames(pd.read_parquet(folder / name))
    elif name == TEXTS:
        drawn = damaged(good) | changed(json.loads(good)).map(json.dumps).map(
            str.encode
        )
    else:
        line = objects({"step": SCALARS, "loss": SCALARS, "value": SCALARS})
        drawn = damaged(good) | st.lists(line | VALUES, max_size=3).map(as_lines)

    def check(content):
        (folder / name).write_bytes(content)
        loads_or_refuses(lambda: render_page([run_payload(read_run(folder))]), "")

    fuzz(most, check, drawn)
    (folder / name).write_bytes(good)
    assert read_run(folder).losses == ["step 0", "step 1"]


@sizes(15, 250)
def test_a_refused_report_changes_nothing(most, run, tmp_path):
    out = tmp_path / "out"
    good = (run / "tokens.parquet").read_bytes()

    def check(content):
        (run / "tokens.parquet").write_bytes(content)
        try:
            report(ReportConfig(runs=(run,), out=out / "page.html"))
        except GradlabError:
            assert not out.exists()
        else:
            (out / "page.html").unlink()
            out.rmdir()

    fuzz(most, check, damaged(good))
