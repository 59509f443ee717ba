"""Trainers of TRL built by their own constructors, on a tiny random Llama."""

import numpy as np
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

WORDS = [f"w{i}" for i in range(40)]


def tokenizer() -> PreTrainedTokenizerFast:
    """One token per word."""
    special = ["<pad>", "<unk>", "<s>", "</s>"]
    vocabulary = {word: i for i, word in enumerate([*special, *WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
    )


def language_model(seed: int) -> LlamaForCausalLM:
    """Random weights, large enough for probabilities far from uniform."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(WORDS) + 4,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=64,
        initializer_range=0.3,
        tie_word_embeddings=False,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
    )
    return LlamaForCausalLM(config)


def pairs(count: int = 8, seed: int = 0) -> Dataset:
    """Random sentences of unequal lengths."""
    rng = np.random.default_rng(seed)

    def text(low: int, high: int) -> str:
        return " ".join(rng.choice(WORDS, rng.integers(low, high)))

    return Dataset.from_list(
        [
            {
                "prompt": text(2, 6),
                "chosen": " " + text(1, 9),
                "rejected": " " + text(1, 12),
            }
            for _ in range(count)
        ]
    )


def build(trainer_type, config_type, folder, *, reference: bool, **settings):
    """A trainer and its first batch."""
    config = config_type(
        output_dir=str(folder),
        per_device_train_batch_size=4,
        report_to="none",
        use_cpu=True,
        bf16=False,
        fp16=False,
        gradient_checkpointing=False,
        seed=0,
        **settings,
    )
    extra = {"ref_model": language_model(1)} if reference else {}
    trainer = trainer_type(
        model=language_model(0),
        args=config,
        train_dataset=_dataset(trainer_type),
        processing_class=tokenizer(),
        **extra,
    )
    trainer.model.eval()  # no dropout
    return trainer, next(iter(trainer.get_train_dataloader()))


def _dataset(trainer_type) -> Dataset:
    """Pairs; for KTO each pair is a desirable and an undesirable example."""
    data = pairs()
    if "KTO" not in trainer_type.__name__:
        return data
    return Dataset.from_list(
        [
            {"prompt": p["prompt"], "completion": p[side], "label": side == "chosen"}
            for p in data
            for side in ("chosen", "rejected")
        ]
    )


def token_stats(model, input_ids, attention_mask) -> tuple[torch.Tensor, torch.Tensor]:
    """log p_y of every token but the first, and log sum p^2 there, [rows, S - 1]."""
    logits = model(input_ids=input_ids, attention_mask=attention_mask).logits
    logps = torch.log_softmax(logits[:, :-1].float(), dim=-1)
    chosen = logps.gather(-1, input_ids[:, 1:, None])[..., 0]
    return chosen, torch.logsumexp(2.0 * logps, dim=-1).detach()


def parameter_gradient(model, scalar: torch.Tensor) -> np.ndarray:
    """Gradient of a scalar with respect to all parameters, [N]."""
    model.zero_grad()
    scalar.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()]).double().numpy()
