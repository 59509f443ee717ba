"""Probe texts for other trainers: tokenizers and rows in their forms."""

import pytest

from gradlab.bridges.rows import probe_rows, tokenizer_of
from gradlab.data import load_tokenizer, tokenize_pairs
from gradlab.data.arithmetic import pairs
from gradlab.data.embedded import embedded_model_folder
from gradlab.data.pairs import read_pairs
from gradlab.data.tokenizer import save_tokenizer
from gradlab.errors import DataError

ROWS = [
    {key: getattr(pair, key) for key in ("prompt", "chosen", "rejected")}
    for pair in pairs(5, 0)
]


class Saving:
    """What transformers' tokenizers offer of the kind."""

    name_or_path = "theirs"

    def __init__(self, inner):
        self.inner = inner

    def save_pretrained(self, folder):
        if self.inner is not None:
            save_tokenizer(self.inner, folder)


@pytest.fixture(scope="module")
def ours():
    return load_tokenizer(embedded_model_folder())


def test_a_tokenizer_goes_over_by_its_files(ours):
    theirs = tokenizer_of(Saving(ours))
    text = ROWS[0]["prompt"] + ROWS[0]["chosen"]
    assert theirs.encode(text) == ours.encode(text)
    assert (theirs.eos_id, theirs.source) == (ours.eos_id, "theirs")
    assert tokenizer_of(ours) is ours


def test_a_tokenizer_without_readable_files_is_refused():
    with pytest.raises(DataError, match=r"expected a fast one: theirs: found neither"):
        tokenizer_of(Saving(None))


def test_text_is_cut_as_everywhere(ours):
    expected = tokenize_pairs(read_pairs(ROWS), ours, max_length=512).pairs[:3]
    assert probe_rows(ROWS, ours, max_length=512, limit=3).pairs == expected


def test_rows_of_ids_stay_as_they_are(ours):
    row = {"prompt_ids": [1, 2], "chosen_ids": [3], "rejected_ids": [4, 5], "more": 0}
    (first, second) = probe_rows([row, row], ours, max_length=2, limit=9)
    assert (first.prompt, first.chosen, first.rejected) == ([1, 2], [3], [4, 5])
    assert (first.row, second.row) == (1, 2)
    with pytest.raises(DataError, match=r"row 2: 'chosen_ids' is \[\]; expected"):
        probe_rows([row, row | {"chosen_ids": []}], ours, max_length=2, limit=9)


@pytest.mark.parametrize("bad", [["5"], [None], [True], [-1], [2**31], [[5]], (5, 6)])
def test_ids_are_numbers_of_tokens(bad, ours):
    row = {"prompt_ids": [1, 2], "chosen_ids": bad, "rejected_ids": [4, 5]}
    with pytest.raises(DataError, match=r"row 1: .chosen_ids. is .*; expected a list"):
        probe_rows([row], ours, max_length=2, limit=9)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "found no row"),
        (None, "probe pairs: found None; expected a path or a list of rows"),
        ([3], "row 1: not an object"),
        ([{"prompt_ids": [1], "chosen_ids": [2], "rejected_ids": [3]}, 4], "row 2"),
    ],
)
def test_what_is_no_row_is_refused(rows, message, ours):
    with pytest.raises(DataError, match=message):
        probe_rows(rows, ours, max_length=8, limit=2)
