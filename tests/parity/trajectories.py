"""The same preference training by TRL's DPOTrainer and by `gradlab train`."""

import json
from pathlib import Path

import numpy as np
from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from gradlab.training.command import train
from gradlab.training.config import (
    DataSettings,
    ModelSettings,
    OptimiserSettings,
    ProbeSettings,
    TrainConfig,
)
from gradlab.training.metriclog import read_metrics
from tests.parity.real_trainers import WORDS, language_model, tokenizer

STEPS, BATCH = 20, 4
Lines = list[dict[str, float]]


def write_model(folder: Path) -> None:
    """A random Llama and its tokenizer, as transformers saves them."""
    language_model(0).save_pretrained(folder)
    tokenizer().save_pretrained(folder)


def write_pairs(path: Path, count: int = 40) -> None:
    """Random sentences; in every other row both responses begin alike."""
    rng = np.random.default_rng(0)

    def text(low: int, high: int) -> str:
        return " ".join(rng.choice(WORDS, rng.integers(low, high)))

    rows = []
    for number in range(count):
        begin = f" {text(1, 4)}" if number % 2 else ""
        rows.append(
            {
                "prompt": text(2, 6),
                "chosen": f"{begin} {text(1, 9)}",
                "rejected": f"{begin} {text(1, 12)}",
            }
        )
    path.write_text("\n".join(map(json.dumps, rows)))


def theirs(
    model: Path, data: Path, out: Path, settings: OptimiserSettings, parts: int
) -> Lines:
    """TRL's log of every step."""
    config = DPOConfig(
        output_dir=str(out),
        max_steps=STEPS,
        per_device_train_batch_size=BATCH // parts,
        gradient_accumulation_steps=parts,
        train_sampling_strategy="sequential",
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.clip_norm,
        adam_beta1=settings.b1,
        adam_beta2=0.999,
        adam_epsilon=settings.eps,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        disable_tqdm=True,
    )
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    trainer = DPOTrainer(
        model=str(model),
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer(),
    )
    trainer.train()
    return [line for line in trainer.state.log_history if "rewards/margins" in line]


def ours(
    model: Path,
    data: Path,
    out: Path,
    settings: OptimiserSettings,
    parts: int,
    *,
    packing: bool,
) -> Lines:
    """Our log of every step."""
    config = TrainConfig(
        out=out,
        steps=STEPS,
        model=ModelSettings(path=str(model)),
        data=DataSettings(
            path=str(data),
            batch_size=BATCH,
            micro_batches=parts,
            packing=packing,
            shuffle=False,
        ),
        optimiser=settings,
        probes=ProbeSettings(kinds=""),
    )
    return read_metrics(train(config) / "metrics.jsonl")
