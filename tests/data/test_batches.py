"""Batches of a side: few shapes, every pair once."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradlab.data import load_tokenizer, read_pairs, tokenize_pairs
from gradlab.data.batches import TokenizedPair, batches, boxes, padding_share
from gradlab.errors import DataError
from tests.data.samples import quick

lengths = st.tuples(*[st.integers(1, 60)] * 3)


def made(sizes: list[tuple[int, int, int]]) -> list[TokenizedPair]:
    """Pairs of given prompt, chosen and rejected lengths; every id tells its place."""
    pairs = []
    for row, (prompt, chosen, rejected) in enumerate(sizes, 1):
        ids = [range(1000 * row, 1000 * row + n) for n in (prompt, chosen, rejected)]
        pairs.append(TokenizedPair(row, *map(list, ids)))
    return pairs


class TestBatches:
    @quick
    @given(
        sizes=st.lists(lengths, min_size=1, max_size=40),
        batch_size=st.integers(1, 9),
        max_shapes=st.integers(1, 5),
    )
    def test_every_pair_comes_back_in_few_shapes(self, sizes, batch_size, max_shapes):
        pairs = made(sizes)
        options = {"batch_size": batch_size, "max_shapes": max_shapes, "pad_id": 7}
        shapes, longest = set(), max(pair.length for pair in pairs)
        for side in ("chosen", "rejected"):
            seen = []
            for batch in batches(pairs, side, **options):
                size = batch.tokens.shape[1]
                assert batch.tokens.shape[0] == batch_size
                shapes.add((size, batch.width))
                assert size <= longest
                assert size % 8 == 0 or size == longest
                for row, place in enumerate(batch.index):
                    seen.append(int(place))
                    start, length = (
                        batch.response_start[row],
                        batch.response_length[row],
                    )
                    if place < 0:
                        assert (start, length) == (1, 0)
                        assert (batch.tokens[row] == 7).all()
                        continue
                    pair, ids = pairs[place], batch.tokens[row].tolist()
                    response = getattr(pair, side)
                    assert ids[:start] == pair.prompt
                    assert ids[start : start + length] == response
                    assert set(ids[start + length :]) <= {7}
                    assert batch.targets[row][batch.mask[row]].tolist() == response
                    assert batch.width >= length
            assert sorted(place for place in seen if place >= 0) == list(
                range(len(pairs))
            )
        assert len(shapes) <= max_shapes

    def test_types_order_and_repeatability(self):
        pairs = made([(5, 3, 2), (9, 40, 2), (1, 1, 1)] * 4)
        runs = [list(batches(pairs, "chosen", batch_size=2)) for _ in range(2)]
        for one, other in zip(*runs, strict=True):
            for field in dataclasses.fields(one):
                left, right = (getattr(b, field.name) for b in (one, other))
                assert np.array_equal(left, right)
            for name in ("tokens", "response_start", "response_length", "index"):
                assert getattr(one, name).dtype == np.int32
        sizes = [batch.tokens.shape[1] for batch in runs[0]]
        assert sizes == sorted(sizes, reverse=True)

    def test_a_full_box_is_not_split_for_nothing(self):
        (box,) = boxes(made([(3, 2, 2)] * 8), batch_size=8)
        assert (box.length, box.width) == (5, 2)

    def test_splitting_saves_padding(self):
        pairs = made([(8, 8, 8)] * 8 + [(8, 56, 56)] * 8)
        assert [(b.length, b.width) for b in boxes(pairs, batch_size=8)] == [
            (64, 56),
            (16, 8),
        ]
        assert padding_share(pairs, batch_size=8) == 0
        assert padding_share(pairs, batch_size=8, max_shapes=1) == 1 - 80 / 128

    def test_dummy_rows_count_as_padding(self):
        # Apart, each length would need a batch with seven dummy rows.
        pairs = made([(8, 8, 8), (8, 16, 16)])
        assert len(boxes(pairs, batch_size=8)) == 1

    @pytest.mark.parametrize(
        ("options", "name"),
        [
            ({"side": "left"}, "side"),
            ({"batch_size": 0}, "batch_size"),
            ({"max_shapes": 0}, "max_shapes"),
        ],
    )
    def test_arguments(self, options, name):
        options = {"side": "chosen", "batch_size": 2} | options
        with pytest.raises(DataError, match=f"{name}: found .*, expected"):
            list(batches(made([(1, 1, 1)]), **options))

    def test_no_pair(self):
        with pytest.raises(DataError, match="pairs: found none"):
            list(batches([], "chosen", batch_size=2))


REAL = [
    "arc_challenge_pairs",
    "blimp_pairs",
    "gsm8k_corrupt_one_step_pairs",
    "hh_harmless_base_test",
    "hh_helpful_base_test",
    "persona_yesno_pairs",
]


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("model", ["gpt2_tokenizer", "stories260K"])
def test_real_files_become_batches(shared, name, model):
    tokenizer = load_tokenizer(shared / "data" / "models" / model)
    rows = read_pairs(shared / "data" / f"{name}.jsonl")
    found = tokenize_pairs(rows, tokenizer, max_length=512)
    assert (len(found), found.report.skipped) == (len(rows), {})
    assert padding_share(found, batch_size=8) < 0.35
    assert len(boxes(found, batch_size=8)) <= 8
    pair, text = found.pairs[0], rows.pairs[0]
    prompt = pair.prompt[pair.bos_added :]
    shown = tokenizer.decode(prompt + pair.chosen, skip_special=True)
    if model == "gpt2_tokenizer":
        assert shown == f"{text.prompt}{text.chosen}"
