"""Settings of the study, fixed before the run: grammar, models, losses, runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

DPO_MLE = "dpo + {gamma}*mle(reduction=mean)"
DPO_EXMATE = "dpo + {gamma}*exmate(lam=1)"

LOSSES = (
    "mle", "mle(reduction=mean)", "mle(reduction=batch)", "mate(lam=0.2)",
    "unlikelihood_token", "unlikelihood_sequence", "exmate(reduction=sum, lam=1)",
    "exmate(lam=0.05)", "exmate(lam=0.2)", "exmate(lam=1)",
    "exmate(reduction=token, lam=1)", "exmate(reduction=batch, lam=0.05)", "dpo",
    DPO_MLE.format(gamma=0.1), DPO_MLE.format(gamma=1),
    DPO_EXMATE.format(gamma=0.1), DPO_EXMATE.format(gamma=1),
)  # fmt: skip
STAGES = (("mle(reduction=mean)", "dpo"), ("exmate(lam=1)", "dpo"))
TABULAR = (
    "mle", "mate(reduction=sum, lam=0.5)", "unlikelihood_token",
    "unlikelihood_sequence", "exmate(reduction=sum, lam=1)",
    "exmate(reduction=mean, lam=1)", "exmate(reduction=token, lam=1)", "dpo",
    "dpo + mle", "dpo + exmate(reduction=token, lam=1)",
)  # fmt: skip


@dataclass(frozen=True)
class Dialogue:
    """The forked-dialogue grammar.

    A context is a history and one of two last utterances; each position of a response
    is a slot, whose words the utterance determines, or a frame, whose words the history
    does. The response to the other utterance is the bad example.

    Attributes:
      history: symbols of the history.
      symbols: alphabet of history, and of utterances (two symbols each).
      words: of the responses.
      slot_words: that fit a slot.
      frame_words: that fit a frame position.
      shortest: length of a response, END not counted; the history's first symbol adds
        0 to `longer`.
      longer: see there.
      responses: to an utterance, at most; from 1, uniformly.
    """

    history: int = 3
    symbols: int = 8
    words: int = 24
    slot_words: int = 2
    frame_words: int = 4
    shortest: int = 8
    longer: int = 4
    responses: int = 4


@dataclass(frozen=True)
class Setting:
    """What is varied about the data.

    Attributes:
      rho: share of positions that are slots.
      false_neg: share of bad examples that in fact answer the utterance.
    """

    rho: float = 0.3
    false_neg: float = 0.0

    @property
    def name(self) -> str:
        """As tables call it."""
        return f"rho {self.rho:g}, false negatives {self.false_neg:g}"


@dataclass(frozen=True)
class Config:
    """All settings.

    All losses of a setting share start, data and order of a seed. Their Adam steps have
    the learning rate, among .0003, .001 and .003, of least held-out cross-entropy on
    seed 1000, which is not among the seeds: `rate`, or what `slower` says. Losses that
    a claim compares have the same one, hence first updates of nearly equal norm; "equal
    margin" compares them at the checkpoint whose train margin is nearest the smaller of
    the two last ones. Nothing else was chosen by looking at results.

    Attributes:
      seeds: each draws grammar, contexts, initial weights and order anew.
      dialogue: the grammar.
      main: setting of all losses.
      others: further settings, of `some_losses`.
      losses: as `gradlab.losses.resolve` reads them.
      some_losses: see `others`.
      stages: (first, second) loss, half the steps each; the second's reference is the
        policy at its start.
      size_losses: whose off-support mass is followed over data sizes; their runs start
        from fresh weights.
      sizes: numbers of pairs.
      layers, width, heads: of the decoder.
      pairs: for training; `batch` in a step.
      reference_steps: of MLE that lead from fresh weights to the start of all runs.
      reference_rate: their learning rate.
      steps: of each run.
      segment: steps between checkpoints.
      rate: learning rate of the runs (Adam).
      slower: that of losses for which it is too large.
      held: held-out contexts, none of them seen in training.
      samples: responses drawn for each of the first `sampled` held-out contexts.
      sampled: see there.
      sweep_seeds: of the log-linear sweep.
      sweep_lams: its lambdas of ExMATE (mean).
      features: of the log-linear policy.
      sweep_steps: Adam steps from zero weights.
      sweep_rate: their learning rate.
      tabular_losses: of the tabular dynamics.
      tabular_steps: SGD steps, a power of two.
      tabular_rate: their learning rate.
      rows: random softmax rows for the sign claims.
      condition_pairs: per seed, whose own step is compared with the condition; none
        leaves that part out.
      condition_losses: whose steps those are; sums of log-probabilities enter alone.
      own_step: norm of that step over that of the parameters.
      sign_band: a predicted change counts as none below this share of its two terms.
      real_losses: of the runs on real pairs.
      real_pairs: for training.
      real_held: held out.
      real_steps: of each run.
      real_batch: pairs in a step.
      real_rate: their learning rate (Adam).
      real_sampled: held-out prompts that are continued `samples` times.
      real_tokens: by so many tokens.
      draws: of every bootstrap.
      time_limit: seconds after which no further part is begun.
      quick_compile: let XLA optimise less; good for runs that mostly compile.
    """

    seeds: Sequence[int] = (0, 1, 2, 3, 4)
    dialogue: Dialogue = Dialogue()
    main: Setting = Setting()
    others: Sequence[Setting] = (Setting(false_neg=0.3), Setting(rho=0.6))
    losses: Sequence[str] = LOSSES
    some_losses: Sequence[str] = (
        "mle", "mle(reduction=mean)", "unlikelihood_token", "exmate(lam=1)",
        "exmate(reduction=token, lam=1)",
    )  # fmt: skip
    stages: Sequence[tuple[str, str]] = STAGES
    size_losses: Sequence[str] = (
        "mle", "unlikelihood_token", "exmate(reduction=token, lam=1)"
    )  # fmt: skip
    sizes: Sequence[int] = (64, 256, 1024, 4096)
    layers: int = 2
    width: int = 64
    heads: int = 4
    pairs: int = 1280
    batch: int = 16
    reference_steps: int = 200
    reference_rate: float = 3e-3
    steps: int = 300
    segment: int = 25
    rate: float = 3e-3
    slower: Mapping[str, float] = field(
        default_factory=lambda: {"dpo": 3e-4, "mate(lam=0.2)": 1e-3}
    )
    held: int = 128
    samples: int = 4
    sampled: int = 64
    sweep_seeds: Sequence[int] = tuple(range(10))
    sweep_lams: Sequence[float] = (0.05, 0.2, 1, 5)
    features: int = 128
    sweep_steps: int = 300
    sweep_rate: float = 1e-2
    tabular_losses: Sequence[str] = TABULAR
    tabular_steps: int = 4096
    tabular_rate: float = 0.1
    rows: int = 4000
    condition_pairs: int = 16
    condition_losses: Sequence[str] = (
        "mle", "unlikelihood_sequence", "exmate(reduction=sum, lam=1)", "dpo",
        "mate(reduction=sum, lam=0.5)", "mate(reduction=sum, lam=2)",
        "mate(reduction=sum, lam=8)",
    )  # fmt: skip
    own_step: float = 1e-6
    sign_band: float = 0.01
    real_losses: Sequence[str] = (
        "mle(reduction=mean)", "mle(reduction=batch)", "unlikelihood_token",
        "exmate(lam=1)", "exmate(reduction=batch, lam=0.05)", "dpo",
        DPO_MLE.format(gamma=1), DPO_EXMATE.format(gamma=1),
    )  # fmt: skip
    real_pairs: int = 96
    real_held: int = 48
    real_steps: int = 24
    real_batch: int = 8
    real_rate: float = 3e-4
    real_sampled: int = 8
    real_tokens: int = 16
    draws: int = 10_000
    time_limit: float = 1080.0
    quick_compile: bool = False

    def rate_of(self, loss: str) -> float:
        """Learning rate of a loss."""
        return self.slower.get(loss, self.rate)

    @classmethod
    def smoke(cls) -> "Config":
        """One seed, three losses, 20 steps of a smaller decoder: no verdicts but X."""
        return cls(
            seeds=(0,),
            others=(),
            losses=("mle", "exmate(lam=1)", "dpo"),
            stages=(),
            size_losses=(),
            layers=1,
            width=16,
            heads=2,
            pairs=64,
            batch=8,
            reference_steps=10,
            steps=20,
            segment=10,
            held=16,
            samples=2,
            sampled=8,
            sweep_seeds=(),
            tabular_losses=("mle", "unlikelihood_token", "dpo"),
            tabular_steps=128,
            rows=400,
            condition_pairs=0,
            real_losses=(),
            draws=200,
            quick_compile=True,
        )

    @classmethod
    def full(cls) -> "Config":
        """For a GPU: ten seeds, a wider and deeper decoder, longer texts and runs."""
        standard = cls()
        return replace(
            standard,
            seeds=tuple(range(10)),
            dialogue=replace(standard.dialogue, words=400, shortest=16, longer=8),
            others=tuple(
                Setting(rho, share)
                for rho in (0.1, 0.3, 0.6, 1.0)
                for share in (0.0, 0.1, 0.3)
                if (rho, share) != (0.3, 0.0)
            ),
            layers=6,
            width=96,
            pairs=8192,
            batch=32,
            reference_steps=1000,
            steps=2000,
            segment=100,
            held=512,
            sampled=256,
            real_pairs=480,
            real_held=240,
            real_steps=200,
            time_limit=7200.0,
        )
