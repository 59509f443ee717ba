"""Real DPO runs of TRL on a tiny Llama, with probes on the way."""

import json
from pathlib import Path

from datasets import Dataset
from transformers import TrainerCallback
from trl import DPOConfig, DPOTrainer

from gradlab.bridges.trl import ProbeCallback
from tests.parity.real_trainers import language_model, tokenizer

STEPS, EVERY = 6, 2
PROBED = 5


class Stop(TrainerCallback):
    """Ends a run early, as a time limit does."""

    def __init__(self, step: int):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        control.should_training_stop = state.global_step >= self.step


def rows(path: Path) -> list[dict]:
    """The pairs of a file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def probes(pairs, folder: Path, **settings) -> ProbeCallback:
    """The callback, every other step on a few pairs."""
    given = {"every": EVERY, "limit": PROBED, **settings}
    return ProbeCallback(pairs, tokenizer(), folder, **given)


def trainer(data: Path, out: Path, callbacks=(), **settings) -> DPOTrainer:
    """With dropout and gradient checkpointing, so that modes and seeds matter."""
    model = language_model(0)
    model.config.attention_dropout = 0.1
    for layer in model.model.layers:
        layer.self_attn.attention_dropout = 0.1
    config = DPOConfig(
        output_dir=str(out),
        max_steps=STEPS,
        per_device_train_batch_size=4,
        learning_rate=1e-2,
        logging_steps=1,
        save_steps=EVERY,
        report_to="none",
        use_cpu=True,
        bf16=False,
        disable_dropout=False,
        gradient_checkpointing=True,
        disable_tqdm=True,
        seed=0,
        **settings,
    )
    return DPOTrainer(
        model=model,
        ref_model=language_model(0),
        args=config,
        train_dataset=Dataset.from_list(rows(data)),
        processing_class=tokenizer(),
        callbacks=list(callbacks),
    )
