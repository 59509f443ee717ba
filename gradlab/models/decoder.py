"""A decoder language model, readable in one sitting (flax.nnx).

Covers the Llama family (RMSNorm, rotary positions, grouped-query attention, SwiGLU) and
the GPT-2 family (LayerNorm, learned positions, GELU). Attention is written out with
einsum so that float64 stays float64 and forward-mode derivatives of any order exist.
There is no dropout and no cache: the model is a pure function of parameters and tokens.

Shape letters beyond those of `gradlab.types`: K key-value heads, G query heads for each
of them (H = K G), C width of one head, F width of the feed-forward layer.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from gradlab.errors import GradlabError
from gradlab.models.config import DecoderConfig as DecoderConfig
from gradlab.types import Array

EMBEDDING_SCALE = 0.02  # standard deviation of initial embeddings, as in GPT-2


def _wide(dtype) -> jnp.dtype:
    """The dtype of softmax and rotations: at least float32, float64 if given that."""
    return jnp.promote_types(dtype, jnp.float32)


def _linear(inputs: int, outputs: int, rngs: nnx.Rngs, *, bias=False, scale=1.0):
    # Variance 1 / inputs: GPT-2's fixed 0.02 is far too small for narrow models.
    init = nnx.initializers.normal(scale * inputs**-0.5)
    return nnx.Linear(inputs, outputs, use_bias=bias, kernel_init=init, rngs=rngs)


def _norm(config: DecoderConfig, rngs: nnx.Rngs) -> nnx.Module:
    if config.norm == "rms":
        return nnx.RMSNorm(config.width, epsilon=config.norm_eps, rngs=rngs)
    # The fast variance E[x^2] - E[x]^2 cancels, and its clip at 0 has a kink.
    return nnx.LayerNorm(
        config.width, epsilon=config.norm_eps, use_fast_variance=False, rngs=rngs
    )


def rotate(x: Array, base: float) -> Array:
    """Rotary position embedding of [B, T, ..., C], same shape and dtype.

    Coordinates i and i + C/2 form a plane that turns by t / base^(2i/C) at position t
    (Su et al. 2021, arXiv 2104.09864; the coordinate order of the Hugging Face hub).
    """
    length, half = x.shape[1], x.shape[-1] // 2
    # Angles in float64 on the host: exact at any position, a constant under jit.
    angles = np.arange(length)[:, None] * base ** (-np.arange(half) / half)
    angles = angles.reshape(length, *[1] * (x.ndim - 3), half)
    wide = _wide(x.dtype)
    cos, sin = jnp.asarray(np.cos(angles), wide), jnp.asarray(np.sin(angles), wide)
    first, second = jnp.split(x.astype(wide), 2, axis=-1)
    turned = [first * cos - second * sin, second * cos + first * sin]
    return jnp.concatenate(turned, axis=-1).astype(x.dtype)


def causal_attention(query: Array, key: Array, value: Array) -> Array:
    """Softmax attention to the present and earlier positions.

    Args:
      query: [B, T, K, G, C].
      key: [B, T, K, C], shared by the G query heads of each group.
      value: [B, T, K, C].

    Returns:
      [B, T, K, G, C], in the dtype of `value`.

    Guarantees:
      The derivative of output t with respect to inputs after t is exactly 0; the
      softmax is taken in float32, or in float64 where the inputs are float64.
    """
    length, head_dim = query.shape[1], query.shape[-1]
    wide = _wide(query.dtype)
    scores = jnp.einsum("btkgc,bskc->bkgts", query, key, preferred_element_type=wide)
    visible = np.tril(np.ones((length, length), bool))
    # A finite floor: -inf would give 0 * inf in some higher-order derivatives.
    scores = jnp.where(visible, scores * head_dim**-0.5, jnp.finfo(wide).min)
    probs = jax.nn.softmax(scores, axis=-1).astype(value.dtype)
    return jnp.einsum("bkgts,bskc->btkgc", probs, value)


class Embed(nnx.Module):
    """The token table, which also serves as the head of a tied model."""

    def __init__(self, rows: int, width: int, rngs: nnx.Rngs):
        """Draws a normal table [rows, width]."""
        init = nnx.initializers.normal(EMBEDDING_SCALE)
        self.embedding = nnx.Param(init(rngs.params(), (rows, width)))

    def __call__(self, tokens: Array) -> Array:
        """Ids [...] -> [..., D]; ids out of range are clipped."""
        # The default gather gives NaN for ids out of range: padding must stay finite.
        return jnp.take(self.embedding[...], tokens, axis=0, mode="clip")

    def attend(self) -> Array:
        """[D, V]: the same parameter as a head, so its gradient sums both uses."""
        return self.embedding[...].T


class Attention(nnx.Module):
    """Grouped-query causal self-attention."""

    def __init__(self, config: DecoderConfig, rngs: nnx.Rngs):
        """Draws the four projections."""
        self.config = config
        bias = config.attention_bias
        outer = config.heads * config.head_width
        shared = config.key_value_heads * config.head_width
        self.query = _linear(config.width, outer, rngs, bias=bias)
        self.key = _linear(config.width, shared, rngs, bias=bias)
        self.value = _linear(config.width, shared, rngs, bias=bias)
        # GPT-2: residual projections shrink with depth so that variance does not grow.
        scale = (2 * config.layers) ** -0.5
        self.out = _linear(outer, config.width, rngs, bias=bias, scale=scale)

    def __call__(self, x: Array) -> Array:
        """[B, T, D] -> [B, T, D]; position t reads positions 0..t."""
        config = self.config
        batch, length, _ = x.shape
        groups, head_dim = config.key_value_heads, config.head_width
        query = self.query(x).reshape(batch, length, groups, -1, head_dim)
        key = self.key(x).reshape(batch, length, groups, head_dim)
        value = self.value(x).reshape(batch, length, groups, head_dim)
        if config.positions == "rotary":
            query = rotate(query, config.rope_base)
            key = rotate(key, config.rope_base)
        mixed = causal_attention(query, key, value)
        return self.out(mixed.reshape(batch, length, -1))


class FeedForward(nnx.Module):
    """SwiGLU (Shazeer 2020, arXiv 2002.05202) or GELU."""

    def __init__(self, config: DecoderConfig, rngs: nnx.Rngs):
        """Draws two or three projections."""
        self.config = config
        bias, scale = config.mlp_bias, (2 * config.layers) ** -0.5
        if config.mlp == "swiglu":
            self.gate = _linear(config.width, config.ff_width, rngs, bias=bias)
        self.up = _linear(config.width, config.ff_width, rngs, bias=bias)
        self.down = _linear(config.ff_width, config.width, rngs, bias=bias, scale=scale)

    def __call__(self, x: Array) -> Array:
        """[B, T, D] -> [B, T, D], each position by itself."""
        if self.config.mlp == "swiglu":
            return self.down(jax.nn.silu(self.gate(x)) * self.up(x))
        return self.down(jax.nn.gelu(self.up(x), approximate=True))


class Block(nnx.Module):
    """One pre-norm residual block."""

    def __init__(self, config: DecoderConfig, rngs: nnx.Rngs):
        """Draws attention and feed-forward weights."""
        self.attention_norm = _norm(config, rngs)
        self.attention = Attention(config, rngs)
        self.mlp_norm = _norm(config, rngs)
        self.mlp = FeedForward(config, rngs)

    def __call__(self, x: Array) -> Array:
        """[B, T, D] -> [B, T, D]."""
        x = x + self.attention(self.attention_norm(x))
        return x + self.mlp(self.mlp_norm(x))


class Decoder(nnx.Module):
    """A causal language model: tokens [B, T] -> logits [B, T, V].

    Sequences start at position 0; pad on the right, where causality keeps the padding
    from touching any earlier position.

    Example:
      >>> config = DecoderConfig(vocab_size=9, width=8, layers=1, heads=2,
      ...                        ff_width=16, max_length=4)
      >>> Decoder(config, rngs=nnx.Rngs(0))(jnp.zeros((1, 3), jnp.int32)).shape
      (1, 3, 9)
    """

    def __init__(self, config: DecoderConfig, *, rngs: nnx.Rngs):
        """Draws all weights from `rngs`."""
        self.config = config
        self.embed = Embed(config.vocab_size, config.width, rngs)
        if config.positions == "learned":
            self.positions = Embed(config.max_length, config.width, rngs)
        self.layers = nnx.List([Block(config, rngs) for _ in range(config.layers)])
        self.norm = _norm(config, rngs)
        if not config.tied:
            self.unembed = _linear(config.width, config.vocab_size, rngs)

    def hidden(self, tokens: Array) -> Array:
        """Tokens [B, T] -> what the head reads [B, T, D], after the last norm."""
        length = tokens.shape[1]
        if length > self.config.max_length:
            raise GradlabError(
                f"tokens: {length} positions, more than the model's max_length of "
                f"{self.config.max_length}; truncate the sequences"
            )
        return self.trunk(self.embed(tokens))

    def trunk(self, x: Array) -> Array:
        """Token embeddings [B, T, D] -> [B, T, D]; an entry for gradient checks."""
        if self.config.positions == "learned":
            x = x + self.positions(jnp.arange(x.shape[1]))
        for block in self.layers:
            x = block(x)
        return self.norm(x)

    def head(self) -> Array:
        """[D, V]: logits are hidden @ head."""
        return self.embed.attend() if self.config.tied else self.unembed.kernel[...]

    def __call__(self, tokens: Array) -> Array:
        """Tokens [B, T] -> logits [B, T, V]; the logits at t predict token t + 1."""
        return self.hidden(tokens) @ self.head()
