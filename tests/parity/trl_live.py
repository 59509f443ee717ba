"""TRL's own loss code, run on our batches.

The trainers' loss methods are called unbound, on a namespace that holds the attributes
they read: those that `__init__` copies from the trainer's config, with the config's own
defaults, and a single-process accelerator. In place of a language model stands a table
from token id to log-probability, so that the gradient with respect to that table is the
gradient with respect to token log-probabilities.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import torch
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer
from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference
from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference

from tests.parity.batches import Ragged, RaggedLogits

PROMPT_ID, PAD_ID = 0, 0  # response tokens are numbered from 1 on
torch.set_num_threads(1)  # the arrays are tiny: threads would only wait
DTYPES = {np.float32: torch.float32, np.float64: torch.float64}


@dataclass(frozen=True)
class Outcome:
    """TRL's loss of a batch and its gradients at the response tokens, in row order."""

    value: float
    chosen: np.ndarray
    rejected: np.ndarray


class TableModel(torch.nn.Module):
    """Keeps the contract of TRL's fused LM head: 0 wherever the label is -100.

    Args:
      logps: [N] log-probability of token id i + 1.
      log_sum_sq: [N] log sum p^2 at that token's position.
      junk: what positions without a label hold; TRL's head promises 0.
    """

    is_gradient_checkpointing = False

    def __init__(self, logps, log_sum_sq=None, *, dtype, junk: float = 0.0):
        super().__init__()
        self.logps = torch.nn.Parameter(torch.tensor(logps, dtype=dtype))
        zeros = np.zeros_like(logps) if log_sum_sq is None else log_sum_sq
        self.register_buffer("log_sum_sq", torch.tensor(zeros, dtype=dtype))
        self.junk = junk

    def forward(self, input_ids, *, labels, fused_lm_head, **_):
        assert fused_lm_head, "TRL no longer asks for the fused head's outputs"
        labels = labels[:, 1:]
        ids, empty = labels.clamp(min=1) - 1, labels == -100
        log_probs = self.logps[ids].masked_fill(empty, self.junk)
        zeros = torch.zeros_like(log_probs).detach()
        return SimpleNamespace(
            log_probs=log_probs,
            log_sum_sq_probs=self.log_sum_sq[ids].masked_fill(empty, 0.0),
            entropy=zeros,
            mean_logits=zeros,
            is_top1=zeros.bool(),
        )


class LogitsModel(torch.nn.Module):
    """Returns its parameter, [2B, S, V], whatever it is given."""

    def __init__(self, logits, *, dtype):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.tensor(logits, dtype=dtype))

    def forward(self, input_ids, **_):
        return SimpleNamespace(logits=self.logits)


def _unchanged(tensor):
    return tensor


ACCELERATOR = SimpleNamespace(
    device=torch.device("cpu"), gather=_unchanged, gather_for_metrics=_unchanged
)


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """TRL makes some constants (EXO's epsilon) in the default dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def config_defaults(config: type) -> dict:
    """The fields of a trainer's config and their defaults."""
    return {
        f.name: f.default_factory() if f.default is dataclasses.MISSING else f.default
        for f in dataclasses.fields(config)
        if not (
            f.default is dataclasses.MISSING
            and f.default_factory is dataclasses.MISSING
        )
    }


def _trainer(config: type, settings: dict, model, ref_model=None) -> SimpleNamespace:
    """What a trainer's loss method sees of `self`."""
    defaults = config_defaults(config)
    unknown = sorted(set(settings) - set(defaults))
    assert not unknown, f"{config.__name__} has no field {unknown}"
    args = defaults | settings
    args["gradient_checkpointing_kwargs"] = None
    loss_type = args.get("loss_type")
    types = [loss_type] if isinstance(loss_type, str) else loss_type
    names = args | {
        "loss_types": types,
        "loss_weights": args.get("loss_weights") or [1.0] * len(types or []),
        "precompute_ref_logps": False,
        "calculate_KL": loss_type == "kto",
        "is_encoder_decoder": False,
        "aux_loss_enabled": False,
        "pad_token_id": PAD_ID,
        "padding_value": PAD_ID,
        "accelerator": ACCELERATOR,
        "model": model,
        "ref_model": ref_model,
        "args": SimpleNamespace(**args),
        "_metrics": defaultdict(lambda: defaultdict(list)),
        "_total_train_tokens": 0,
        "_tp_size": 1,
    }
    return SimpleNamespace(**names)


def _numbered(lengths: Sequence[int], start: int) -> list[list[int]]:
    """Consecutive token ids for rows of these lengths, from `start` on."""
    ends = start + np.cumsum(lengths)
    return [list(range(end - n, end)) for end, n in zip(ends, lengths, strict=True)]


def _table(batch: Ragged, name: str) -> np.ndarray:
    return np.concatenate(
        [side.flat(name) for side in (batch.chosen, batch.rejected, batch.kl)]
    )


def _models(batch: Ragged, dtype, junk: float) -> tuple[TableModel, TableModel]:
    torch_dtype = DTYPES[dtype]
    policy = TableModel(
        _table(batch, "logps"),
        _table(batch, "log_sum_sq"),
        dtype=torch_dtype,
        junk=junk,
    )
    return policy, TableModel(_table(batch, "ref"), dtype=torch_dtype)


def _outcome(loss: torch.Tensor, model: TableModel, batch: Ragged) -> Outcome:
    loss.backward()
    gradient = model.logps.grad.double().numpy()
    n_chosen, n_rejected = batch.chosen.mask.sum(), batch.rejected.mask.sum()
    assert not gradient[n_chosen + n_rejected :].any(), "gradient through the KL term"
    return Outcome(loss.item(), gradient[:n_chosen], gradient[n_chosen:][:n_rejected])


def dpo(
    batch: Ragged, dtype: type, *, prompts: bool = True, junk: float = 0.0, **settings
) -> Outcome:
    """`DPOTrainer._compute_loss`; settings are those of `DPOConfig`."""
    policy, reference = _models(batch, dtype, junk)
    trainer = _trainer(DPOConfig, settings, policy, reference)
    chosen = _numbered(batch.chosen.mask.sum(-1), 1)
    rejected = _numbered(batch.rejected.mask.sum(-1), 1 + batch.chosen.mask.sum())
    lengths = batch.prompt_lengths if prompts else 0 * batch.prompt_lengths
    inputs = DataCollatorForPreference(pad_token_id=PAD_ID)(
        [
            {"prompt_ids": [PROMPT_ID] * n, "chosen_ids": c, "rejected_ids": r}
            for n, c, r in zip(lengths, chosen, rejected, strict=True)
        ]
    )
    with _default_dtype(DTYPES[dtype]):
        loss = DPOTrainer._compute_loss(trainer, policy, inputs, return_outputs=False)
        return _outcome(loss, policy, batch)


def kto(batch: Ragged, dtype: type, **settings) -> Outcome:
    """`KTOTrainer._compute_loss`: chosen are desirable, rejected undesirable examples.

    The two kinds alternate in the batch that TRL sees.
    """
    policy, reference = _models(batch, dtype, 0.0)
    trainer = _trainer(KTOConfig, settings, policy, reference)
    trainer._compute_kl_logps = lambda model, inputs: KTOTrainer._compute_kl_logps(
        trainer, model, inputs
    )
    n_chosen, n_rejected = batch.chosen.mask.sum(), batch.rejected.mask.sum()
    chosen = _numbered(batch.chosen.mask.sum(-1), 1)
    rejected = _numbered(batch.rejected.mask.sum(-1), 1 + n_chosen)
    responses = [
        (ids, label)
        for pair in zip(chosen, rejected, strict=True)
        for ids, label in zip(pair, (True, False), strict=True)
    ]
    mismatched = _numbered(batch.kl.mask.sum(-1), 1 + n_chosen + n_rejected)
    prompts = np.repeat(batch.prompt_lengths, 2)
    inputs = DataCollatorForUnpairedPreference(pad_token_id=PAD_ID)(
        [
            {
                "prompt_ids": [PROMPT_ID] * n,
                "completion_ids": ids,
                "KL_completion_ids": kl_ids,
                "label": label,
            }
            for n, (ids, label), kl_ids in zip(
                prompts, responses, mismatched, strict=True
            )
        ]
    )
    with _default_dtype(DTYPES[dtype]):
        loss = KTOTrainer._compute_loss(trainer, policy, inputs, return_outputs=False)
        return _outcome(loss, policy, batch)


def cpo(batch: RaggedLogits, dtype: type, **settings) -> tuple[float, np.ndarray]:
    """`CPOTrainer.get_batch_loss_metrics`: the loss and its gradient, [2B, S, V]."""
    return _on_logits(CPOTrainer, CPOConfig, batch, dtype, settings)


def orpo(batch: RaggedLogits, dtype: type, **settings) -> tuple[float, np.ndarray]:
    """`ORPOTrainer.get_batch_loss_metrics`, likewise."""
    return _on_logits(ORPOTrainer, ORPOConfig, batch, dtype, settings)


def _on_logits(trainer_type, config, batch, dtype, settings):
    model = LogitsModel(batch.logits, dtype=DTYPES[dtype])
    trainer = _trainer(config, settings, model)
    trainer.concatenated_inputs = trainer_type.concatenated_inputs
    trainer.get_batch_logps = trainer_type.get_batch_logps
    for name in ("concatenated_forward", "cpo_loss", "odds_ratio_loss"):
        if hasattr(trainer_type, name):
            setattr(trainer, name, getattr(trainer_type, name).__get__(trainer))
    half = len(batch.tokens) // 2
    inputs = {}
    for side, rows in (("chosen", slice(half)), ("rejected", slice(half, None))):
        tokens = torch.tensor(batch.tokens[rows])
        attention = torch.tensor(batch.attention[rows])
        response = torch.tensor(batch.response[rows])
        inputs[f"{side}_input_ids"] = tokens.masked_fill(~attention, PAD_ID)
        inputs[f"{side}_attention_mask"] = attention.long()
        inputs[f"{side}_labels"] = tokens.masked_fill(~response, -100)
    with _default_dtype(DTYPES[dtype]):
        loss, _ = trainer_type.get_batch_loss_metrics(trainer, model, inputs)
        loss.backward()
    return loss.item(), model.logits.grad.double().numpy()
