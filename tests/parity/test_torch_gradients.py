"""Drift, inner products and Gram matrices against torch.func on the same weights."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradlab.gradients import (
    pair_gram,
    predicted_drift,
    score_sum,
    side_gradients,
    token_gram,
    token_weights,
)
from gradlab.models.llama_layout import disassemble
from tests.gradients.models import SIDES, make_case, random_like

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")

PRECISIONS = {"float32": 1e-4, "float64": 1e-8}
BATCH = 3


def rms(x, scale, eps):
    """RMSNorm over the last axis."""
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * scale


def rotate(x, base):
    """Rotary positions on [B, H, T, C], in the half-split order of the hub."""
    half = x.shape[-1] // 2
    rates = base ** (-torch.arange(half, dtype=x.dtype) / half)
    angles = torch.arange(x.shape[2], dtype=x.dtype)[:, None] * rates
    cos, sin = (torch.cat([f(angles)] * 2, -1) for f in (torch.cos, torch.sin))
    turned = torch.cat([-x[..., half:], x[..., :half]], -1)
    return x * cos + turned * sin


def llama(config, p, ids):
    """Llama's logits from hub-named tensors; transformers' own rounds to float32."""
    eps, x = config.norm_eps, p["model.embed_tokens.weight"][ids]
    batch, length = ids.shape
    mask = torch.ones(length, length, dtype=torch.bool).tril()
    groups = config.heads // config.key_value_heads
    for number in range(config.layers):
        prefix = f"model.layers.{number}."
        w = {k.removeprefix(prefix): v for k, v in p.items() if k.startswith(prefix)}
        h = rms(x, w["input_layernorm.weight"], eps)
        q, k, v = (
            (h @ w[f"self_attn.{n}_proj.weight"].T)
            .reshape(batch, length, -1, config.head_width)
            .transpose(1, 2)
            for n in "qkv"
        )
        q, k = rotate(q, config.rope_base), rotate(k, config.rope_base)
        k, v = (t.repeat_interleave(groups, dim=1) for t in (k, v))
        scores = q @ k.transpose(-1, -2) / config.head_width**0.5
        probs = torch.softmax(scores.masked_fill(~mask, float("-inf")), -1)
        mixed = (probs @ v).transpose(1, 2).reshape(batch, length, -1)
        x = x + mixed @ w["self_attn.o_proj.weight"].T
        h = rms(x, w["post_attention_layernorm.weight"], eps)
        gate = torch.nn.functional.silu(h @ w["mlp.gate_proj.weight"].T)
        up = h @ w["mlp.up_proj.weight"].T
        x = x + (gate * up) @ w["mlp.down_proj.weight"].T
    return rms(x, p["model.norm.weight"], eps) @ p["model.embed_tokens.weight"].T


class TorchModel:
    """Token log-probs as a function of a dict of tensors, like `Case.logps_fn`."""

    def __init__(self, case, dtype):
        self.case, self.dtype = case, getattr(torch, dtype)
        self.params = self.tensors(case.params)

    def tensors(self, params):
        """Parameters, gradients or directions under the hub's names."""
        named = disassemble(self.case.model.config, params)
        return {k: torch.tensor(v, dtype=self.dtype) for k, v in named.items()}

    def logps(self, params, index=slice(None)):
        """(chosen, rejected) token log-probs of the pairs at `index`."""
        sides = []
        for side, width in zip(SIDES, self.case.widths, strict=True):
            tokens, start, length = (np.asarray(x)[index] for x in self.case.data[side])
            ids = torch.tensor(tokens, dtype=torch.long)
            logits = llama(self.case.model.config, params, ids)
            first = int(start[0])
            logps = torch.log_softmax(logits[:, first - 1 : -1], -1)
            picked = logps.gather(-1, ids[:, first:, None])[..., 0]
            mask = np.arange(width) < length[:, None]
            sides.append(torch.where(torch.tensor(mask), picked, 0.0))
        return tuple(sides)

    def pull(self, weights, index=slice(None)):
        """J^T w for (chosen, rejected) weights, as one vector."""
        _, vjp = torch.func.vjp(lambda p: self.logps(p, index), self.params)
        cotangent = tuple(
            torch.tensor(np.asarray(w), dtype=self.dtype) for w in weights
        )
        (gradient,) = vjp(cotangent)
        return torch.cat([leaf.reshape(-1) for leaf in gradient.values()]).numpy()


@pytest.fixture(params=PRECISIONS)
def both(request):
    """(case, torch model, tolerance relative to the largest entry)."""
    dtype = request.param
    with jax.enable_x64(dtype == "float64"):
        case = make_case("llama", batch=BATCH, dtype=getattr(jnp, dtype))
        yield case, TorchModel(case, dtype), PRECISIONS[dtype]


def assert_close(got, expected, tolerance):
    expected = np.asarray(expected)
    gap = np.abs(np.asarray(got) - expected).max()
    assert gap <= tolerance * np.abs(expected).max(), gap / np.abs(expected).max()


def dpo_weights(case):
    chosen, rejected = case.logps_fn(case.params)
    return token_weights("dpo", replace(case.pairs, chosen=chosen, rejected=rejected))


# torch's own forward mode scripts its decompositions on first use.
@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
def test_drift(both):
    case, other, tolerance = both
    direction = random_like(case.params)
    got = jax.jit(lambda p: predicted_drift(case.logps_fn, p, direction))(case.params)
    _, expected = torch.func.jvp(
        other.logps, (other.params,), (other.tensors(direction),)
    )
    for side, there in zip(got, expected, strict=True):
        assert_close(side, there.detach().numpy(), tolerance)


def test_sides_and_their_inner_product(both):
    case, other, tolerance = both
    sides = jax.jit(lambda p: side_gradients("dpo", case.logps_fn, p, case.pairs))(
        case.params
    )
    weights = jax.tree.map(lambda w: np.asarray(w) / BATCH, dpo_weights(case))
    zero = jax.tree.map(np.zeros_like, weights)
    chosen = other.pull((weights.chosen, zero.rejected))
    rejected = other.pull((zero.chosen, weights.rejected))
    vectors = []
    for part in (sides.chosen, sides.rejected):
        named = disassemble(case.model.config, part)
        vectors.append(np.concatenate([named[k].reshape(-1) for k in other.params]))
    assert_close(vectors[0], chosen, tolerance)
    assert_close(vectors[1], rejected, tolerance)
    assert_close(vectors[0] @ vectors[1], chosen @ rejected, tolerance)


def test_gram_of_pairs(both):
    case, other, tolerance = both
    got = jax.jit(
        lambda p: pair_gram(
            score_sum,
            case.batch_logps,
            p,
            case.data,
            case.pairs,
            part="both",
            microbatch=2,
        )
    )(case.params)
    rows = []
    for side in range(2):
        for i in range(BATCH):
            ones = [np.zeros((1, width)) for width in case.widths]
            ones[side][:] = 1.0
            rows.append(other.pull(ones, slice(i, i + 1)))
    rows = np.stack(rows)
    assert_close(got, rows @ rows.T, tolerance)


def test_gram_of_tokens(both):
    case, other, tolerance = both
    data = jax.tree.map(lambda leaf: leaf[:1], case.data)
    got = jax.jit(lambda p: token_gram(lambda q: case.batch_logps(q, data), p))(
        case.params
    )
    jacobian = torch.func.jacrev(lambda p: other.logps(p, slice(0, 1)))(other.params)
    rows = np.concatenate(
        [
            np.concatenate(
                [leaf[0].reshape(leaf.shape[1], -1).numpy() for leaf in side.values()],
                axis=1,
            )
            for side in jacobian
        ]
    )
    assert_close(got, rows @ rows.T, tolerance)
