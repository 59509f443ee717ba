"""Settings of the study."""

from collections.abc import Sequence
from dataclasses import dataclass

from gradlab.models.config import DecoderConfig

PAIRS = "hh_helpful_base_test.jsonl"
TOKENIZER = "models/smollm2_tokenizer"
DTYPE = "float32, matrix products at full precision"


@dataclass(frozen=True)
class Size:
    """One model, and how long it is measured.

    Attributes:
      layers: of the decoder.
      width: D of the decoder.
      heads: of the decoder.
      ff_width: of the decoder.
      batches: that make one round; every side trains on the same pairs in them.
      rounds: of measuring.
      ablate: whether gradlab is also measured with parts of it switched off.
    """

    layers: int
    width: int
    heads: int
    ff_width: int
    batches: int
    rounds: int
    ablate: bool

    @property
    def name(self) -> str:
        """Layers x width."""
        return f"{self.layers}x{self.width}"

    def decoder(self, vocab_size: int, max_length: int) -> DecoderConfig:
        """The shape of the model: a Llama with tied embeddings."""
        return DecoderConfig(
            vocab_size=vocab_size,
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            ff_width=self.ff_width,
            max_length=max_length,
        )


@dataclass(frozen=True)
class Config:
    """Settings of the study.

    Attributes:
      seeds: of weights and of the choice of pairs.
      sizes: of models.
      vocab_size: V, at least the tokenizer's.
      max_length: longest prompt plus response, in tokens; longer pairs are left out.
      batch_size: pairs in one step.
      max_shapes: padded shapes that gradlab may compile.
      learning_rate: of AdamW; small, so that all sides stay near the same weights.
      measure_peaks: whether memory is measured, in processes of their own.
    """

    seeds: Sequence[int] = (0,)
    sizes: Sequence[Size] = (
        Size(4, 256, 4, 688, batches=3, rounds=3, ablate=True),
        Size(12, 768, 12, 2048, batches=1, rounds=2, ablate=False),
    )
    vocab_size: int = 49_152
    max_length: int = 512
    batch_size: int = 8
    max_shapes: int = 8
    learning_rate: float = 1e-6
    measure_peaks: bool = True

    @classmethod
    def smoke(cls) -> "Config":
        """A size that shows in seconds that everything runs."""
        return cls(
            sizes=(Size(1, 8, 2, 16, batches=2, rounds=2, ablate=True),),
            max_length=256,
            batch_size=2,
            measure_peaks=False,
        )
