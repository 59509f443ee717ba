"""What the page's script unpacks is what was packed."""

import base64
import json
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradlab.errors import GradlabError
from gradlab.report.packing import (
    FLOAT_ERROR,
    pack_floats,
    pack_ints,
    page_json,
    plain_number,
)


def unpack(packed: str) -> np.ndarray:
    """As data.js does it."""
    planes = np.frombuffer(zlib.decompress(base64.b64decode(packed)), np.uint8)
    high, middle, low = planes.reshape(3, -1).astype(np.uint32)
    return high << 16 | middle << 8 | low


def unpack_floats(packed: str) -> np.ndarray:
    return (unpack(packed) << 8).astype(np.uint32).view(np.float32)


def test_floats_keep_their_error_bound_over_all_magnitudes():
    rng = np.random.default_rng(0)
    values = rng.normal(size=20_000) * 10.0 ** rng.uniform(-37, 37, 20_000)
    values = values[np.abs(values) > 1.2e-38]  # below lie the subnormals
    error = np.abs(unpack_floats(pack_floats(values)) - values) / np.abs(values)
    assert error.max() <= FLOAT_ERROR * (1 + 1e-6)
    assert error.max() > FLOAT_ERROR / 2  # not more digits than are claimed


def test_ties_go_to_even():
    lower = np.array([0x3F800000, 0x3F800080, 0x3F800180], np.uint32)
    got = unpack(pack_floats(lower.view(np.float32)))
    assert got.tolist() == [0x3F8000, 0x3F8000, 0x3F8002]


def test_what_is_no_number_stays_that():
    values = [0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan, 1e300, -1e300]
    got = unpack_floats(pack_floats(np.array(values)))
    np.testing.assert_array_equal(got[:4], values[:4])
    assert np.signbit(got[1])
    assert np.isnan(got[4:6]).all()
    assert got[6:].tolist() == [np.inf, -np.inf]


def test_ints_come_back_and_others_are_refused():
    values = np.array([0, 1, 255, 256, 65_536, 2**24 - 1])
    assert unpack(pack_ints(values)).tolist() == values.tolist()
    assert unpack(pack_ints(np.array([], int))).tolist() == []
    for wrong in (-1, 2**24):
        with pytest.raises(GradlabError, match="expected 0 to 16777215"):
            pack_ints(np.array([wrong]))


@given(st.text())
def test_json_is_harmless_and_reads_back(text):
    made = page_json({"text": text})
    assert made.isascii()
    assert not set(made) & set("<>&")
    assert json.loads(made) == {"text": text}


def test_cells_of_a_table():
    cells = [np.float64("nan"), np.inf, -np.inf, np.int64(3), np.bool_(True), "x", None]
    want = [None, "Infinity", "-Infinity", 3, True, "x", None]
    assert [plain_number(cell) for cell in cells] == want
