"""The shape of a decoder: one frozen, validated dataclass."""

from dataclasses import dataclass
from typing import Literal

from gradlab.errors import GradlabError

_COUNTS = ("vocab_size", "width", "layers", "heads", "ff_width", "max_length")
_CHOICES = {
    "norm": ("rms", "layer"),
    "positions": ("rotary", "learned"),
    "mlp": ("swiglu", "gelu"),
    "tied": (True, False),
    "attention_bias": (True, False),
    "mlp_bias": (True, False),
}


@dataclass(frozen=True)
class DecoderConfig:
    """The shape of a `gradlab.models.Decoder`.

    Attributes:
      vocab_size: V.
      width: D.
      layers: number of blocks.
      heads: H, query heads.
      ff_width: F, width of the feed-forward layer.
      max_length: longest sequence that the model accepts, in tokens.
      kv_heads: K, key-value heads; divides `heads`. None: as many as `heads`.
      head_dim: C; even under rotary positions. None: width / heads.
      norm: "rms" or "layer".
      norm_eps: added to the variance under the square root.
      positions: "rotary" (rotate-half order, as on the Hugging Face hub) or "learned".
      rope_base: base of the rotary wavelengths.
      mlp: "swiglu" or "gelu" (tanh form, as GPT-2).
      tied: whether the output head is the transposed token embedding.
      attention_bias: biases on the query, key, value and output projections.
      mlp_bias: biases on the feed-forward projections.

    Raises:
      GradlabError: a value is out of range or does not fit another one.
    """

    vocab_size: int
    width: int
    layers: int
    heads: int
    ff_width: int
    max_length: int
    kv_heads: int | None = None
    head_dim: int | None = None
    norm: Literal["rms", "layer"] = "rms"
    norm_eps: float = 1e-5
    positions: Literal["rotary", "learned"] = "rotary"
    rope_base: float = 10000.0
    mlp: Literal["swiglu", "gelu"] = "swiglu"
    tied: bool = True
    attention_bias: bool = False
    mlp_bias: bool = False

    def __post_init__(self) -> None:
        """Refuses values that do not fit."""
        for name in _COUNTS:
            self._require(name, _is_count(getattr(self, name)), "a positive integer")
        for name in ("kv_heads", "head_dim"):
            valid = getattr(self, name) is None or _is_count(getattr(self, name))
            self._require(name, valid, "a positive integer or None")
        for name, choices in _CHOICES.items():
            self._require(name, getattr(self, name) in choices, f"one of {choices}")
        for name in ("norm_eps", "rope_base"):
            positive = 0 < getattr(self, name) < float("inf")
            self._require(name, positive, "a positive finite number")
        if self.head_dim is None:
            self._require("width", self.width % self.heads == 0, "a multiple of heads")
        fits = self.heads % self.key_value_heads == 0
        self._require("kv_heads", fits, f"a divisor of heads = {self.heads}")
        if self.positions == "rotary":
            self._require("head_dim", self.head_width % 2 == 0, "even (rotary)")

    def _require(self, name: str, holds: bool, expected: str):
        if not holds:
            raise GradlabError(
                f"DecoderConfig: {name} is {getattr(self, name)!r}, expected {expected}"
            )

    @property
    def key_value_heads(self) -> int:
        """K, with the default filled in."""
        return self.kv_heads or self.heads

    @property
    def head_width(self) -> int:
        """C, with the default filled in."""
        return self.head_dim or self.width // self.heads


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
