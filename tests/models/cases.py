"""Small models that the tests of this folder share."""

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.models import DecoderConfig

LLAMA = DecoderConfig(
    vocab_size=37,
    width=16,
    layers=2,
    heads=4,
    kv_heads=2,
    ff_width=24,
    max_length=16,
    rope_base=500.0,
)
UNTIED = DecoderConfig(
    vocab_size=37,
    width=16,
    layers=2,
    heads=2,
    head_dim=6,
    ff_width=24,
    max_length=16,
    tied=False,
    attention_bias=True,
    mlp_bias=True,
)
GPT2 = DecoderConfig(
    vocab_size=37,
    width=16,
    layers=2,
    heads=4,
    ff_width=24,
    max_length=16,
    norm="layer",
    positions="learned",
    mlp="gelu",
    attention_bias=True,
    mlp_bias=True,
)
CONFIGS = {"llama": LLAMA, "untied": UNTIED, "gpt2": GPT2}


def lively(params, seed: int = 7, dtype=None):
    """Parameters of visible size, biases and scales included; none is nil."""
    rng = np.random.default_rng(seed)

    def stir(leaf):
        noise = 0.2 * rng.normal(size=leaf.shape)
        return jnp.asarray(np.asarray(leaf) + noise, dtype or leaf.dtype)

    return jax.tree.map(stir, params)


def random_tokens(config: DecoderConfig, batch: int, length: int, seed: int = 3):
    """[batch, length] int32 ids."""
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.integers(config.vocab_size, size=(batch, length)), jnp.int32)
