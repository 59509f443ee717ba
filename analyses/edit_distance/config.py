"""Settings of the study, fixed before the run."""

from collections.abc import Sequence
from dataclasses import dataclass

SIGN_ERROR = "analyses.edit_distance.control:dpop_sign_error"
LOSSES = (
    "dpo", "ipo", "hinge", "dpop", "dpo_mle", "rpo(beta=0.1)",
    "bcr_added(lam=1, delta=0.5)", "bcr_inside(lam=5, delta=0.5)", "simpo", "exmate",
    "unlikelihood_token", "gsil(scale=0.1)", "gsil(scale=0.1, kind='kliep')",
)  # fmt: skip
FOUR = ("dpo", "ipo", "hinge", "dpop")
TWO = ("dpo", "dpop")
STEP_LOSSES = ("dpo", "dpop", "dpo_mle", "unlikelihood_token")


@dataclass(frozen=True)
class Text:
    """The synthetic text and the decoder fitted to it, anew under each seed.

    Attributes:
      letters: alphabet of the order-2 Markov source.
      concentration: of its Dirichlet rows.
      prompt: letters of a prompt; a begin token comes first.
      response: letters of a chosen response.
      spare: tokens that an insertion may add.
      layers, model_width, heads: of the decoder.
      fit_updates: Adam steps of maximum likelihood, by quality of the fit.
      fit_batch: texts in each.
      fit_rate: peak learning rate.
    """

    letters: int = 24
    concentration: float = 0.1
    prompt: int = 8
    response: int = 24
    spare: int = 4
    layers: int = 2
    model_width: int = 64
    heads: int = 4
    fit_updates: Sequence[tuple[str, int]] = (("well", 800), ("under", 160))
    fit_batch: int = 32
    fit_rate: float = 3e-3


@dataclass(frozen=True)
class Runs:
    """Training runs on one kind of pairs, with Adam at a constant rate.

    Attributes:
      pairs: trained on.
      held: others like them, on which choice accuracy is measured.
      batch: pairs in a step.
      stages: parts of equal length, each followed by an evaluation; in the first one,
        where the margin grows fastest, every step is.
      stage_steps: steps of a stage.
      rate: learning rate.
      other_rates: of the sweep.
      margin: gain of log-ratio margin, nats, at which losses are compared as well: the
        smallest power of two, from 1 on, that DPO's first step at `rate` on the
        smallest edit does not gain under seed 100. A run that has it after its first
        step, or never, is not compared.
      edits: edited tokens of the main grid; 0 is the whole response.
    """

    pairs: int = 32
    held: int = 32
    batch: int = 8
    stages: int = 12
    stage_steps: int = 5
    rate: float = 3e-4
    other_rates: Sequence[float] = (1e-4, 1e-3)
    margin: float = 1.0
    edits: Sequence[int] = (1, 4, 16, 0)

    @property
    def steps(self) -> int:
        """Of a whole run."""
        return self.stages * self.stage_steps

    @property
    def looks(self) -> tuple[int, ...]:
        """Steps that are followed by an evaluation."""
        later = range(2 * self.stage_steps, self.steps + 1, self.stage_steps)
        return (*range(1, self.stage_steps + 1), *later)

    @property
    def gentle_rate(self) -> float:
        """The smallest rate: long edits pass the margin in many steps, not in one."""
        return min(self.rate, *self.other_rates)


@dataclass(frozen=True)
class Real:
    """One step on real pairs; no training.

    Attributes:
      files: kind -> file in the data folder, padded tokens in all and of a response,
        pairs per seed.
      model: folder of the model in the data folder.
      larger: folder, GGUF file or hub id of another model, such as SmolLM2-135M,
        measured on the same files; empty: skipped.
    """

    files: Sequence[tuple[str, str, int, int, int]] = (
        ("gsm8k", "gsm8k_corrupt_one_step_pairs.jsonl", 384, 224, 8),
        ("blimp", "blimp_pairs.jsonl", 96, 40, 16),
        ("arc_easy", "arc_easy_pairs.jsonl", 96, 40, 16),
        ("arc_challenge", "arc_challenge_pairs.jsonl", 96, 40, 16),
        ("persona", "persona_yesno_pairs.jsonl", 96, 40, 16),
        ("hellaswag", "hellaswag_val_pairs.jsonl", 96, 40, 16),
    )
    model: str = "models/stories260K"
    larger: str = ""


@dataclass(frozen=True)
class Config:
    """All settings.

    Under Adam the first update has the same size for every loss at equal learning rate:
    one rule of comparison. The other is an equal gain of margin, read off between two
    evaluations; across edits at the smallest rate, since a step at the main one gains
    many times as much on a whole response as on one token. The main rate of a kind is
    the smallest of 1e-4, 3e-4 and 1e-3 at which DPO's chosen responses moved by a nat
    or more on the smallest edit, under seed 100, which is no seed of the study; the
    other two are in the sweep, with verdicts.

    Attributes:
      seeds: each draws source, decoder, pairs, problems and order anew; the model of
        the word problems is one.
      losses: of the main grid.
      extra_losses: further ones, such as a user's `module:function`.
      control: a loss with a mirrored sign; it must stand out.
      place: of an edit, as a share of the response, where the place isn't varied.
      places: of the sweep over places and operations.
      moved_tokens: edited tokens in that sweep.
      betas, lams: of DPO and DPO-Positive in the ablation.
      placed: other placements of the penalty, on text.
      placed_words: on word problems.
      text, text_runs: synthetic text; no stages: left out.
      word_runs: word problems.
      problems: solved greedily after each run on word problems.
      step: norm of a single step, or of the longest of the pairs' own steps, over that
        of the parameters; at 1e-3 a response moved
        by tens of nats, beyond the first order.
      step_losses: of the single steps.
      shown_tokens: tokens of each kind kept for the wrong-way figure, first seed.
      offsets: farthest position from the first difference in the profiles.
      real: of the single steps on real pairs.
      draws: of every bootstrap.
      ceiling: start above which nothing can improve: there a claim that something
        does, or does not, can be contradicted at most, and is not testable otherwise.
      time_limit: seconds after which no further part is begun.
      quick_compile: let XLA optimise less.
    """

    seeds: Sequence[int] = (0, 1, 2, 3, 4)
    losses: Sequence[str] = LOSSES
    extra_losses: Sequence[str] = ()
    control: str = SIGN_ERROR
    place: float = 0.25
    places: Sequence[float] = (0.0, 0.5, 1.0)
    moved_tokens: int = 4
    betas: Sequence[float] = (0.1, 0.3, 1.0)
    lams: Sequence[float] = (5.0, 50.0, 500.0)
    placed: Sequence[str] = (
        "dpop_outside(lam=0.1)", "dpop_outside(lam=5)", "dpop_outside",
        "dpop_inside_nobeta",
    )  # fmt: skip
    placed_words: Sequence[str] = ("dpop_outside", "dpop_inside_nobeta")
    text: Text = Text()
    text_runs: Runs = Runs()
    word_runs: Runs = Runs(
        24, 8, 8, 4, 4, rate=1e-3, other_rates=(1e-4, 3e-4), margin=8.0, edits=(4, 0)
    )
    problems: int = 64
    step: float = 1e-4
    step_losses: Sequence[str] = STEP_LOSSES
    shown_tokens: int = 120
    offsets: int = 12
    real: Real = Real()
    draws: int = 10_000
    ceiling: float = 0.98
    time_limit: float = 1500.0
    quick_compile: bool = False

    @classmethod
    def smoke(cls) -> "Config":
        """One seed, few losses and steps on a small decoder: no verdicts."""
        text = Text(
            letters=8, prompt=4, response=8, spare=4, layers=1, model_width=16, heads=2,
            fit_updates=(("well", 20), ("under", 4)), fit_batch=8,
        )  # fmt: skip
        return cls(
            seeds=(0,),
            losses=("dpo", "dpop"),
            betas=(0.1,),
            lams=(5.0,),
            placed=("dpop_outside",),
            places=(0.5,),
            text=text,
            text_runs=Runs(8, 8, 4, 2, 2, other_rates=(1e-3,), edits=(1, 0)),
            word_runs=Runs(8, 8, 4, stages=0),
            problems=8,
            step_losses=("dpo", "dpop"),
            shown_tokens=20,
            draws=200,
            quick_compile=True,
        )

    @classmethod
    def full(cls) -> "Config":
        """Ten seeds and a larger decoder, for a GPU; name `real.larger` by hand."""
        text = Text(
            letters=48, response=48, spare=4, layers=6, model_width=96,
            fit_updates=(("well", 4000), ("under", 800)), fit_batch=64,
        )  # fmt: skip
        return cls(
            seeds=tuple(range(10)),
            text=text,
            text_runs=Runs(
                256, 256, 32, 15, 100, rate=1e-4, other_rates=(3e-5, 3e-4),
                edits=(1, 2, 4, 8, 16, 32, 0),
            ),
            word_runs=Runs(
                256, 256, 32, 10, 30, rate=1e-3, other_rates=(1e-4, 3e-4), margin=8.0,
                edits=(1, 2, 4, 8, 0),
            ),
            problems=512,
            time_limit=7000.0,
        )  # fmt: skip
