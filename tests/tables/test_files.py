"""Staged writing: whole or not at all, and tables that come back as they were."""

import errno
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gradlab.errors import GradlabError
from gradlab.tables import read_table, stage, write_table

TOKENS = [
    "a\rb",
    "NA",
    "",
    "\x00x",
    "a\nb",
    'q"',
    "null",
    " x",
    "\u202e",
    "=1",
    "é",
    "1",
]


def write(folder, names=("x.csv",), then: BaseException | None = None) -> None:
    """Stages some files, and lets the block end in an exception."""
    with stage(folder) as staged:
        for name in names:
            (staged / name).write_text("new")
        if then is not None:
            raise then


def table() -> pd.DataFrame:
    numbers = [1e-300, np.nan, 1 / 3, np.inf, -0.0, 1, 2, 3, 4, 5, 0.1 + 0.2, 7]
    return pd.DataFrame(
        {
            "token": TOKENS,
            "loss": ["my_loss:f"] * 12,
            "position": range(12),
            "value": numbers,
            "coupled": [True, False] * 6,
        }
    )


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_round_trip_keeps_every_text_and_every_bit(tmp_path, suffix):
    with stage(tmp_path) as staged:
        write_table(table(), staged / f"t.{suffix}")
    found = read_table(tmp_path / f"t.{suffix}")
    assert list(found["token"]) == TOKENS
    np.testing.assert_array_equal(found["value"], table()["value"])
    assert found["coupled"].dtype == bool
    assert found["position"].dtype == np.int64


def test_random_floats_survive_csv_exactly(tmp_path):
    rng = np.random.default_rng(0)
    value = rng.normal(size=5000) * 10.0 ** rng.integers(-300, 300, 5000)
    write_table(pd.DataFrame({"value": value}), tmp_path / "t.csv")
    np.testing.assert_array_equal(read_table(tmp_path / "t.csv")["value"], value)


def test_stage_makes_the_folder_and_leaves_only_its_files(tmp_path):
    out = tmp_path / "a" / "b"
    with stage(out) as staged:
        (staged / "x.txt").write_text("1")
        (staged / "sub").mkdir()
        (staged / "sub" / "y.txt").write_text("2")
        assert list(out.glob("*.txt")) == []
    assert sorted(p.name for p in out.rglob("*")) == ["sub", "x.txt", "y.txt"]


@pytest.mark.parametrize("exception", [KeyboardInterrupt, GradlabError, MemoryError])
def test_an_exception_leaves_nothing(tmp_path, exception):
    out = tmp_path / "new" / "folder"
    with pytest.raises(exception):
        write(out, then=exception())
    assert list(tmp_path.iterdir()) == []


def test_an_exception_keeps_the_old_files(tmp_path):
    (tmp_path / "x.csv").write_text("old")
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, then=KeyboardInterrupt())
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("x.csv", "old")]


def test_a_failing_move_restores_what_it_replaced(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("old")
    replace = os.replace

    def fail_on_b(source, target):
        if Path(target) == tmp_path / "b.csv":
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail_on_b)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, ("a.csv", "b.csv", "c.csv"))
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.csv", "old")]


def test_the_manifest_moves_last(tmp_path, monkeypatch):
    moved = []
    replace = os.replace

    def record(source, target):
        moved.append(Path(target).name)
        replace(source, target)

    monkeypatch.setattr(os, "replace", record)
    with stage(tmp_path) as staged:
        for name in ("manifest.json", "tokens.parquet", "a.pdf"):
            (staged / name).write_text("x")
    assert moved == ["a.pdf", "tokens.parquet", "manifest.json"]


def test_disk_full(tmp_path):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(GradlabError, match="no space is left on its disk; nothing was"):
        write(tmp_path, then=full)
    assert list(tmp_path.iterdir()) == []


def test_disk_full_shows_at_sync(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(GradlabError, match="no space"):
        write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_path_is_a_file(tmp_path):
    (tmp_path / "out").write_text("I am a file")
    with pytest.raises(GradlabError, match="it is a file; a folder was"):
        stage(tmp_path / "out").__enter__()
    with pytest.raises(GradlabError, match="a part of that path is a file"):
        stage(tmp_path / "out" / "deeper").__enter__()


def test_a_folder_in_a_files_place(tmp_path):
    (tmp_path / "x.csv").mkdir()
    with (
        pytest.raises(GradlabError, match="a folder has that name"),
        stage(tmp_path) as s,
    ):
        (s / "x.csv").write_text("1")
    assert [p.name for p in tmp_path.iterdir()] == ["x.csv"]


def test_folder_that_cannot_be_written(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "denied", str(tmp_path))

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(GradlabError, match=r"can't write into .*: it is not writable"):
        stage(tmp_path / "out").__enter__()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(GradlabError, match="not writable"):
        stage(tmp_path / "out").__enter__()


def test_an_error_of_another_file_is_not_blamed_on_the_folder(tmp_path):
    with pytest.raises(FileNotFoundError), stage(tmp_path):
        (tmp_path / "missing_input").read_text()


def test_refusals_name_the_file(tmp_path):
    with pytest.raises(GradlabError, match=r"no.csv: there is no such table"):
        read_table(tmp_path / "no.csv")
    (tmp_path / "bad.parquet").write_bytes(b"not parquet")
    with pytest.raises(GradlabError, match=r"bad.parquet: not a readable table"):
        read_table(tmp_path / "bad.parquet")
    (tmp_path / "bad.csv").write_text('a,b\n1,2\n"3,4,5\n6,7,8,9\n')
    with pytest.raises(GradlabError, match=r"bad.csv: not a readable table"):
        read_table(tmp_path / "bad.csv")
    (tmp_path / "t.xlsx").write_bytes(b"")
    with pytest.raises(GradlabError, match=r"ends in .csv or .parquet"):
        read_table(tmp_path / "t.xlsx")
    with pytest.raises(GradlabError, match=r"t.xlsx: a table is written as"):
        write_table(table(), tmp_path / "t.xlsx")


def test_a_folder_named_like_a_setting_adds_no_column(tmp_path):
    """A data set of Parquet files would have the columns lr and loss here."""
    folder = tmp_path / "lr=0.1" / "loss=dpo"
    with stage(folder) as staged:
        write_table(table(), staged / "t.parquet")
    found = read_table(folder / "t.parquet", filters=[("position", "<", 3)])
    assert list(found) == list(table())
    assert set(found["loss"]) == {"my_loss:f"}
    assert len(found) == 3


def test_text_that_is_no_utf8_is_refused(tmp_path):
    bad = pa.array([b"\xff\xfe"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"token": bad}), tmp_path / "t.parquet")
    with pytest.raises(GradlabError, match=r"t.parquet: not a readable table: .*UTF8"):
        read_table(tmp_path / "t.parquet")
