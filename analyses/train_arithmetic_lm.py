"""Trains the small language model that comes with the package, and measures it.

    python -m analyses.train_arithmetic_lm                    the shipped model
    python -m analyses.train_arithmetic_lm --size smoke       a few steps, seconds
    python -m analyses.train_arithmetic_lm --out FOLDER       into another folder

Problems of `gradlab.data.arithmetic` are seen once each; the loss is on the solution's
tokens. Afterwards the weights are rounded to the stored dtype, and greedy decoding is
measured on fresh problems, whose prompts do not occur in training. The numbers are in
`manifest.json` beside the model.
"""

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro

import gradlab.data
from gradlab.data.arithmetic import problems, solution
from gradlab.data.bpe import train_tokenizer
from gradlab.data.stories import Problem
from gradlab.data.tokenizer import load_tokenizer
from gradlab.models import DecoderConfig, LanguageModel, build, load_model, save_model
from gradlab.tables import build_manifest, write_manifest
from gradlab.training.accuracy import encode_problems, solved
from gradlab.types import Array, Params

SHIPPED = Path(gradlab.data.__file__).parent / "arithmetic_lm"
SPECIALS = ("bos", "eos", "pad")
MULTIPLE = 16  # padded widths are multiples of this


@dataclass(frozen=True)
class Config:
    """All settings; the defaults give the shipped model."""

    seed: int = 0
    least_steps: int = 1
    most_steps: int = 3
    max_value: int = 50
    vocab_size: int = 512
    tokenizer_problems: int = 20_000
    width: int = 128
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    ff_width: int = 320
    max_length: int = 256
    stored_dtype: str = "float16"
    updates: int = 3600
    batch_size: int = 32
    learning_rate: float = 4e-3
    warmup: int = 100
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    fresh_problems: int = 2000
    report_every: int = 100

    @classmethod
    def smoke(cls) -> "Config":
        """A few updates of a smaller model on single steps: seconds."""
        return cls(
            most_steps=1,
            tokenizer_problems=500,
            width=32,
            layers=2,
            heads=2,
            kv_heads=1,
            ff_width=64,
            updates=20,
            batch_size=16,
            warmup=5,
            fresh_problems=16,
            report_every=10,
        )

    def decoder(self) -> DecoderConfig:
        """The shape of the model."""
        return DecoderConfig(
            vocab_size=self.vocab_size,
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            kv_heads=self.kv_heads,
            ff_width=self.ff_width,
            max_length=self.max_length,
        )


def draw_problems(config: Config) -> tuple[list[Problem], list[Problem]]:
    """Training problems and fresh ones: another seed, and no prompt in common."""
    settings: dict[str, Any] = {
        "steps": (config.least_steps, config.most_steps),
        "max_value": config.max_value,
    }
    train = problems(config.updates * config.batch_size, config.seed, **settings)
    seen = {problem.prompt for problem in train}
    fresh = problems(
        config.fresh_problems, config.seed + 1_000_003, exclude=seen, **settings
    )
    return train, fresh


def training_batches(
    prompts: Sequence[list[int]],
    answers: Sequence[list[int]],
    batch_size: int,
    rng: np.random.Generator,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each example once, in batches of similar length.

    Yields:
      Tokens [B, T + 1] int32 and mask [B, T] of the targets that are in the solution.
    """
    group = batch_size * 32
    for start in range(0, len(prompts), group):
        some = range(start, min(start + group, len(prompts)))
        some = sorted(some, key=lambda i: len(prompts[i]) + len(answers[i]))
        parts = [some[i : i + batch_size] for i in range(0, len(some), batch_size)]
        for place in rng.permutation(len(parts)):
            yield _pad([(prompts[i], answers[i]) for i in parts[place]])


def _pad(rows: list[tuple[list[int], list[int]]]) -> tuple[np.ndarray, np.ndarray]:
    longest = max(len(prompt) + len(answer) for prompt, answer in rows)
    width = -(-(longest - 1) // MULTIPLE) * MULTIPLE
    tokens = np.zeros((len(rows), width + 1), np.int32)
    mask = np.zeros((len(rows), width), np.float32)
    for row, (prompt, answer) in enumerate(rows):
        end = len(prompt) + len(answer)
        tokens[row, :end] = prompt + answer
        mask[row, len(prompt) - 1 : end - 1] = 1
    return tokens, mask


def make_optimiser(config: Config) -> optax.GradientTransformation:
    """AdamW with clipping, warm-up and a cosine; norms don't decay."""
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, config.warmup, config.updates
    )
    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.adamw(
            schedule,
            b2=0.98,
            weight_decay=config.weight_decay,
            mask=lambda tree: jax.tree.map(lambda leaf: leaf.ndim > 1, tree),
        ),
    )


def make_update(model: LanguageModel, optimiser: optax.GradientTransformation):
    """The jitted training step; it takes over the memory of parameters and state."""

    def loss_fn(params: Params, tokens: Array, mask: Array) -> Array:
        logits = model.apply(params, tokens[:, :-1])
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:])
        return jnp.sum(losses * mask) / jnp.sum(mask)

    @partial(jax.jit, donate_argnums=(0, 1))
    def update(params: Params, state: Any, tokens: Array, mask: Array):
        loss, grads = jax.value_and_grad(loss_fn)(params, tokens, mask)
        updates, state = optimiser.update(grads, state, params)
        return optax.apply_updates(params, updates), state, loss

    return update


def train(
    config: Config, prompts: Sequence[list[int]], answers: Sequence[list[int]]
) -> tuple[LanguageModel, Params, float]:
    """Model, trained parameters, and the mean loss of the last tenth of the updates."""
    model, params = build(config.decoder(), seed=config.seed)
    optimiser = make_optimiser(config)
    update, state = make_update(model, optimiser), optimiser.init(params)
    rng, losses, started = np.random.default_rng(config.seed), [], time.monotonic()
    for tokens, mask in training_batches(prompts, answers, config.batch_size, rng):
        params, state, loss = update(params, state, tokens, mask)
        losses.append(loss)
        if len(losses) % config.report_every == 0:
            mean = np.mean([float(x) for x in losses[-config.report_every :]])
            seconds = time.monotonic() - started
            print(
                f"update {len(losses):5d}  loss {mean:.4f}  {seconds:.0f} s", flush=True
            )
    last = losses[-max(1, len(losses) // 10) :]
    return model, params, float(np.mean([float(x) for x in last]))


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Trains, stores, loads back and measures; fills `folder` at the very end.

    Args:
      config: all settings.
      folder: gets the model, its tokenizer and `manifest.json`, which replace those of
        an earlier run.

    Returns:
      The manifest, with the accuracy on fresh problems under `accuracy`.
    """
    started, cpu = time.monotonic(), time.process_time()
    train_set, fresh = draw_problems(config)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".training-", dir=folder.parent) as beside:
        staging = Path(beside)
        facts = _train_into(staging, config, train_set)
        trained = time.monotonic() - started
        # Measured is what was stored, as every user will load it.
        model, params = load_model(staging)
        accuracy = solved(model, params, load_tokenizer(staging), fresh)
        manifest = build_manifest(
            config=config,
            seed=config.seed,
            dtype=f"trained and measured in float32, stored in {config.stored_dtype}",
            device=jax.devices()[0].platform,
            wall_seconds=round(time.monotonic() - started, 1),
            training_seconds=round(trained, 1),
            cpu_seconds=round(time.process_time() - cpu, 1),
            cpu_cores=os.cpu_count(),
            load_average=[round(load, 1) for load in os.getloadavg()],
            **facts,
            decoding="greedy",
            fresh_problems="another seed; no prompt of the training problems",
            accuracy=accuracy,
        )
        write_manifest(manifest, staging / "manifest.json")
        _install(staging, folder)
    return manifest


def _install(staging: Path, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for file in sorted(staging.iterdir()):
        file.chmod(0o644)
        os.replace(file, folder / file.name)


def _train_into(
    folder: Path, config: Config, train_set: Sequence[Problem]
) -> dict[str, Any]:
    """Writes tokenizer and model; returns what the manifest says about training."""
    texts = [p.prompt + solution(p) for p in train_set[: config.tokenizer_problems]]
    tokenizer = train_tokenizer(texts, config.vocab_size, folder)
    prompts, answers = encode_problems(train_set, tokenizer)
    _, params, loss = train(config, prompts, answers)
    ids = {f"{name}_id": getattr(tokenizer, f"{name}_id") for name in SPECIALS}
    save_model(folder, config.decoder(), params, dtype=config.stored_dtype, **ids)
    return {
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
        "training_problems": len(prompts),
        "training_tokens": sum(map(len, prompts)) + sum(map(len, answers)),
        "loss": round(loss, 5),
        "loss_unit": "nats per solution token, mean of the last tenth of the updates",
    }


def main(size: Literal["smoke", "standard"] = "standard", out: Path = SHIPPED) -> None:
    """Trains the model of the package and prints what it can.

    Args:
      size: "standard" takes minutes on two cores, "smoke" seconds.
      out: the folder to fill; the standard size fills the package's own by default.
    """
    if size == "smoke" and out == SHIPPED:
        out = Path(tempfile.mkdtemp(prefix="arithmetic_lm-"))
    manifest = run(Config.smoke() if size == "smoke" else Config(), out)
    for name, part in manifest["accuracy"].items():
        print(name, part)
    seconds = manifest["wall_seconds"], manifest["cpu_seconds"]
    print(f"{seconds[0]} s of wall time, {seconds[1]} s of processor time; {out}")


if __name__ == "__main__":
    tyro.cli(main)
