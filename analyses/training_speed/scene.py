"""The model and the pairs that all sides train on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from analyses.training_speed.config import PAIRS, TOKENIZER, Config, Size
from gradlab.data import TokenizedPair, load_tokenizer, read_pairs, tokenize_pairs
from gradlab.data.tokenizer import save_tokenizer
from gradlab.errors import GradlabError
from gradlab.models import build, save_model


@dataclass(frozen=True)
class Scene:
    """What a side is given; small, so that processes can pass it on.

    Attributes:
      folder: model and tokenizer in Hugging Face layout.
      rows: pairs as ids, in the order in which a trainer without bucketing takes them.
      texts: the same pairs as texts, for trainers that tokenise themselves.
      config: of the study.
      size: of the model.
      seed: of weights and choice.
    """

    folder: Path
    rows: list[TokenizedPair]
    texts: list[dict[str, str]]
    config: Config
    size: Size
    seed: int

    @property
    def key(self) -> dict[str, str | int]:
        """The scene's part of a table's key."""
        return {"seed": self.seed, "size": self.size.name}


def lacking(data: Path | None) -> str | None:
    """Why the study can't run with this folder of data, or None."""
    if data is None:
        return f"no folder of data given (--data), which holds {PAIRS} and {TOKENIZER}"
    for name in (PAIRS, TOKENIZER):
        if not (data / name).exists():
            return f"{data} lacks {name}"
    return None


@contextmanager
def made(config: Config, size: Size, seed: int, data: Path) -> Iterator[Scene]:
    """A scene whose folder lasts as long as the block.

    Raises:
      GradlabError: too few pairs are short enough.
    """
    tokenizer = load_tokenizer(data / TOKENIZER)
    pairs = read_pairs(data / PAIRS).pairs
    fitting = tokenize_pairs(
        pairs, tokenizer, max_length=config.max_length, truncation="drop"
    ).pairs
    count = size.batches * config.batch_size
    if len(fitting) < count:
        raise GradlabError(
            f"{data / PAIRS}: {len(fitting)} pairs of at most {config.max_length} "
            f"tokens, expected at least {count}"
        )
    chosen = np.random.default_rng(seed).permutation(len(fitting))[:count]
    rows = [fitting[place] for place in chosen]
    by_row = {pair.row: pair for pair in pairs}
    names = ("prompt", "chosen", "rejected")
    texts = [{n: str(getattr(by_row[row.row], n)) for n in names} for row in rows]
    decoder = size.decoder(config.vocab_size, config.max_length)
    with TemporaryDirectory(prefix="training-speed-") as place:
        folder = Path(place)
        ids = {f"{n}_id": getattr(tokenizer, f"{n}_id") for n in ("bos", "eos", "pad")}
        save_model(folder, decoder, build(decoder, seed=seed)[1], **ids)
        save_tokenizer(tokenizer, folder)
        yield Scene(folder, rows, texts, config, size, seed)
