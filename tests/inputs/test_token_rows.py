"""Files of token log-probabilities: which columns of them are read, and how."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gradlab.errors import DataError
from gradlab.inputs.token_rows import read_rows
from tests.inputs.test_token_table import table, written


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_column_that_is_there_twice_is_refused(tmp_path, suffix):
    frame = table()
    frame.insert(2, "logp", frame["logp"] - 1, allow_duplicates=True)
    path = tmp_path / f"logps{suffix}"
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        columns = [pa.array(frame.iloc[:, place]) for place in range(frame.shape[1])]
        pq.write_table(pa.table(columns, names=list(frame)), path)
    with pytest.raises(DataError, match="the column 'logp' is there twice"):
        read_rows(path)


def test_only_known_columns_are_read_and_none_is_made_up(tmp_path):
    """A folder named like a=b, and an index, are no columns to pandas alone."""
    folder = tmp_path / "loss=dpo"
    folder.mkdir()
    other = table(other=[[1.0]] * 10).set_index("pair")
    rows, names = read_rows(written(other, folder))
    assert rows["pair"].unique().tolist() == [7, 2]
    assert {"other"} == set(names) - set(rows)
    assert rows.index.tolist() == list(range(1, 11))
    path = tmp_path / "long.csv"
    path.write_text("pair,side,position,logp,token\n0,chosen,0,-1,a,b\n")
    with pytest.raises(DataError, match="not a readable table: Length of header"):
        read_rows(path)


def test_text_that_is_no_utf8_is_refused(tmp_path):
    bad = pa.array([b"\xff"] * 10, pa.binary()).view(pa.string())
    columns = pa.Table.from_pandas(table(), preserve_index=False)
    pq.write_table(columns.append_column("prompt", bad), tmp_path / "logps.parquet")
    with pytest.raises(DataError, match=r"not a readable table: .*UTF8"):
        read_rows(tmp_path / "logps.parquet")
