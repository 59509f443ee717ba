"""What the page's script unpacks is what was packed."""

import base64
import json
import zlib
from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradlab.errors import GradlabError
from gradlab.report.packing import (
    DIGITS,
    LARGEST_POWER,
    Blocks,
    decimal_ranks,
    pack_ints,
    page_json,
    plain_number,
)


def unpack(packed: str) -> np.ndarray:
    """As data.js does it."""
    planes = np.frombuffer(zlib.decompress(base64.b64decode(packed)), np.uint8)
    high, middle, low = planes.reshape(3, -1).astype(np.int64)
    return high << 16 | middle << 8 | low


def unpack_ranks(blocks: list, number: int) -> np.ndarray:
    packed, like = blocks[number]
    ints = unpack(packed)
    rest = np.where(ints % 2, -((ints + 1) // 2), ints // 2)
    return rest if like < 0 else rest + unpack_ranks(blocks, like)


def decimal_of(rank: int, digits: int) -> float:
    """The decimal that a rank stands for, by counting them."""
    each = 9 * 10 ** (digits - 1)
    outermost = (2 * LARGEST_POWER + 1) * each + 1
    if rank == 0 or abs(rank) >= outermost:
        return {0: 0.0, outermost: np.inf, -outermost: -np.inf}.get(rank, np.nan)
    power, place = divmod(abs(rank) - 1, each)
    mantissa = place + 10 ** (digits - 1)
    sign = "-" if rank < 0 else ""
    return float(f"{sign}{mantissa}e{power - LARGEST_POWER - digits + 1}")


def unpack_floats(blocks: list, number: int, digits: int) -> np.ndarray:
    ranks = unpack_ranks(blocks, number)
    return np.array([decimal_of(int(rank), digits) for rank in ranks])


def rounded(value: float, digits: int) -> float:
    """The decimal of so many digits that is nearest to a float, exactly."""
    exact = Decimal(value)
    last = Decimal(1).scaleb(exact.adjusted() - digits + 1)
    return float(exact.quantize(last, ROUND_HALF_EVEN))


@pytest.mark.parametrize("digits", DIGITS)
def test_every_number_is_the_nearest_decimal(digits):
    rng = np.random.default_rng(digits)
    values = rng.normal(size=3000) * 10.0 ** rng.uniform(-58, 58, 3000)
    got = [decimal_of(int(r), digits) for r in decimal_ranks(values, digits)]
    assert got == [rounded(value, digits) for value in values]


def test_rounding_may_lead_into_the_next_power():
    values = np.array([9.996, 0.99951, 99949.0, -9.9996e-7])
    got = [decimal_of(int(rank), 3) for rank in decimal_ranks(values, 3)]
    assert got == [10.0, 1.0, 99900.0, -1e-6]


def test_ranks_grow_with_the_values():
    values = np.array([-np.inf, -2.0, -1e-9, 0.0, 1e-9, 1.0, 1.01, 3e40, np.inf])
    assert (np.diff(decimal_ranks(values, 3)) > 0).all()


def test_what_is_no_decimal_stays_or_becomes_an_end():
    values = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-300, 1e300, -1e300])
    got = [decimal_of(int(rank), 4) for rank in decimal_ranks(values, 4)]
    assert got[:4] == [0.0, 0.0, np.inf, -np.inf]
    assert np.isnan(got[4])
    assert got[5:] == [0.0, np.inf, -np.inf]


def test_blocks_come_back_also_from_their_likeness():
    rng = np.random.default_rng(0)
    one = rng.normal(size=2000)
    near, other = one * (1 + 1e-3 * rng.normal(size=2000)), rng.normal(size=2000)
    near[7], other[3] = np.nan, -np.inf
    blocks = Blocks()
    ranks = [decimal_ranks(values, 3) for values in (one, other, near, one)]
    numbers = [blocks.add(rank, list(range(n))) for n, rank in enumerate(ranks)]
    assert numbers == [0, 1, 2, 3]
    assert [like for _, like in blocks.packed] == [-1, -1, 0, 0]
    for number, rank in enumerate(ranks):
        np.testing.assert_array_equal(unpack_ranks(blocks.packed, number), rank)
    sizes = [len(packed) for packed, _ in blocks.packed]
    assert sizes[2] < 0.6 * sizes[0]
    assert sizes[3] < 0.02 * sizes[0]


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
