"""Every parameter lies in exactly one group, named as expected."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.errors import GradlabError
from gradlab.gradients.groups import (
    group_inner,
    group_names,
    parameter_groups,
    tree_inner,
)
from tests.gradients.models import make_case, random_like

BLOCK = [f"layers/{n}/{part}" for n in (0, 1) for part in ("attention", "mlp", "norms")]


@pytest.mark.parametrize(
    ("config", "outer"),
    [
        ("llama", ["embedding", "final_norm"]),
        ("untied", ["embedding", "final_norm", "head"]),
        ("gpt2", ["embedding", "final_norm"]),
    ],
)
def test_the_decoders_groups(config, outer):
    params = make_case(config, dtype=jnp.float32).params
    assert set(group_names(parameter_groups(params))) == {*BLOCK, *outer}


@pytest.mark.parametrize(
    ("path", "group"),
    [
        ("transformer/h/3/ln_1/scale", "layers/3/norms"),
        ("transformer/h/3/attn/c_attn/kernel", "layers/3/attention"),
        ("transformer/ln_f/scale", "final_norm"),
        ("transformer/wte/embedding", "embedding"),
        ("model/layers/0/self_attn/q_proj/kernel", "layers/0/attention"),
        ("model/layers/0/input_layernorm/weight", "layers/0/norms"),
        ("model/layers/0/post_attention_layernorm/weight", "layers/0/norms"),
        ("model/layers/11/mlp/up_proj/kernel", "layers/11/mlp"),
        ("model/embed_tokens/weight", "embedding"),
        ("lm_head/kernel", "head"),
        ("adapter/down", "adapter/down"),
    ],
)
def test_other_layouts(path, group):
    tree = 0.0
    for key in reversed(path.split("/")):
        tree = {key: tree}
    assert parameter_groups(tree) == (group,)


def test_own_patterns_and_leftovers():
    params = {"a": {"x": 1.0, "y": 2.0}, "b": [3.0]}
    groups = parameter_groups(params, [("^a/(.)", r"first \1")])
    assert groups == ("first x", "first y", "b/0")
    with pytest.raises(GradlabError, match="no regular expression"):
        parameter_groups(params, [("(", "x")])


def test_inner_products_add_over_groups():
    with jax.enable_x64(True):
        params = make_case("llama").params
        x, y = random_like(params, 1), random_like(params, 2)
        parts = group_inner(x, y, parameter_groups(params))
        np.testing.assert_allclose(parts.sum(), tree_inner(x, y), rtol=1e-12)
