"""Log-likelihoods of completions under a model. The only judge that loads jax."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from gradlab.data.batches import TokenizedPair, batches
from gradlab.data.boundary import encode
from gradlab.data.embedded import embedded_model_folder
from gradlab.data.encoding import Tokenizer
from gradlab.data.pairs import Pair
from gradlab.data.ranking import Completions
from gradlab.data.tokenizer import load_tokenizer
from gradlab.errors import JudgeError
from gradlab.inputs.progress import counting
from gradlab.models.functional import LanguageModel
from gradlab.models.hub import load_model, resolve_folder
from gradlab.models.scoring import score_batches
from gradlab.rank.config import RankConfig


def likelihoods(
    items: Sequence[Completions], config: RankConfig, console: Console, *, mean: bool
) -> dict[int, list[float]]:
    """log p(completion | prompt) of all completions, EOS included.

    Args:
      items: prompts with completions.
      config: names model and tokenizer.
      console: for the progress.
      mean: per token instead of summed.

    Returns:
      Line -> one number for each completion, in nats.

    Raises:
      GradlabError: a model or tokenizer that can't be used, or a completion that
        doesn't fit its context.
    """
    if config.batch_size < 1:
        raise JudgeError(f"--batch-size is {config.batch_size}; expected at least 1")
    source = config.judge_model or str(embedded_model_folder())
    place: str | Path = source
    if Path(source).suffix != ".gguf":
        place = resolve_folder(source)
    elif config.tokenizer is None:
        raise JudgeError(
            f"{source} holds weights only; expected --tokenizer FOLDER beside it"
        )
    tokenizer = load_tokenizer(config.tokenizer or place)
    model, params = load_model(place)
    rows = list(_encoded(items, tokenizer, model))
    sums, lengths = np.zeros(len(rows)), np.array([len(row.chosen) for row in rows])
    made = list(batches(rows, "chosen", batch_size=config.batch_size))
    with counting(console, "scoring", len(rows), unit="completions") as progress:
        scored = score_batches(model, params, made)
        for batch, stats in zip(made, scored, strict=True):
            used = batch.index >= 0
            sums[batch.index[used]] = stats.logps[used].sum(1, dtype=float)
            progress(int(used.sum()))
    values = sums / lengths if mean else sums
    found: dict[int, list[float]] = {item.row: [] for item in items}
    for row, value in zip(rows, values.tolist(), strict=True):
        found[row.row].append(value)
    return found


def _encoded(
    items: Sequence[Completions], tokenizer: Tokenizer, model: LanguageModel
) -> Iterator[TokenizedPair]:
    """Each completion as both sides of a pair, since batches are made of pairs."""
    texts = [
        Pair(item.prompt, text, text, item.row, "explicit")
        for item in items
        for text in item.completions
    ]
    most = model.config.max_length if model.config else None
    bos, eos = tokenizer.bos_id, tokenizer.eos_id
    for text, found in encode(texts, tokenizer):
        assert isinstance(found, tuple)  # an explicit prompt can always be taken apart
        prompt, response, *_ = found
        if bos is not None and (tokenizer.adds_bos or not prompt):
            prompt = [bos, *prompt]
        if eos is not None and response[-1:] != [eos]:
            response = [*response, eos]
        if not prompt or not response:
            raise JudgeError(
                f"line {text.row}: prompt or completion has no token; expected one"
            )
        length = len(prompt) + len(response)
        if most is not None and length > most:
            raise JudgeError(
                f"line {text.row}: found {length} tokens, expected at most {most}, the "
                "context of the judge's model"
            )
        yield TokenizedPair(text.row, prompt, response, response)
