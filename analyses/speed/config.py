"""Settings of the study."""

from collections.abc import Sequence
from dataclasses import dataclass

from gradlab.models.config import DecoderConfig

DTYPE = "float32, matrix products at full precision"


@dataclass(frozen=True)
class Config:
    """Settings of the study.

    Attributes:
      seeds: of weights and tokens.
      rounds: in each, all sides are timed once, in alternation.
      least_seconds: a side that is faster is called several times in a round.
      measure_peaks: whether each side also runs in fresh processes of its own, which
        tell its peak memory.
      vocab_size: V of the decoder.
      width: D of the decoder.
      layers: of the decoder.
      heads: of the decoder.
      kv_heads: of the decoder.
      ff_width: of the decoder.
      tokens: T, response tokens of each sequence; a prompt of one token precedes them.
      sequences: of the batch whose drift is measured; even, half of them chosen.
      tokens_drawn: tokens of it on which backward passes through the whole batch are
        timed.
      pair_counts: numbers of pairs for per-pair gradients.
      microbatch: pairs whose gradients gradlab holds at once.
      weight_pairs: numbers of pairs for token weights.
      head_vocab_size: V of the head for log-probs.
      head_width: D of the head for log-probs.
      lengths: numbers of positions for log-probs.
    """

    seeds: Sequence[int] = (0,)
    rounds: int = 5
    least_seconds: float = 0.2
    measure_peaks: bool = True
    vocab_size: int = 512
    width: int = 128
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    ff_width: int = 320
    tokens: int = 64
    sequences: int = 16
    tokens_drawn: int = 32
    pair_counts: Sequence[int] = (8, 16, 32, 64)
    microbatch: int = 8
    weight_pairs: Sequence[int] = (8, 32)
    head_vocab_size: int = 50_257
    head_width: int = 256
    lengths: Sequence[int] = (256, 512, 1024, 2048)

    @classmethod
    def smoke(cls) -> "Config":
        """A size that shows in seconds that everything runs."""
        return cls(
            rounds=2,
            least_seconds=0.0,
            measure_peaks=False,
            vocab_size=11,
            width=8,
            layers=1,
            heads=2,
            kv_heads=1,
            ff_width=16,
            tokens=3,
            sequences=4,
            tokens_drawn=2,
            pair_counts=(2,),
            microbatch=1,
            weight_pairs=(2,),
            head_vocab_size=50,
            head_width=4,
            lengths=(300,),
        )

    def decoder(self) -> DecoderConfig:
        """The shape of the model: a small Llama."""
        return DecoderConfig(
            vocab_size=self.vocab_size,
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            kv_heads=self.kv_heads,
            ff_width=self.ff_width,
            max_length=self.tokens + 1,
        )
