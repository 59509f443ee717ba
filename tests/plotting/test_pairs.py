"""Taking a pair out of the table, and choosing one."""

import numpy as np
import pytest

from gradlab.errors import GradlabError
from gradlab.plotting.pairs import (
    contrasting_losses,
    example_pair,
    loss_names,
    side_tokens,
    window,
)
from gradlab.tables import select
from tests.plotting.synthetic import LOSSES, tokens_table


def test_side_tokens_follow_positions_not_rows():
    table = select(tokens_table(losses=LOSSES[:3]), pair=0)
    shuffled = table.sample(frac=1, random_state=0)
    ordered = side_tokens(table, "rejected", LOSSES[:3])
    found = side_tokens(shuffled, "rejected", LOSSES[:3])
    assert found.texts == ordered.texts
    assert found.first == 4
    assert found.weights.shape == (3, 18)
    np.testing.assert_array_equal(found.weights, ordered.weights)
    expected = select(table, side="rejected", loss=LOSSES[1])["weight"]
    np.testing.assert_array_equal(found.weights[1], expected)


def test_a_response_that_is_a_prefix_has_no_first_difference():
    table = select(tokens_table(((4, 9),), losses=("dpo",)), pair=0)
    assert side_tokens(table, "chosen", ["dpo"]).first is None
    assert side_tokens(table, "rejected", ["dpo"]).first == 4


def test_refusals():
    table = tokens_table(losses=LOSSES[:2])
    one = select(table, pair=0)
    with pytest.raises(GradlabError, match="found the rows of 3 pairs"):
        side_tokens(table, "chosen", ["mle"])
    with pytest.raises(GradlabError, match=r"side is .* found 'good'"):
        side_tokens(one, "good", ["mle"])
    with pytest.raises(GradlabError, match="no rejected tokens for 'mle'"):
        side_tokens(select(one, side="chosen"), "rejected", ["mle"])
    gap = one.drop(one.index[(one["loss"] == "mle") & (one["position"] == 3)])
    with pytest.raises(GradlabError, match="'mle' lacks some chosen tokens of pair 0"):
        side_tokens(gap, "chosen", ["unlikelihood_token", "mle"])
    with pytest.raises(
        GradlabError, match=r"no loss 'unlikelihod'.*unlikelihood_token"
    ):
        loss_names(table, ["unlikelihod"])


def test_loss_names_keep_the_order_of_the_table():
    assert loss_names(tokens_table()) == list(LOSSES)
    assert loss_names(tokens_table(), ["dpo", "mle"]) == ["dpo", "mle"]


@pytest.mark.parametrize(
    ("length", "first", "expected"),
    [
        (10, 3, (0, 10)),
        (100, 0, (0, 40)),
        (100, 50, (40, 80)),
        (100, 99, (60, 100)),
        (100, None, (0, 40)),
    ],
)
def test_window_holds_the_first_difference(length, first, expected):
    assert window(length, first, 40) == slice(*expected)


def test_example_is_typical_and_short():
    lengths = ((5, 5), (20, 22), (21, 22), (22, 22), (40, 47), (300, 310))
    assert example_pair(tokens_table(lengths, losses=("dpo",))) in (1, 2, 3)
    long = ((400, 90), (200, 300), (100, 110))
    assert example_pair(tokens_table(long, losses=("dpo",))) == 2
    assert example_pair(tokens_table(((9, 9),), losses=("dpo",))) == 0


def test_contrasting_losses_leave_out_copies():
    table = select(tokens_table(), pair=0)
    found = contrasting_losses(table, ["dpo", "hinge", "mle", "unlikelihood_token"], 3)
    assert found == ["dpo", "mle", "unlikelihood_token"]
    assert contrasting_losses(table, ["dpo"], 4) == ["dpo"]
