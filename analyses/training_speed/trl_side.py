"""The same training by TRL's DPOTrainer. Imported only where TRL is installed.

Sequential batches of the same pairs, padded to the longest one as its collator does;
reference log-probabilities precomputed by TRL itself; AdamW, no dropout, float32.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

import datasets  # pyright: ignore[reportMissingImports]
import torch  # pyright: ignore[reportMissingImports]
import transformers  # pyright: ignore[reportMissingImports]
import trl  # pyright: ignore[reportMissingImports]

from analyses.training_speed.scene import Scene
from gradlab.errors import GradlabError

Watch = Callable[[int, float], None]  # (number of a finished step, seconds)


def description() -> str:
    """Versions and threads, for the manifest."""
    return (
        f"trl {trl.__version__}, transformers {transformers.__version__}, torch "
        f"{torch.__version__} on cpu, {torch.get_num_threads()} threads"
    )


def make_trainer(scene: Scene, steps: int, *, checkpointing: bool = False) -> Any:
    """A DPOTrainer that is ready to train.

    Args:
      scene: model and pairs.
      steps: that `train` will do.
      checkpointing: compute activations again in the backward pass, TRL's default:
        less memory, more time.

    Raises:
      GradlabError: its tokens are not ours.
    """
    datasets.disable_progress_bars()
    for name in ("transformers", "trl"):
        logging.getLogger(name).setLevel(logging.ERROR)
    arguments = trl.DPOConfig(  # pyright: ignore[reportPrivateImportUsage]
        output_dir=str(scene.folder / "trl"),
        max_steps=steps,
        per_device_train_batch_size=scene.config.batch_size,
        train_sampling_strategy="sequential",
        max_length=scene.config.max_length,
        precompute_ref_log_probs=True,
        learning_rate=scene.config.learning_rate,
        lr_scheduler_type="linear",
        gradient_checkpointing=checkpointing,
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        bf16=False,
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(scene.folder)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = transformers.AutoModelForCausalLM.from_pretrained(
        scene.folder, dtype=torch.float32
    )
    trainer = trl.DPOTrainer(  # pyright: ignore[reportPrivateImportUsage]
        model=model,
        args=arguments,
        train_dataset=datasets.Dataset.from_list(scene.texts),
        processing_class=tokenizer,
    )
    trainer.remove_callback(transformers.PrinterCallback)
    _require_same_tokens(trainer.train_dataset, scene)
    return trainer


def _require_same_tokens(rows: Any, scene: Scene) -> None:
    if len(rows) != len(scene.rows):
        raise GradlabError(f"TRL kept {len(rows)} of {len(scene.rows)} pairs")
    for theirs, ours in zip(rows, scene.rows, strict=True):
        for side in ("prompt", "chosen", "rejected"):
            if theirs[f"{side}_ids"] != getattr(ours, side):
                raise GradlabError(
                    f"row {ours.row}: TRL reads other tokens in {side} than gradlab"
                )


def reference_sums(trainer: Any) -> list[tuple[float, float]]:
    """Its summed reference log-probabilities of chosen and rejected, by row."""
    rows = trainer.train_dataset
    return list(zip(rows["ref_chosen_logps"], rows["ref_rejected_logps"], strict=True))


def work(scene: Scene) -> tuple[int, int]:
    """(columns that the layers run on, positions that the head runs on) of a round.

    Without a GPU kernel for it, its head runs on every position but the last.
    """
    columns = positions = 0
    size = scene.config.batch_size
    for first in range(0, len(scene.rows), size):
        longest = max(row.length for row in scene.rows[first : first + size])
        columns += 2 * size * longest
        positions += 2 * size * (longest - 1)
    return columns, positions


def train(trainer: Any, watch: Watch) -> None:
    """Trains; calls `watch` behind each step, whose time is not TRL's.

    A step's time is that of forward, backward, clipping and update; collating the
    batch before it isn't counted.
    """
    trainer.add_callback(_Timer(watch))
    trainer.train()


class _Timer(transformers.TrainerCallback):
    def __init__(self, watch: Watch) -> None:
        self.watch, self.number, self.started = watch, 0, 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        self.started = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        self.watch(self.number, time.perf_counter() - self.started)
        self.number += 1
