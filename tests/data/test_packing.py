"""Packed batches: every token of every pair is there, in few shapes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradlab.data import load_tokenizer, read_pairs, tokenize_pairs
from gradlab.data.batches import TokenizedPair
from gradlab.data.packing import by_length, pack, packed_batches
from gradlab.data.packing_report import packing_report
from gradlab.data.packing_shapes import (
    MOST_NEEDS,
    PackedShape,
    fill_rows,
    plan_shapes,
    sizes_of,
)
from gradlab.errors import DataError
from tests.data.samples import quick

ids = st.lists(st.integers(1, 4), min_size=1, max_size=12)


@st.composite
def pair_lists(draw):
    """Pairs over four ids, so that common beginnings of all lengths occur."""
    sides = st.tuples(ids, ids).filter(lambda both: both[0] != both[1])
    drawn = draw(st.lists(st.tuples(ids, sides), min_size=1, max_size=14))
    return [TokenizedPair(n, p, c, r) for n, (p, (c, r)) in enumerate(drawn, 1)]


def texts_seen(batch, cell):
    """The ids that the token of a flattened cell sees, in order of position."""
    length = batch.tokens.shape[1]
    row = cell // length
    branch = batch.branches[row, cell % length]
    seen = {}
    for column in range(cell % length + 1):
        if batch.branches[row, column] in (branch, branch - branch % 3):
            place = int(batch.positions[row, column])
            assert place not in seen
            seen[place] = int(batch.tokens[row, column])
    assert sorted(seen) == list(range(len(seen)))
    return [seen[place] for place in sorted(seen)]


def check_batch(batch, pairs, pad_id):
    for row, place in enumerate(batch.index):
        if place < 0:
            assert batch.chosen_length[row] == batch.rejected_length[row] == 0
            continue
        pair = pairs[place]
        for side in ("chosen", "rejected"):
            response = getattr(pair, side)
            slots = getattr(batch, f"{side}_slots")[row][
                getattr(batch, f"{side}_mask")[row]
            ]
            assert batch.targets[slots].tolist() == response
            for t, slot in enumerate(slots):
                context = texts_seen(batch, int(batch.sources[slot]))
                assert context == pair.prompt + response[:t]
    assert (batch.tokens[batch.branches < 0] == pad_id).all()
    assert (batch.positions <= np.arange(batch.tokens.shape[1])).all()


@quick
@given(pairs=pair_lists(), batch_size=st.integers(1, 5), shapes=st.integers(1, 3))
def test_every_response_token_sees_its_own_text_and_nothing_else(
    pairs, batch_size, shapes
):
    found, seen = set(), []
    options = {"batch_size": batch_size, "max_shapes": shapes, "pad_id": 9}
    for batch in packed_batches(pairs, **options):
        check_batch(batch, pairs, 9)
        found.add(tuple(leaf.shape for leaf in batch))
        seen += [int(place) for place in batch.index if place >= 0]
    assert len(found) <= shapes
    assert sorted(seen) == list(range(len(pairs)))


@quick
@given(pairs=pair_lists(), seed=st.integers(0, 99))
def test_sizes_count_each_shared_token_once(pairs, seed):
    sizes = sizes_of(pairs)
    for batch in packed_batches(pairs, batch_size=3):
        places = batch.index[batch.index >= 0]
        assert (batch.branches >= 0).sum() == sizes.columns[places].sum()
        used = [batch.chosen_slots[batch.chosen_mask]]
        used.append(batch.rejected_slots[batch.rejected_mask])
        distinct = np.unique(np.concatenate(used))
        assert distinct.tolist() == list(range(sizes.slots[places].sum()))


@quick
@given(pairs=pair_lists(), seed=st.integers(0, 99), shapes=st.integers(1, 4))
def test_the_spare_shape_holds_any_batch(pairs, seed, shapes):
    size = min(3, len(pairs))
    options = {"batch_size": size, "max_shapes": shapes, "spare": True}
    plan = plan_shapes(pairs, by_length(pairs, size)[:1], **options)
    assert len(plan) <= shapes
    rng = np.random.default_rng(seed)
    for _ in range(5):
        places = rng.permutation(len(pairs))[:size]
        batch = pack(pairs, places, plan)
        assert batch.index.tolist() == places.tolist()
        check_batch(batch, pairs, 0)


def test_a_pair_by_hand():
    pair = TokenizedPair(1, [7, 8], [1, 2, 3], [1, 4])
    shape = PackedShape(rows=1, length=8, slots=6, pairs=1, width=4)
    batch = pack([pair], [0], [shape], pad_id=5)
    assert batch.tokens.tolist() == [[7, 8, 1, 2, 5, 5, 5, 5]]
    assert batch.positions.tolist() == [[0, 1, 2, 3, 0, 0, 0, 0]]
    assert batch.branches.tolist() == [[0, 0, 0, 1, -1, -1, -1, -1]]
    assert batch.targets.tolist() == [1, 2, 3, 4, 0, 0]
    assert batch.sources.tolist() == [1, 2, 3, 2, 0, 0]
    assert batch.chosen_slots.tolist() == [[0, 1, 2, 0]]
    assert batch.rejected_slots.tolist() == [[0, 3, 0, 0]]
    assert batch.chosen_length.tolist() == [3]
    assert batch.rejected_length.tolist() == [2]


def test_a_demonstration_without_a_rejected_response():
    pair = TokenizedPair(1, [7], [1, 2], [])
    (batch,) = packed_batches([pair], batch_size=1)
    assert batch.tokens[0, :2].tolist() == [7, 1]
    assert batch.rejected_length.tolist() == [0]
    assert not batch.rejected_mask.any()


def test_several_pairs_share_a_row():
    pairs = [TokenizedPair(n, [1] * 10, [2] * 7, [3] * 7) for n in range(8)]
    (batch,) = packed_batches(pairs, batch_size=8)
    columns = 8 * (10 + 6 + 6)
    assert columns <= batch.tokens.size <= 1.35 * columns


def test_many_different_needs_are_merged_in_time():
    rng = np.random.default_rng(0)
    pairs = [
        TokenizedPair(n, [1] * a, [2] * b, [3] * c)
        for n, (a, b, c) in enumerate(rng.integers(1, 400, (3000, 3)))
    ]
    groups = list(rng.permutation(3000).reshape(-1, 4))
    assert len(groups) > MOST_NEEDS
    plan = plan_shapes(pairs, groups, batch_size=4, max_shapes=5)
    assert len(plan) <= 5
    for places in groups[::25]:
        pack(pairs, places, plan)


def test_more_shapes_cost_less():
    rng = np.random.default_rng(1)
    pairs = [
        TokenizedPair(n, [1] * a, [2] * b, [3] * c)
        for n, (a, b, c) in enumerate(rng.integers(1, 200, (64, 3)))
    ]
    costs = [
        sum(b.tokens.size for b in packed_batches(pairs, batch_size=4, max_shapes=n))
        for n in (1, 4, 16)
    ]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] < 0.8 * costs[0]


def test_rows_are_filled_first_fit():
    starts, rows = fill_rows(np.array([2, 5, 3, 6]), 8, stride=10)
    assert rows == 2
    assert starts.tolist() == [6, 10, 15, 0]


@pytest.mark.parametrize("name", ["batch_size", "max_shapes"])
def test_arguments(name):
    options = {"batch_size": 2, "max_shapes": 2} | {name: 0}
    with pytest.raises(DataError, match=f"{name}: found 0, expected"):
        list(packed_batches([TokenizedPair(1, [1], [2], [3])], **options))


def test_what_fits_no_shape_is_refused():
    pair = TokenizedPair(1, [1] * 9, [2], [3])
    shape = PackedShape(rows=1, length=8, slots=64, pairs=1, width=8)
    with pytest.raises(DataError, match="1 pairs with 2 response tokens, the longest"):
        pack([pair], [0], [shape])
    with pytest.raises(DataError, match="found none"):
        pack([pair], [], [shape])
    with pytest.raises(DataError, match="found none"):
        list(packed_batches([], batch_size=1))


def test_the_report_counts_tokens_and_cells():
    pairs = [TokenizedPair(n, [1] * 10, [2, 3, 4], [2, 5, 6, 7]) for n in range(3)]
    report = packing_report(pairs, batch_size=3)
    assert report.separate_tokens == 3 * 27
    assert report.packed_tokens == 3 * (11 + 1 + 2)
    assert report.separate_head == 3 * 7
    assert report.packed_head == 3 * 6
    assert report.tokens_saved == pytest.approx(1 - 42 / 81)
    assert report.packed_cells >= report.packed_tokens
    assert report.shapes == 1


def test_real_pairs_run_far_fewer_tokens(shared):
    """Responses of HH share few tokens: what is saved is the prompt."""
    folder = shared / "data"
    tokenizer = load_tokenizer(folder / "models" / "smollm2_tokenizer")
    source = read_pairs(folder / "hh_helpful_base_test.jsonl")
    pairs = tokenize_pairs(source, tokenizer, max_length=512).pairs[:400]
    report = packing_report(pairs, batch_size=8)
    assert 0.25 < report.tokens_saved < 0.5
    assert report.cells_saved > report.tokens_saved - 0.05
    assert 1 - report.packed_tokens / report.packed_cells < 0.15
