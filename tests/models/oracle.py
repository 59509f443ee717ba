"""The decoder again, in numpy float64 and plain loops: an independent oracle."""

import math

import numpy as np


def norm(config, params, x):
    """RMSNorm or LayerNorm over the last axis."""
    if config.norm == "layer":
        x = x - x.mean(-1, keepdims=True)
    scaled = x / np.sqrt((x**2).mean(-1, keepdims=True) + config.norm_eps)
    return scaled * params["scale"] + params.get("bias", 0)


def linear(params, x):
    """An affine map."""
    return x @ params["kernel"] + params.get("bias", 0)


def turn(config, vector, position):
    """Rotates the planes (i, i + C/2) of one head's vector, one after the other."""
    if config.positions != "rotary":
        return vector
    half = len(vector) // 2
    turned = vector.copy()
    for i in range(half):
        angle = position / config.rope_base ** (2 * i / len(vector))
        a, b = vector[i], vector[i + half]
        turned[i] = a * math.cos(angle) - b * math.sin(angle)
        turned[i + half] = b * math.cos(angle) + a * math.sin(angle)
    return turned


def attention(config, params, x):
    """Every position of every head by itself; x is [T, D]."""
    length, width = len(x), config.head_width
    split = {
        name: linear(params[name], x).reshape(length, -1, width)
        for name in ("query", "key", "value")
    }
    mixed = np.zeros((length, config.heads, width))
    for head in range(config.heads):
        shared = head // (config.heads // config.key_value_heads)
        for t in range(length):
            query = turn(config, split["query"][t, head], t)
            scores = np.array(
                [
                    query @ turn(config, split["key"][s, shared], s) / math.sqrt(width)
                    for s in range(t + 1)
                ]
            )
            probs = np.exp(scores - scores.max())
            probs /= probs.sum()
            mixed[t, head] = probs @ split["value"][: t + 1, shared]
    return linear(params["out"], mixed.reshape(length, -1))


def feed_forward(config, params, x):
    """SwiGLU or tanh-GELU."""
    up = linear(params["up"], x)
    if config.mlp == "swiglu":
        gate = linear(params["gate"], x)
        return linear(params["down"], gate / (1 + np.exp(-gate)) * up)
    inner = math.sqrt(2 / math.pi) * (up + 0.044715 * up**3)
    return linear(params["down"], 0.5 * up * (1 + np.tanh(inner)))


def logits(config, params, tokens):
    """Tokens [T] -> logits [T, V]."""
    x = params["embed"]["embedding"][tokens]
    if config.positions == "learned":
        x = x + params["positions"]["embedding"][: len(tokens)]
    for number in range(config.layers):
        layer = params["layers"][str(number)]
        normed = norm(config, layer["attention_norm"], x)
        x = x + attention(config, layer["attention"], normed)
        normed = norm(config, layer["mlp_norm"], x)
        x = x + feed_forward(config, layer["mlp"], normed)
    head = params["embed"]["embedding"].T
    if not config.tied:
        head = params["unembed"]["kernel"]
    return norm(config, params["norm"], x) @ head
