"""Settings of the study, fixed before the run: sizes, steps, losses, generators."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from gradlab.losses import LOSSES

SHOWN_LOSSES = (
    "mle", "unlikelihood_token", "exmate", "dpo", "dpo_exmate", "ipo", "averaged_dpo",
    "hinge", "slic", "dpop", "simpo", "orpo",
)  # fmt: skip
# Token weights that jump somewhere: at a hinge, a threshold, or a change of ranks.
KINKED = (
    "hinge", "slic", "dpop", "dpop_outside", "dpop_inside_nobeta", "bcr_added",
    "bcr_inside", "bpo", "aot", "aot_unpaired", "kto_pair",
)  # fmt: skip


def catalogue() -> tuple[str, ...]:
    """Every named loss at its defaults; where it has none, at a stated setting."""
    settings = {"lam": 1, "delta": 0.5}
    names = []
    for name, info in LOSSES.items():
        given = ", ".join(f"{key}={settings[key]}" for key in info.required)
        names.append(f"{name}({given})" if given else name)
    return tuple(names)


@dataclass(frozen=True)
class Source:
    """The text source and the decoder fitted to it.

    Attributes:
      letters: alphabet of the order-2 Markov source.
      concentration: of its Dirichlet rows; smaller means less entropy.
      answers: pairs of one-token answers outside that alphabet.
      similarity: cosines of the two unembedding vectors of a pair, first to last.
      prompt: tokens of a prompt, the begin token not counted.
      response: tokens of an edited response.
      width: padded response length.
      edits: edited tokens; the whole response is always one more setting.
      suffixes: lengths of the shared suffix.
      layers, model_width, heads: of the decoder.
      fit_updates: Adam steps of maximum likelihood.
      fit_batch: sequences in each.
      fit_rate: peak learning rate.
    """

    letters: int = 24
    concentration: float = 0.1
    answers: int = 8
    similarity: tuple[float, float] = (-0.5, 0.95)
    prompt: int = 8
    response: int = 24
    width: int = 40
    edits: Sequence[int] = (1, 2, 4, 8, 16)
    suffixes: Sequence[int] = (0, 1, 2, 4, 8, 16, 32)
    layers: int = 2
    model_width: int = 64
    heads: int = 4
    fit_updates: int = 240
    fit_batch: int = 32
    fit_rate: float = 3e-3


@dataclass(frozen=True)
class Runs:
    """The short training runs; all on DPO at its default strength. No steps: no run.

    Attributes:
      ledger_steps: AdamW steps whose parts are followed.
      ledger_rate: their learning rate.
      subset: pairs in a subset chosen by CHES.
      subset_steps: steps on each subset.
      percentiles: of CHES, where subsets are taken.
      curve_pairs: word problems of the learning curves.
      curve_steps: their steps.
      curve_batch: pairs in a step.
      curve_evaluations: evaluations, step 0 included.
      probes: sequences of each probe kind.
      rate: learning rate of subsets and curves (Adam).
    """

    ledger_steps: int = 12
    ledger_rate: float = 3e-4
    subset: int = 8
    subset_steps: int = 24
    percentiles: Sequence[int] = (0, 25, 50, 75, 100)
    curve_pairs: int = 64
    curve_steps: int = 96
    curve_batch: int = 8
    curve_evaluations: int = 12
    probes: int = 16
    rate: float = 1e-4


@dataclass(frozen=True)
class Config:
    """All settings. Step sizes are norms of the parameter change over that of the
    parameters, equal for all losses.

    Attributes:
      seeds: each draws its source, its decoder, its pairs and their order anew; the
        embedded model and stories260K stay the same.
      kinds: pair kinds, see `pair_kinds`.
      losses: of the one-step part; labels as `gradlab.losses.resolve` reads them.
      some_losses: those whose order of error is tested on the embedded model too.
      pairs: pairs per seed and kind that are measured one by one.
      batch: of them, the pairs that take a step together for every loss.
      order_pairs: of them, the pairs whose order of error is measured.
      policy_steps: DPO steps on other pairs that lead from reference to policy.
      policy_step: size of each.
      steps: of the agreement between predicted and realised drift, the small one last.
        At 1e-4 responses move by up to two nats in a step, at 1e-5 by a tenth of that.
      order_error: relative error of the first order at the largest step of the test of
        its order: there higher orders count little.
      order_factors: of the test's steps to that one: three decades, above rounding.
      own_step: of the steps on single pairs: so small that only signs and ranks of the
        first order matter.
      sign_band: a predicted change counts as none below this share of its two terms.
      shown_losses: losses whose single tokens are kept for figures, of the first seed.
      shown_tokens: how many tokens of each kind.
      draws: of every bootstrap.
      longest_response: real pairs with a longer response are left out.
      real_length: T of real pairs; prompts are cut at their beginning.
      time_limit: seconds after which no further part is begun.
      quick_compile: let XLA optimise less; good for runs that mostly compile.
    """

    seeds: Sequence[int] = (0, 1, 2, 3, 4)
    kinds: Sequence[str] = (
        "edits", "suffix", "answers", "arithmetic", "hh", "blimp", "persona"
    )  # fmt: skip
    losses: Sequence[str] = field(default_factory=catalogue)
    some_losses: Sequence[str] = (
        "mle", "unlikelihood_token", "exmate", "dpo", "averaged_dpo", "dpop"
    )  # fmt: skip
    pairs: int = 32
    batch: int = 8
    order_pairs: int = 2
    policy_steps: int = 3
    policy_step: float = 3e-4
    steps: Sequence[float] = (1e-4, 1e-5)
    order_error: float = 0.03
    order_factors: Sequence[float] = tuple(10 ** (-0.6 * k) for k in range(6))
    own_step: float = 1e-6
    sign_band: float = 0.01
    shown_losses: Sequence[str] = SHOWN_LOSSES
    shown_tokens: int = 48
    draws: int = 10_000
    longest_response: int = 64
    real_length: int = 128
    time_limit: float = 1140.0
    quick_compile: bool = False
    source: Source = Source()
    runs: Runs = Runs()

    @classmethod
    def smoke(cls) -> "Config":
        """One seed of the synthetic kinds without runs: half a minute, no verdicts."""
        return cls(
            seeds=(0,),
            kinds=("edits", "answers"),
            losses=("mle", "unlikelihood_token", "dpo", "dpop"),
            some_losses=(),
            shown_losses=("mle", "dpo"),
            pairs=16,
            batch=4,
            order_pairs=2,
            order_factors=(1.0, 0.1, 0.01),
            draws=200,
            source=Source(
                letters=12, layers=1, model_width=16, heads=2, fit_updates=30, answers=4
            ),
            runs=Runs(ledger_steps=0, subset_steps=0, curve_steps=0),
            quick_compile=True,
        )

    def losses_with_kinks(self) -> list[str]:
        """Those of the study's losses whose token weights jump somewhere."""
        return [label for label in self.losses if label.partition("(")[0] in KINKED]
