"""Settings of the study, fixed before the run: sizes, steps, losses, strengths."""

from collections.abc import Sequence
from dataclasses import dataclass

WEIGHT_LOSSES = (
    "mle", "mle(reduction=mean)", "dpo", "averaged_dpo", "ipo", "ipo(reduction=mean)",
    "simpo", "rdpo", "lddpo", "sampo", "wpo",
)  # fmt: skip
DATASETS = ("hh_helpful", "hh_harmless", "gsm8k", "llmbar")


@dataclass(frozen=True)
class Task:
    """The length task, its reference model, and the runs on it.

    A prompt names a symbol. A response of 1 to `longest` symbols repeats it with the
    response's own probability, and then stops. Quality is the share of symbols that
    match; an annotator prefers by u = quality + kappa (L - m) / m, m half of `longest`,
    with Bradley-Terry noise of temperature `noise`.

    Attributes:
      symbols: that a prompt may name.
      longest: most symbols of a response, the end token not counted.
      limit: most tokens of a generated response, the end token counted.
      noise: temperature of the annotator.
      kappas: the annotator's liking for length; the first one is that of all losses.
      layers, width, heads: of the decoder.
      fit_updates: Adam steps of maximum likelihood that make the reference.
      fit_batch: texts in each.
      fit_rate: peak learning rate.
      pairs: of a seed.
      batch: pairs in a step.
      steps: of a run.
      rate: learning rate of Adam. Adam's step does not depend on the scale of a loss,
        so one rate serves all. Chosen on seed 100, which no run uses: of 3e-4,
        1e-3, 3e-3 the one at which DPO truncates the fewest samples, mean over betas
        (10, 4 and 23 %).
      lower_rates: rates over that one at which losses are trained too that are compared
        at equal KL, so that their trained policies meet there.
      rate_factors: rates over that one, for the spread over settings.
      samples: from each policy, at temperature 1.
      subset: pairs in a subset by length.
      subset_gap: tokens by which the sides of its pairs differ at least.
    """

    symbols: int = 8
    longest: int = 24
    limit: int = 40
    noise: float = 0.25
    kappas: Sequence[float] = (0.5, 0.0, -0.5)
    layers: int = 2
    width: int = 32
    heads: int = 2
    fit_updates: int = 300
    fit_batch: int = 32
    fit_rate: float = 5e-3
    pairs: int = 256
    batch: int = 16
    steps: int = 80
    rate: float = 1e-3
    lower_rates: Sequence[float] = (0.25, 0.5)
    rate_factors: Sequence[float] = (0.25, 0.5, 1.0, 2.0, 4.0)
    samples: int = 128
    subset: int = 64
    subset_gap: int = 4

    @property
    def typical(self) -> float:
        """Lbar, tokens of a typical response, with which matched strengths grow."""
        return 1 + (1 + self.longest) / 2

    @property
    def matched_rates(self) -> tuple[float, ...]:
        """Rates, over the study's, of the policies that are compared at equal KL."""
        return (*self.lower_rates, 1.0)


@dataclass(frozen=True)
class Real:
    """Real pairs, measured with stories260K.

    Attributes:
      datasets: see `real.FILES`.
      pairs: that are measured.
      others: that lead from the reference to the policy.
      length: T; prompts are cut at their beginning.
      longest: pairs with a longer response are left out.
      steps: of DPO, from the reference to the policy.
      step: length of each over that of the parameters.
    """

    datasets: Sequence[str] = DATASETS
    pairs: int = 96
    others: int = 8
    length: int = 192
    longest: int = 128
    steps: int = 3
    step: float = 3e-4


@dataclass(frozen=True)
class Config:
    """All settings.

    Attributes:
      seeds: each draws its instances, its texts, its reference, its pairs, their order
        and its samples anew; real pairs and stories260K are the same for all.
      betas: of DPO and of IPO (there tau). Averaged losses take the same and these
        times `Task.typical`: at equal lengths L averaged DPO with L beta is DPO with
        beta, so that a comparison at equal beta says little.
      alphas: of LD-DPO, at beta = .1.
      variants: whether the losses beside DPO, IPO and SimPO are trained.
      subsets: whether subsets by length are trained on.
      spread: whether the rates are varied.
      instances: tabular problems of averaged DPO per seed; of the others a quarter.
      responses: of a tabular problem, fewest and most.
      instance_length: most tokens of a tabular response.
      newton: steps of its minimisation.
      draws: of every bootstrap.
      sampo_draws: selections in which SamPO's first margin is measured.
      weight_lengths: where token weights are shown.
      paddings: tokens appended to a side.
      time_limit: seconds after which no further part is begun.
      quick_compile: let XLA optimise less; good for runs that mostly compile.
      task: the length task.
      real: the real pairs.
    """

    seeds: Sequence[int] = (0, 1, 2, 3, 4)
    betas: Sequence[float] = (0.05, 0.1, 0.3)
    alphas: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0)
    variants: bool = True
    subsets: bool = True
    spread: bool = True
    instances: int = 40
    responses: tuple[int, int] = (6, 20)
    instance_length: int = 21
    newton: int = 60
    draws: int = 10_000
    sampo_draws: int = 1000
    weight_lengths: Sequence[int] = (1, 2, 4, 8, 16, 32, 64, 128, 256)
    paddings: Sequence[int] = (1, 2, 4, 8, 16, 32)
    time_limit: float = 1100.0
    quick_compile: bool = False
    task: Task = Task()
    real: Real = Real()

    @classmethod
    def smoke(cls) -> "Config":
        """One seed, two losses, few steps: half a minute, decides identities only."""
        return cls(
            seeds=(0,),
            betas=(0.1,),
            variants=False,
            subsets=False,
            spread=False,
            instances=4,
            responses=(6, 8),
            draws=200,
            sampo_draws=200,
            weight_lengths=(1, 16),
            paddings=(8,),
            quick_compile=True,
            task=Task(
                layers=1, width=16, fit_updates=30, pairs=32, steps=15, samples=32,
                kappas=(0.5,), lower_rates=(),
            ),
            real=Real(datasets=()),
        )  # fmt: skip

    @classmethod
    def full(cls) -> "Config":
        """Ten seeds, a larger decoder and longer runs; for a GPU."""
        return cls(
            seeds=tuple(range(10)),
            betas=(0.03, 0.05, 0.1, 0.3, 1.0),
            time_limit=7200.0,
            task=Task(
                layers=6, width=96, heads=4, fit_updates=3000, pairs=4096, batch=32,
                steps=1500, samples=512, subset=512,
            ),
            real=Real(pairs=1000, others=32),
        )  # fmt: skip
