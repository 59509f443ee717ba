"""The partition of a pair, on hand-made and on random edits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradlab.errors import GradlabError
from gradlab.measures import REGIONS, net_prefix_weights, pair_regions, region_sums

NAMES = "pfms"


def letters(codes):
    return "".join(NAMES[c] for c in codes)


@pytest.mark.parametrize(
    ("chosen", "rejected", "expected"),
    [
        ([1, 2, 3], [1, 9, 3], ("pfs", "pfs")),
        ([1, 2, 3, 4], [1, 2, 9, 9, 4], ("ppfs", "ppfms")),
        ([1, 2], [1, 2, 3], ("pp", "ppf")),  # one response continues the other
        ([1, 2, 3, 3], [1, 2, 3], ("pppf", "ppp")),
        ([7], [8], ("f", "f")),
        ([7, 5], [8, 5], ("fs", "fs")),
        ([5, 5, 5], [5, 6, 5, 5], ("pfs", "pfms")),  # the suffix stops at the first
        ([1, 2, 3, 4, 5], [1, 3, 4, 5], ("pfmss", "pfss")),  # deletion
        ([1, 1, 1], [1, 1], ("ppf", "pp")),
    ],
)
def test_by_hand(chosen, rejected, expected):
    regions = pair_regions(chosen, rejected)
    assert (letters(regions.chosen), letters(regions.rejected)) == expected
    assert regions.one_sided == ("f" not in expected[0] or "f" not in expected[1])


tokens = st.lists(st.integers(0, 2), min_size=1, max_size=9)


@given(tokens, tokens)
def test_partition_properties(chosen, rejected):
    if chosen == rejected:
        with pytest.raises(GradlabError, match="the same"):
            pair_regions(chosen, rejected)
        return
    regions = pair_regions(chosen, rejected)
    swapped = pair_regions(rejected, chosen)
    np.testing.assert_array_equal(regions.chosen, swapped.rejected)
    np.testing.assert_array_equal(regions.rejected, swapped.chosen)
    assert chosen[: regions.first] == rejected[: regions.first]
    if regions.suffix:
        assert chosen[-regions.suffix :] == rejected[-regions.suffix :]
    for codes, ids in ((regions.chosen, chosen), (regions.rejected, rejected)):
        assert len(codes) == len(ids)
        assert sorted(codes) == list(codes)  # prefix, first, middle, suffix in order
        assert np.sum(codes == 0) == regions.first
        assert np.sum(codes == 3) == regions.suffix
    firsts = np.sum(regions.chosen == 1) + np.sum(regions.rejected == 1)
    assert firsts == (1 if regions.one_sided else 2)


def test_sums_add_up_and_mass_is_absolute():
    regions = pair_regions([1, 2, 3, 4], [1, 2, 9, 9, 4])
    weights = np.array([0.5, -1.0, 2.0, -4.0, 8.0])
    signed = region_sums(weights, regions.rejected)
    assert signed == {"prefix": -0.5, "first": 2.0, "middle": -4.0, "suffix": 8.0}
    mass = region_sums(weights, regions.rejected, absolute=True)
    assert sum(mass.values()) == np.abs(weights).sum()
    assert tuple(mass) == REGIONS


def test_net_prefix_weight():
    regions = pair_regions([1, 2, 3], [1, 2, 9])
    net = net_prefix_weights(np.array([-1.0, -1, -1]), np.array([1.0, 0.5, 1]), regions)
    np.testing.assert_array_equal(net, [0.0, -0.5])
