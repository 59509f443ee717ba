"""Settings of `gradlab train`. No jax here: the command line's help reads them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

Stage = Literal["sft", "preference", "selfplay"]


@dataclass(frozen=True)
class ModelSettings:
    """The policy, and the frozen reference."""

    path: str | None = None
    """Folder in Hugging Face Llama layout, hub id, or a .gguf file with a tokenizer.
    Default: embedded."""

    fresh: bool = False
    """Begin from random weights of the same shape, drawn from the seed."""

    config: Path | None = None
    """A config.json in Llama layout: begin from random weights of that shape. Needs
    a tokenizer."""

    tokenizer: str | None = None
    """Tokenizer folder. Default: that of the model."""

    reference: str | None = None
    """Frozen reference, like the model. Default: the policy as it starts."""

    compute: Literal["float32", "bfloat16"] = "float32"
    """Type of the forward and backward pass. Parameters, optimiser state and
    log-probabilities stay in float32."""

    scan: bool = False
    """Compile one layer and repeat it: deep models compile faster."""

    remat: bool = False
    """Compute layers again in the backward pass: less memory, more time."""


@dataclass(frozen=True)
class DataSettings:
    """What is learned from, and how it is put into batches."""

    path: str | None = None
    """A .jsonl or .parquet file or a hub data-set id: pairs; for sft and selfplay also
    demonstrations (prompt with completion, messages, or text). Default: embedded
    problems, of one to three steps for sft and selfplay, else of two or three."""

    limit: int | None = None
    """Use only the first N good rows. Embedded problems: their number, default 2000."""

    on_bad_row: Literal["stop", "skip"] = "stop"
    """Stop at the first bad row of the data, or count bad rows by reason and go on."""

    max_length: int | None = None
    """Longest prompt plus response, in tokens. Default: the model's context."""

    truncation: Literal["prompt", "drop", "error"] = "prompt"
    """Too long: cut the start of the prompt, drop the row, or stop."""

    append_eos: bool = True
    """End each response with the tokenizer's end-of-sequence token."""

    batch_size: int = 16
    """Pairs (or demonstrations) in one update."""

    micro_batches: int = 1
    """Parts that a batch is computed in, one after another, to save memory."""

    packing: bool = True
    """Run the prompt and the common beginning of both responses once, not twice."""

    max_shapes: int = 8
    """Most padded shapes, each of which is compiled once."""

    window: int = 32
    """Batches that are sorted by length together; 1 keeps the order random."""

    shuffle: bool = True
    """A new random order in every epoch; otherwise that of the data."""


@dataclass(frozen=True)
class OptimiserSettings:
    """How parameters move."""

    name: Literal["adamw", "sgd", "rmsprop", "adafactor"] = "adamw"
    """Update rule."""

    learning_rate: float = 1e-4
    """Its largest value."""

    schedule: Literal["constant", "linear", "cosine"] = "linear"
    """Course of the learning rate after the warm-up, down to 0 at the last step."""

    warmup: float = 0.0
    """Linear warm-up from 0: a number of steps, or a share of them if below 1."""

    clip_norm: float | None = 1.0
    """Largest Euclidean norm of the gradient; none: not clipped."""

    weight_decay: float = 0.0
    """Decoupled from the gradient, scaled by the learning rate."""

    no_decay: str = r"(scale|bias)$"
    """Parameters whose path matches this regular expression don't decay."""

    b1: float = 0.9
    """AdamW: decay of the mean of the gradient. SGD and RMSprop: see momentum."""

    b2: float | None = None
    """Decay of the mean of the squared gradient. Default, as in PyTorch: AdamW 0.999,
    RMSprop 0.99."""

    eps: float = 1e-8
    """AdamW and RMSprop: added to the root of the squared gradient's mean."""

    momentum: float = 0.0
    """SGD and RMSprop: decay of the velocity."""


@dataclass(frozen=True)
class ReferenceSettings:
    """Whether the reference follows the policy (TR-DPO, arXiv:2404.09656)."""

    every: int = 0
    """Steps between two updates of the reference; 0: it stays frozen."""

    mix: float = 1.0
    """New reference = mix * policy + (1 - mix) * reference; 1 replaces it."""

    cache: Path | None = None
    """Folder for reference log-probabilities, found again by content. Default: none."""


@dataclass(frozen=True)
class SelfplaySettings:
    """Rounds of sampling and training (SPIN, arXiv:2401.01335)."""

    rounds: int = 3
    """In each, new samples are the rejected responses, and the policy as it is then
    becomes the reference."""

    temperature: float = 1.0
    """Of sampling; 0 is greedy."""

    max_new_tokens: int = 128
    """Longest sample."""


@dataclass(frozen=True)
class CheckpointSettings:
    """When the run is saved so that it can go on after a stop."""

    every: int = 200
    """Steps between two checkpoints; 0: only at the end and on SIGTERM."""

    keep: int = 2
    """Newest checkpoints kept."""


@dataclass(frozen=True)
class ProbeSettings:
    """Fixed texts whose likelihood is followed through the training."""

    kinds: str = "chosen,rejected"
    """Comma-separated: chosen, rejected, argmax, sample (of the start), on_policy,
    truncated, edited, irrelevant, permuted, random, or column:NAME of the data. Empty:
    no probes."""

    path: str | None = None
    """Pairs to probe. Default: the first ones of the training data."""

    pairs: int = 32
    """How many."""

    evaluations: int = 20
    """About how often, geometrically spaced from the first step to the last."""

    every: int | None = None
    """Steps between two evaluations, instead of geometric spacing."""

    tokens: bool = True
    """Also write a table with every token."""

    predict: bool = False
    """Also the drift by the coming step: predicted to first order, and true."""

    top_k: int = 10
    """The k of the mass on the k most likely tokens; 0 leaves it out."""

    batch_size: int = 16
    """Sequences measured at once."""

    max_new_tokens: int = 128
    """Longest argmax, sample and on_policy response."""

    answers: int = 0
    """New word problems that the model solves at each evaluation, by greedy decoding:
    the share of exact answers, into answers.csv."""


@dataclass(frozen=True)
class MeshSettings:
    """Several devices, and processes that share them; see docs/devices.md."""

    data: int = 1
    """Groups of devices: each holds all parameters and takes its part of a batch."""

    fsdp: int = 1
    """Devices of a group, which hold parameters and optimiser state between them."""

    distributed: Literal["off", "auto"] = "off"
    """auto: find the other processes from Slurm, Kubernetes or a TPU pod."""

    coordinator: str | None = None
    """HOST:PORT of process 0, where the processes are not found by themselves."""

    processes: int | None = None
    """How many, with coordinator."""

    process: int | None = None
    """Which of them this is, from 0, with coordinator."""


@dataclass(frozen=True)
class TrainConfig:
    """Train a language model: on demonstrations, on preference pairs, or by self-play.

    Writes configuration, metrics, probe tables, checkpoints, the trained model in
    Hugging Face layout and a manifest into one folder. Without arguments it runs DPO
    on the word problems and the small model that come with gradlab.
    """

    stage: Stage = "preference"
    """What the rows of the data mean: sft learns demonstrations (chosen responses),
    preference compares pairs, selfplay compares demonstrations with own samples."""

    loss: str | None = None
    """A name, settings, a sum, or your own function: dpo, dpop(lam=5), dpo+0.5*exmate,
    my_module:my_loss. Default, by stage: mle(reduction='batch'), dpo, spin."""

    loss_schedule: tuple[str, ...] = ()
    """Hyperparameters that change with the steps, from a first to a last value:
    f=linear(0.5,1) or f=cosine(1,0.5)."""

    config: Annotated[Path | None, tyro.conf.arg(aliases=["-c"])] = None
    """YAML or JSON file with these settings (an earlier run's config.json too); flags
    go first."""

    out: Path | None = None
    """Folder of the run. Default: the next free runs/train-N."""

    resume: bool = False
    """Go on from the newest checkpoint in the folder."""

    steps: int | None = None
    """Updates. Default: as many as the epochs take; with selfplay, in each round."""

    epochs: float = 1.0
    """Passes over the data, where steps is not given."""

    seed: int = 0
    """Of the order of the data, of draws and samples, and of fresh weights."""

    log_every: int = 1
    """Steps whose means make one line of metrics.jsonl."""

    save_model: bool = True
    """Write the trained model into model/ at the end."""

    trackers: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ()
    """Also send the lines of metrics.jsonl to these; each is an extra of gradlab."""

    model: ModelSettings = field(default_factory=ModelSettings)
    data: DataSettings = field(default_factory=DataSettings)
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    reference: ReferenceSettings = field(default_factory=ReferenceSettings)
    selfplay: SelfplaySettings = field(default_factory=SelfplaySettings)
    checkpoint: CheckpointSettings = field(default_factory=CheckpointSettings)
    probes: ProbeSettings = field(default_factory=ProbeSettings)
    mesh: MeshSettings = field(default_factory=MeshSettings)
