"""A decoder language model, readable in one sitting (flax.nnx).

Covers the Llama family (RMSNorm, rotary positions, grouped-query attention, SwiGLU) and
the GPT-2 family (LayerNorm, learned positions, GELU). Attention is written out with
einsum so that float64 stays float64 and forward-mode derivatives of any order exist.
There is no dropout: the model is a pure function of parameters, tokens and their layout
(`gradlab.models.layout`: the position of each token and the columns that it sees).

Shape letters beyond those of `gradlab.types`: K key-value heads, G query heads for each
of them (H = K G), C width of one head, F width of the feed-forward layer.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from gradlab.errors import GradlabError
from gradlab.models.attention import Turns, attend, rotate, turns_of, wide
from gradlab.models.config import DecoderConfig as DecoderConfig
from gradlab.models.layout import Layout, running
from gradlab.types import Array

# Keys and values [B, S, K, C] of one layer, after rotation.
LayerCache = tuple[Array, Array]
EMBEDDING_SCALE = 0.02  # standard deviation of initial embeddings, as in GPT-2


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

    def project(self, x: Array, turns: Turns | None) -> tuple[Array, Array, Array]:
        """[B, T, D] -> query [B, T, K, G, C], key and value [B, T, K, C], rotated."""
        config = self.config
        batch, length, _ = x.shape
        groups, head_dim = config.key_value_heads, config.head_width
        query = self.query(x).reshape(batch, length, groups, -1, head_dim)
        key = self.key(x).reshape(batch, length, groups, head_dim)
        value = self.value(x).reshape(batch, length, groups, head_dim)
        if turns is not None:
            query, key = rotate(query, turns), rotate(key, turns)
        return query, key, value

    def __call__(self, query: Array, key: Array, value: Array, visible: Array) -> Array:
        """Attends and projects back: -> [B, T, D]."""
        mixed = attend(query, key, value, visible)
        return self.out(mixed.reshape(*mixed.shape[:2], -1))


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

    def __call__(self, x: Array, visible: Array, turns: Turns | None) -> Array:
        """[B, T, D] -> [B, T, D]; each token reads the columns visible to it."""
        parts = self.attention.project(self.attention_norm(x), turns)
        return self._close(x, self.attention(*parts, visible))

    def extend(
        self,
        x: Array,
        visible: Array,
        turns: Turns | None,
        cache: LayerCache,
        column: Array,
    ) -> tuple[Array, LayerCache]:
        """The same for new tokens, which are written into the cache at `column`."""
        query, key, value = self.attention.project(self.attention_norm(x), turns)
        key, value = (
            jax.lax.dynamic_update_slice_in_dim(past, new.astype(past.dtype), column, 1)
            for past, new in zip(cache, (key, value), strict=True)
        )
        return self._close(x, self.attention(query, key, value, visible)), (key, value)

    def _close(self, x: Array, attended: Array) -> Array:
        x = x + attended
        return x + self.mlp(self.mlp_norm(x))


class Decoder(nnx.Module):
    """A causal language model: tokens [B, T] -> logits [B, T, V].

    Without a layout, sequences start at position 0; pad on the right, where causality
    keeps the padding from touching any earlier position.

    Example:
      >>> config = DecoderConfig(vocab_size=9, width=8, layers=1, heads=2,
      ...                        ff_width=16, max_length=4)
      >>> Decoder(config, rngs=nnx.Rngs(0))(jnp.zeros((1, 3), jnp.int32)).shape
      (1, 3, 9)
    """

    def __init__(
        self,
        config: DecoderConfig,
        *,
        rngs: nnx.Rngs,
        scan: bool = False,
        remat: bool = False,
    ):
        """Draws all weights from `rngs`; for `scan` and `remat` see `_through`."""
        self.config, self.scan, self.remat = config, scan, remat
        self.embed = Embed(config.vocab_size, config.width, rngs)
        if config.positions == "learned":
            self.positions = Embed(config.max_length, config.width, rngs)
        self.layers = nnx.List([Block(config, rngs) for _ in range(config.layers)])
        self.norm = _norm(config, rngs)
        if not config.tied:
            self.unembed = _linear(config.width, config.vocab_size, rngs)

    def hidden(self, tokens: Array, layout: Layout | None = None) -> Array:
        """Tokens [B, T] -> what the head reads [B, T, D], after the last norm."""
        length = tokens.shape[1]
        if layout is None and length > self.config.max_length:
            raise GradlabError(
                f"tokens: {length} positions, more than the model's max_length of "
                f"{self.config.max_length}; truncate the sequences"
            )
        return self.trunk(self.embed(tokens), layout)

    def trunk(self, x: Array, layout: Layout | None = None) -> Array:
        """Token embeddings [B, T, D] -> [B, T, D]; an entry for gradient checks."""
        layout = running(x.shape[1]) if layout is None else layout
        x, turns = self._place(x, layout)

        def run(x: Array, block: Block) -> Array:
            # A host array stays one: attention leaves out what it knows to be unseen.
            return block(x, layout.visible, turns)

        x = _through(self.layers, run, x, scan=self.scan, remat=self.remat)
        return self.norm(x)

    def extend(
        self, tokens: Array, layout: Layout, cache: list[LayerCache], column: Array
    ) -> tuple[Array, list[LayerCache]]:
        """Hidden states [B, n, D] of new tokens [B, n] that follow those in the cache.

        Args:
          tokens: the new ones.
          layout: of the new tokens; `visible` is [B, n, S] over the cache's columns.
          cache: one entry for each layer, of S columns.
          column: where the first new token goes; the others stand behind it.
        """
        x, turns = self._place(self.embed(tokens), layout)
        visible, grown = jnp.asarray(layout.visible), []
        for block, past in zip(self.layers, cache, strict=True):
            x, past = block.extend(x, visible, turns, past, column)
            grown.append(past)
        return self.norm(x), grown

    def _place(self, x: Array, layout: Layout) -> tuple[Array, Turns | None]:
        """Learned positions are added here; rotary ones turn queries and keys later."""
        if self.config.positions == "learned":
            return x + self.positions(jnp.asarray(layout.positions)), None
        half, base = self.config.head_width // 2, self.config.rope_base
        return x, turns_of(layout, half, base, wide(x.dtype))

    def head(self) -> Array:
        """[D, V]: logits are hidden @ head."""
        return self.embed.attend() if self.config.tied else self.unembed.kernel[...]

    def __call__(self, tokens: Array) -> Array:
        """Tokens [B, T] -> logits [B, T, V]; the logits at t predict token t + 1."""
        return self.hidden(tokens) @ self.head()


def _through(
    layers: nnx.List,
    run: Callable[[Array, Block], Array],
    x: Array,
    *,
    scan: bool,
    remat: bool,
) -> Array:
    """Runs x [B, T, D] through all layers.

    With `scan` one compiled layer is repeated over the weights, stacked here: compiling
    takes about as long as for one layer. With `remat` the backward pass computes each
    layer again from its input and so keeps nothing else of it.
    """
    graphs, states = zip(*(nnx.split(layer) for layer in layers), strict=True)

    def through_one(x: Array, state: nnx.State) -> Array:
        return run(x, nnx.merge(graphs[0], state))

    if remat:
        through_one = jax.checkpoint(through_one)
    if scan:
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
        return jax.lax.scan(lambda x, s: (through_one(x, s), None), x, stacked)[0]
    for state in states:
        x = through_one(x, state)
    return x
