"""Token statistics of texts under a torch language model, as the probes have them.

See `gradlab.training.probe_stats`, which does the same for a model of this library.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]

from gradlab.data.batches import SideBatch, TokenizedPair, batches
from gradlab.errors import GradlabError
from gradlab.training.probe_tables import Columns


@contextlib.contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Without gradients and dropout; each module's mode is restored afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def token_columns(
    model: Any, rows: Sequence[TokenizedPair], *, batch_size: int, top_k: int = 0
) -> Columns:
    """Statistics of the chosen response's tokens of every row.

    Args:
      model: called as a causal language model of transformers is.
      rows: texts.
      batch_size: sequences in one forward pass.
      top_k: also the mass on that many most likely tokens; 0: not.

    Returns:
      logp, entropy, max_logp in nats, hit (1 where the token is the most likely one),
      and top_k_mass, flat in the order of the rows; float32. The forward pass has the
      precision that the model runs in, what follows the logits that of float32.

    Raises:
      GradlabError: a log-probability that is not finite.
    """
    found: list[Columns] = [{} for _ in rows]
    with evaluating(model):
        for batch in batches(rows, "chosen", batch_size=batch_size):
            for index, columns in _measured(model, batch, top_k):
                found[index] = columns
    for row, columns in zip(rows, found, strict=True):
        if not np.isfinite(columns["logp"]).all():
            position = int(np.flatnonzero(~np.isfinite(columns["logp"]))[0])
            raise GradlabError(
                f"the model's log-probability of row {row.row}, token {position}, is "
                f"{columns['logp'][position]}; expected a finite number"
            )
    return {k: np.concatenate([part[k] for part in found]) for k in found[0]}


def _measured(
    model: Any, batch: SideBatch, top_k: int
) -> Iterator[tuple[int, Columns]]:
    """Place of a row, and the statistics of its response's tokens."""
    used = batch.index >= 0
    device = next(model.parameters()).device
    tokens = torch.as_tensor(batch.tokens[used], dtype=torch.long, device=device)
    starts, lengths = batch.response_start[used], batch.response_length[used]
    inside = np.arange(tokens.shape[1]) < (starts + lengths)[:, None]
    logits = model(
        input_ids=tokens,
        attention_mask=torch.as_tensor(inside, dtype=torch.long, device=device),
        use_cache=False,
    ).logits
    for place, index in enumerate(batch.index[used].tolist()):
        start, end = int(starts[place]), int(starts[place] + lengths[place])
        columns = _statistics(
            logits[place, start - 1 : end - 1], tokens[place, start:end], top_k
        )
        yield index, {k: v.float().cpu().numpy() for k, v in columns.items()}


def _statistics(
    logits: torch.Tensor, targets: torch.Tensor, top_k: int
) -> dict[str, torch.Tensor]:
    """Of one response: logits [L, V], ids [L] -> [L] each."""
    logps = torch.log_softmax(logits.float(), dim=-1)
    logp = logps.gather(-1, targets.to(logps.device)[:, None])[:, 0]
    max_logp, argmax = logps.max(dim=-1)
    probabilities = logps.exp()
    columns = {
        "logp": logp,
        "entropy": torch.special.entr(probabilities).sum(-1),
        "max_logp": max_logp,
        "hit": argmax == targets.to(argmax.device),
    }
    if top_k:
        top = probabilities.topk(min(top_k, probabilities.shape[-1]))
        columns["top_k_mass"] = top.values.sum(-1)
    return columns
