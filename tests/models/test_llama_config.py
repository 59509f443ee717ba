"""config.json of a Llama: what is read, what is refused."""

import json

import pytest

from gradlab.errors import CheckpointError
from gradlab.models.llama_config import config_from_fields, config_to_fields
from tests.models.cases import LLAMA, UNTIED

MINIMAL = {
    "model_type": "llama",
    "vocab_size": 37,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 16,
}


def read(**change):
    return config_from_fields(MINIMAL | change, "folder/config.json")


def test_absent_fields_have_the_values_of_transformers():
    config = read()
    assert (config.key_value_heads, config.head_width) == (4, 4)
    assert (config.norm_eps, config.rope_base, config.tied) == (1e-6, 1e4, False)
    assert (config.norm, config.positions, config.mlp) == ("rms", "rotary", "swiglu")


@pytest.mark.parametrize("config", [LLAMA, UNTIED])
def test_round_trip_through_json(config):
    fields = json.loads(json.dumps(config_to_fields(config, "float32")))
    again = config_from_fields(fields, "config.json")
    assert again.head_width == config.head_width
    assert again.key_value_heads == config.key_value_heads
    assert config_to_fields(again, "float32") == fields


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_theta": 500},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
        {"rope_theta": 500.0, "rope_scaling": None, "rope_parameters": None},
        {"rope_theta": 500.0, "rope_scaling": {"type": "default"}},
    ],
)
def test_both_spellings_of_the_rotary_base(rope):
    assert read(**rope).rope_base == 500.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "mistral"}, "model_type is 'mistral', expected 'llama'"),
        ({"model_type": None}, "model_type is None, expected 'llama'"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu', expected 'silu'"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor is 0.5"),
        ({"quantization_config": {"bits": 4}}, "quantization_config is"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8}}, "rope_scaling is"),
        ({"rope_scaling": {"type": "linear", "factor": 2}}, "rope_scaling is"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "rope_parameters is .*'default'"),
        ({"rope_scaling": "dynamic"}, "rope_scaling is 'dynamic'"),
        ({"hidden_size": None}, "the field hidden_size is missing"),
        ({"hidden_size": "16"}, "hidden_size is '16', expected int"),
        ({"vocab_size": 37.0}, r"vocab_size is 37\.0, expected int"),
        ({"num_attention_heads": True}, "num_attention_heads is True, expected int"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000"),
        ({"tie_word_embeddings": 1}, "tie_word_embeddings is 1, expected bool"),
        ({"rope_theta": "big"}, "rope_theta is 'big', expected float"),
        ({"num_key_value_heads": 3}, "kv_heads is 3, expected a divisor"),
        ({"rms_norm_eps": -1.0}, r"norm_eps is -1\.0, expected a positive"),
    ],
)
def test_refuses_and_names_file_field_found_and_expected(change, message):
    with pytest.raises(CheckpointError, match=f"folder/config.json: .*{message}"):
        read(**change)
