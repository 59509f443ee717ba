"""Random ragged batches, in the library's layout and as lists of token ids for TRL."""

from dataclasses import dataclass, replace

import numpy as np

from gradlab.types import PairLogps

PAIRS, WIDTH_CHOSEN, WIDTH_REJECTED, MAX_PROMPT = 6, 9, 12, 5
VOCABULARY, SEQUENCE = 7, 15


@dataclass(frozen=True)
class Tokens:
    """One side of a batch; arrays are [B, T], responses start at the left.

    Entries where the mask is unset are NaN: nothing may read them.
    """

    mask: np.ndarray
    logps: np.ndarray
    ref: np.ndarray
    log_sum_sq: np.ndarray

    def flat(self, name: str) -> np.ndarray:
        """The on-mask entries in row order, [number of response tokens]."""
        return getattr(self, name)[self.mask]


@dataclass(frozen=True)
class Ragged:
    """Pairs with prompts and responses of unequal lengths.

    `kl_*` are tokens of mismatched prompt-response pairs, one row for each of the 2B
    examples; only KTO reads them.
    """

    prompt_lengths: np.ndarray
    chosen: Tokens
    rejected: Tokens
    kl: Tokens

    def pairs(self, dtype) -> PairLogps:
        """The library's view of the batch."""
        fields = {}
        for name, side in (("chosen", self.chosen), ("rejected", self.rejected)):
            fields[name] = side.logps.astype(dtype)
            fields[f"{name}_mask"] = side.mask
            fields[f"ref_{name}"] = side.ref.astype(dtype)
            fields[f"{name}_logsumsq"] = side.log_sum_sq.astype(dtype)
        kl = np.where(self.kl.mask, self.kl.logps - self.kl.ref, 0.0).sum(-1)
        return PairLogps(**fields, kl_logratios=kl.astype(dtype))

    def with_logps(self, chosen: float, rejected: float, ref: float = -1.0) -> "Ragged":
        """The same lengths, every token of a side with the same log-probability."""
        sides = {}
        for name, value in (("chosen", chosen), ("rejected", rejected)):
            side = getattr(self, name)
            sides[name] = replace(
                side,
                logps=np.where(side.mask, value, np.nan),
                ref=np.where(side.mask, ref, np.nan),
            )
        return replace(self, **sides)


def ragged(seed: int, *, pairs: int = PAIRS) -> Ragged:
    """A batch of `pairs` pairs; responses of 1 to 12 tokens, prompts of 1 to 5.

    Token log-probabilities range over sure and unlikely tokens, the reference is near.
    """
    rng = np.random.default_rng(seed)
    return Ragged(
        prompt_lengths=rng.integers(1, MAX_PROMPT + 1, pairs),
        chosen=_tokens(rng, pairs, WIDTH_CHOSEN),
        rejected=_tokens(rng, pairs, WIDTH_REJECTED),
        kl=_tokens(rng, 2 * pairs, WIDTH_CHOSEN),
    )


def _tokens(rng: np.random.Generator, rows: int, width: int) -> Tokens:
    mask = np.arange(width) < rng.integers(1, width + 1, (rows, 1))
    logps = -rng.exponential(1.5, mask.shape) * rng.choice([1e-3, 1.0], mask.shape)
    ref = np.minimum(logps + rng.normal(0.0, 0.4, mask.shape), -1e-6)
    # Between p_y^2 (the token alone) and 1.
    log_sum_sq = 2.0 * logps * rng.random(mask.shape)
    hidden = (np.where(mask, x, np.nan) for x in (logps, ref, log_sum_sq))
    return Tokens(mask, *hidden)


@dataclass(frozen=True)
class RaggedLogits:
    """Pairs as logits and labels: rows 0..B-1 are chosen, B..2B-1 rejected.

    Attributes:
      logits: [2B, S, V]; position t predicts token t + 1.
      tokens: [2B, S] ids.
      attention: [2B, S] 1 on prompt and response.
      response: [2B, S] 1 on the response.
    """

    logits: np.ndarray
    tokens: np.ndarray
    attention: np.ndarray
    response: np.ndarray


def ragged_logits(
    seed: int, *, pairs: int = PAIRS, equal_lengths: bool = False
) -> RaggedLogits:
    """Random logits; with `equal_lengths`, prompts of one token and equal responses."""
    rng = np.random.default_rng(seed)
    rows = 2 * pairs
    prompt = np.ones((rows, 1), int)
    length = np.full((rows, 1), 8)
    if not equal_lengths:
        prompt = np.tile(rng.integers(1, MAX_PROMPT + 1, (pairs, 1)), (2, 1))
        length = rng.integers(1, SEQUENCE - MAX_PROMPT + 1, (rows, 1))
    position = np.arange(SEQUENCE)
    attention = position < prompt + length
    return RaggedLogits(
        logits=rng.normal(0.0, 1.5, (rows, SEQUENCE, VOCABULARY)),
        tokens=rng.integers(0, VOCABULARY, (rows, SEQUENCE)),
        attention=attention,
        response=attention & (position >= prompt),
    )
