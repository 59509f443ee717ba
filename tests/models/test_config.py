"""The shape of a decoder refuses what does not fit."""

import dataclasses

import pytest

from gradlab.errors import GradlabError
from gradlab.models import DecoderConfig
from tests.models.cases import LLAMA


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vocab_size": 0}, "vocab_size is 0, expected a positive integer"),
        ({"layers": 1.0}, "layers is 1.0"),
        ({"max_length": True}, "max_length is True"),
        ({"kv_heads": 3}, "kv_heads is 3, expected a divisor of heads = 4"),
        ({"kv_heads": -1}, "kv_heads is -1"),
        ({"heads": 6, "kv_heads": 2}, "width is 16, expected a multiple of heads"),
        ({"head_dim": 5}, "head_dim is 5, expected even"),
        ({"norm": "batch"}, "norm is 'batch', expected one of"),
        ({"positions": "alibi"}, "positions is 'alibi'"),
        ({"mlp": "relu"}, "mlp is 'relu'"),
        ({"tied": None}, "tied is None"),
        ({"norm_eps": 0.0}, "norm_eps is 0.0, expected a positive finite number"),
        ({"rope_base": float("nan")}, "rope_base is nan"),
        ({"rope_base": float("inf")}, "rope_base is inf"),
    ],
)
def test_refuses_with_the_field_and_what_was_expected(change, message):
    with pytest.raises(GradlabError, match=message):
        dataclasses.replace(LLAMA, **change)


def test_fills_in_heads_and_head_width():
    config = DecoderConfig(
        vocab_size=5, width=12, layers=1, heads=3, ff_width=8, max_length=4
    )
    assert (config.key_value_heads, config.head_width) == (3, 4)


def test_an_odd_head_is_allowed_without_rotary_positions():
    assert dataclasses.replace(LLAMA, head_dim=5, positions="learned").head_width == 5
