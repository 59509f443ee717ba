"""Settings of the study, fixed before the run: judges, the length task, the runs."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Judging:
    """The simulation of judges and schemes. Utilities are standard normal.

    Attributes:
      pools: per seed.
      candidates: M, completions of a pool; a power of two.
      other_candidates: further M, at the noise `tau` alone.
      tau: scale of a judge's logistic noise, in standard deviations of utility.
      other_taus: further noises, at `candidates` alone.
      biases: what being shown first is worth.
      thresholds: differences up to which a judge calls a tie.
      cycles: amplitude of the intransitive part of a judge's preference.
      strengths: of each distortion of the scores.
      repeats: scores asked per candidate, averaged.
    """

    pools: int = 20_000
    candidates: int = 8
    other_candidates: Sequence[int] = (4, 16)
    tau: float = 0.5
    other_taus: Sequence[float] = (0.1, 0.25, 1.0, 2.0)
    biases: Sequence[float] = (0.0, 0.5, 1.0)
    thresholds: Sequence[float] = (0.0, 0.2, 0.5)
    cycles: Sequence[float] = (0.0, 0.1, 0.2, 0.3)
    strengths: Sequence[float] = (0.0, 0.25, 0.5, 1.0, 2.0)
    repeats: Sequence[int] = (1, 2, 4)


@dataclass(frozen=True)
class Task:
    """The length task, and the decoder fitted to its texts as the reference.

    Attributes:
      letters: of which the prompt's first names the one to be repeated.
      prompt: letters of a prompt.
      longest: letters of a response, at most; lengths are uniform from 1.
      skill: parameters of the Beta distribution of a response's share of matches.
      layers, width, heads: of the decoder.
      fit_updates: Adam steps of maximum likelihood.
      fit_batch: texts in each.
      fit_rate: peak learning rate.
      prompts: training prompts, each with a pool of samples of the reference.
      candidates: samples in a pool.
      held: other prompts, one sample of the trained policy for each.
      tau: the judge's noise in units of utility (share of matches, 0 to 1).
      bonus: utility that an out-of-distribution scorer sees in the longest response
        over an empty one.
    """

    letters: int = 8
    prompt: int = 3
    longest: int = 24
    skill: tuple[float, float] = (1.5, 1.5)
    layers: int = 2
    width: int = 64
    heads: int = 4
    fit_updates: int = 300
    fit_batch: int = 64
    fit_rate: float = 3e-3
    prompts: int = 192
    candidates: int = 8
    held: int = 256
    tau: float = 0.25
    bonus: float = 1.0

    @property
    def vocab_size(self) -> int:
        """V: begin, stop and the letters."""
        return 2 + self.letters

    @property
    def length(self) -> int:
        """Tokens of a whole text: begin, prompt, response, stop."""
        return 2 + self.prompt + self.longest


@dataclass(frozen=True)
class Base:
    """A loss that the budget is added to.

    Attributes:
      spec: as `gradlab.losses.resolve` reads it; a module:function works too.
      unit: its weight on the chosen sum at the reference, the unit of lambda outside.
      rate: learning rate, with and without a budget.
    """

    spec: str
    unit: float
    rate: float


@dataclass(frozen=True)
class Runs:
    """The training runs: Adam at one rate for each base, equal steps.

    Rates are those of 1e-4, 2e-4, 5e-4, 1e-3, 2e-3 after which the base without budget
    had the most utility on seed 100: the least of them for DPO and SimPO, 2e-4 for IPO.
    With a budget of 2 nats, DPO's best rate was the same.

    Attributes:
      steps: of a run.
      stops: steps after which a policy is evaluated; dense early, since a free run is
        after a tenth of its steps as far from the reference as a budget of 0 ever gets.
      threshold_stops: those of them where thresholds are measured.
      batch: pairs in a step.
      rate: learning rate of DPO, with and without a budget.
      beta: of DPO.
      deltas: budgets on DPO, nats per sequence; no budget at all is the base loss.
      strength: lambda over its unit in the sweep of budgets: the base's own weight at
        the reference for the outside form, 1 for the inside form.
      strengths: lambda over its unit in the sweep of lambda.
      delta: the budget of that sweep, and of the grid of selections and losses.
      gammas: weights of the likelihood term (summed) in units of DPO's own weight.
      dpop: lambda of the DPO-Positive control.
      other_bases: bases besides DPO.
      plane_deltas: budgets on every base, each with all of `plane_strengths`.
      plane_strengths: lambda over its unit; a budget of 0 has `strength` alone.
      token_deltas: budgets per token of `drops` that count by token.
      drops: how a drop is counted, besides "sequence".
      shapes: of the penalty outside, besides the hinge.
      schemes: selections of the grid; all other runs are on "extremes".
    """

    steps: int = 150
    stops: Sequence[int] = (4, 8, 15, 22, 32, 50, 150)
    threshold_stops: Sequence[int] = (15, 50, 150)
    batch: int = 16
    rate: float = 1e-4
    beta: float = 0.1
    deltas: Sequence[float] = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
    strength: float = 4.0
    strengths: Sequence[float] = (0.015625, 0.0625, 0.25, 1.0, 4.0, 16.0)
    delta: float = 2.0
    gammas: Sequence[float] = (0.2, 2.0, 20.0)
    dpop: float = 50.0
    other_bases: Sequence[Base] = (
        Base("simpo", 0.1, 1e-4),
        Base("ipo", 10.0, 2e-4),
    )
    plane_deltas: Sequence[float] = (2.0, 8.0)
    plane_strengths: Sequence[float] = (0.25, 4.0)
    token_deltas: Sequence[float] = (0.01, 0.05, 0.2)
    drops: Sequence[str] = ()
    shapes: Sequence[str] = ()
    schemes: Sequence[str] = ("extremes", "scores", "scores_ood", "random")

    @property
    def dpo(self) -> Base:
        """The first base, whose weight on both sums at the reference is beta / 2."""
        return Base(f"dpo(beta={self.beta!r})", self.beta / 2, self.rate)


@dataclass(frozen=True)
class Config:
    """All settings.

    Attributes:
      seeds: each draws its pools, answers, instances, reference and pairs anew.
      tuning_seeds: other seeds, on which the budget delta* is chosen.
      judging: the simulation.
      instances: linear models per seed.
      task: the length task.
      runs: the training runs.
      draws: of every bootstrap.
      time_limit: seconds after which no further part is begun.
      quick_compile: let XLA optimise less; good for runs that mostly compile.
    """

    seeds: Sequence[int] = (0, 1, 2, 3, 4)
    tuning_seeds: Sequence[int] = (100, 101, 102)
    judging: Judging = Judging()
    instances: int = 3
    task: Task = Task()
    runs: Runs = Runs()
    draws: int = 10_000
    time_limit: float = 1700.0
    quick_compile: bool = False

    @classmethod
    def smoke(cls) -> "Config":
        """One seed, few pools, short runs: half a minute, no verdicts."""
        return cls(
            seeds=(0,),
            tuning_seeds=(),
            judging=Judging(pools=200, other_candidates=(), other_taus=()),
            instances=1,
            task=Task(
                letters=4, longest=6, layers=1, width=16, heads=2, fit_updates=20,
                prompts=16, candidates=4, held=16,
            ),
            runs=Runs(
                steps=8, stops=(4, 8), threshold_stops=(4, 8), batch=8,
                deltas=(0.0, 2.0), strengths=(1.0, 4.0), gammas=(1.0,),
                other_bases=(Base("ipo", 10.0, 2e-4),),
                plane_deltas=(2.0,), plane_strengths=(4.0,),
                schemes=("extremes", "random"),
            ),
            draws=200,
            quick_compile=True,
        )  # fmt: skip

    @classmethod
    def full(cls) -> "Config":
        """Ten seeds, pools of 16, a larger decoder, longer runs: wants a GPU."""
        return cls(
            seeds=tuple(range(10)),
            judging=Judging(candidates=16, other_candidates=(4, 8)),
            task=Task(
                layers=6, width=96, heads=4, fit_updates=1000, prompts=1024,
                candidates=16, held=512,
            ),
            runs=Runs(
                steps=1000, stops=(4, 8, 15, 30, 60, 100, 300, 1000),
                threshold_stops=(30, 100, 300, 1000), batch=32, rate=3e-4,
                plane_deltas=(0.5, 2.0, 8.0), plane_strengths=(0.0625, 0.25, 1.0, 4.0),
                drops=("token_mean", "tokenwise"), shapes=("squared", "softplus"),
                schemes=("extremes", "scores", "scores_ood", "champion", "random"),
            ),
            time_limit=7000.0,
        )  # fmt: skip
