"""Which tokens does each loss push, how hard and which way?

Two parts, one table. Measured: the losses on word problems with one wrong step, under
the embedded model as policy and reference (step 0 of training); masses and shares per
seed, and every token of a few pairs. Exact: single-token settings in float64, in which
the form of a loss shows by itself, namely its weight against the bad token's
probability, against length, on a shared token, and on the logits at the first
difference.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from rich.console import Console

from gradlab.comparison.config import DEFAULT_LOSSES, CompareConfig
from gradlab.comparison.frames import regions_of, summary_frame, token_frame, with_loss
from gradlab.comparison.weighing import weigh
from gradlab.gradients import token_weights
from gradlab.inputs.loading import load_inputs
from gradlab.inputs.scoring import score_pairs
from gradlab.losses import resolve
from gradlab.losses.resolve import split_outside
from gradlab.types import PairLogps

STUDY = "gradient_comparison"
KEYS = ["pair", "side", "position", "token", "region", "p", "length"]


@dataclass(frozen=True)
class Config:
    """Settings of the study.

    Attributes:
      seeds: one draw of problems each.
      pairs: problems per seed.
      examples: pairs of the first seed whose tokens are kept.
      losses: of the measured part.
      exact_losses: of the single-token settings, by label.
      probabilities: grid of the bad or shared token's probability.
      lengths: grid of response lengths.
      logp_per_token: log-probability of every token while the length grows, in nats.
      reference_p: the reference's probability of the bad token; the chosen token's
        log-ratio is 0.
      fork: probabilities of the good, the bad and the most likely third token at the
        first difference.
    """

    seeds: Sequence[int] = (0, 1, 2, 3, 4)
    pairs: int = 200
    examples: int = 3
    losses: Sequence[str] = tuple(split_outside(DEFAULT_LOSSES, ","))
    exact_losses: Mapping[str, str] = field(
        default_factory=lambda: {
            "mle": "mle",
            "unlikelihood_token": "unlikelihood_token",
            "exmate (token)": "exmate(reduction=token, lam=1)",
            "exmate (sum)": "exmate(reduction=sum, lam=1)",
            "exmate (mean)": "exmate(reduction=mean, lam=1)",
            "dpo": "dpo",
            "averaged_dpo": "averaged_dpo(beta=0.1)",
        }
    )
    probabilities: Sequence[float] = tuple(
        1 / (1 + np.exp(-np.linspace(-9, 9, 61))).round(12)
    )
    lengths: Sequence[int] = (1, 2, 4, 8, 16, 32, 64, 128)
    logp_per_token: float = -0.5
    reference_p: float = 0.1
    fork: tuple[float, float, float] = (0.25, 0.2, 0.4)

    @classmethod
    def smoke(cls) -> "Config":
        """A size that shows in seconds that everything runs."""
        return cls(
            seeds=(0,),
            pairs=8,
            examples=1,
            losses=("mle", "dpo"),
            probabilities=(0.1, 0.5, 0.9),
            lengths=(1, 8),
        )


def run(config: Config) -> pd.DataFrame:
    """The study's table in long format.

    Returns:
      Columns study, loss, seed, step, pair, side, position, token, region, p, length,
      metric, value; keys that a row doesn't have are missing.
    """
    parts = [_measured(config, seed) for seed in config.seeds]
    with jax.enable_x64(True):
        exact = pd.DataFrame([row for f in EXACT for row in f(config)])
    parts.append(exact.assign(seed=config.seeds[0]))
    table = pd.concat(parts, ignore_index=True).assign(study=STUDY, step=0)
    table = table.reindex(
        columns=["study", "loss", "seed", "step", *KEYS, "metric", "value"]
    )
    return table.astype({k: "Int64" for k in ("pair", "position", "length")})


def _measured(config: Config, seed: int) -> pd.DataFrame:
    inputs = load_inputs(
        CompareConfig(limit=config.pairs, seed=seed), Console(quiet=True)
    )
    scored = score_pairs(inputs.policy, inputs.pairs)
    weighed = weigh(scored, [resolve(spec) for spec in config.losses], seed=seed)
    regions = regions_of(scored)
    summary = summary_frame(scored, regions, weighed)
    summary = summary.drop(columns="coupled").rename(columns={"value": "loss_value"})
    summary = summary.melt("loss", var_name="metric")
    parts = [summary.dropna(subset="value")]
    if seed == config.seeds[0]:
        tokens = token_frame(scored, regions, inputs.tokenizer.token_texts)
        shown = tokens["pair"].isin(_examples(tokens, config.examples))
        labels = [weights.loss.label for weights in weighed]
        columns = ["weight", "logit_grad_norm", "logp"]
        for weights in weighed:
            rows = with_loss(tokens, scored, weights, labels)[shown]
            keys = ["loss", "pair", "side", "position", "token", "region"]
            parts.append(rows.melt(keys, columns, var_name="metric"))
    return pd.concat(parts, ignore_index=True).assign(seed=seed)


def _examples(tokens: pd.DataFrame, count: int) -> list[int]:
    """The pairs of median length and those next to it."""
    lengths = np.bincount(tokens["pair"])
    by_length = np.argsort(lengths, kind="stable")
    middle = max(0, len(lengths) // 2 - count // 2)
    return by_length[middle : middle + count].tolist()


def _single(chosen, rejected, **fields) -> PairLogps:
    """One-row batch whose reference equals the policy, unless fields say otherwise."""
    one, two = (jnp.asarray([side], float) for side in (chosen, rejected))
    pairs = PairLogps(one, two, jnp.ones(one.shape), jnp.ones(two.shape), one, two)
    return replace(pairs, **{k: jnp.asarray([v], float) for k, v in fields.items()})


def penalty_weights(config: Config) -> Iterator[dict]:
    """dL/dlogp of a bad token against its probability, both responses one token."""
    ref = np.log(config.reference_p)
    for label, spec in config.exact_losses.items():
        for p in config.probabilities:
            pairs = _single([-0.7], [np.log(p)], ref_rejected=[ref])
            value = float(token_weights(spec, pairs).rejected[0, 0])
            yield _row(label, "penalty_weight", value, p=p)


def weights_by_length(config: Config) -> Iterator[dict]:
    """Summed weight on a rejected response of T tokens, beside a chosen one of T."""
    for label, spec in config.exact_losses.items():
        for length in config.lengths:
            logps = np.full(length, config.logp_per_token)
            weights = token_weights(spec, _single(logps, logps)).rejected
            value = float(jnp.sum(weights))
            yield _row(label, "weight_by_length", value, length=length)


def prefix_net_weights(config: Config) -> Iterator[dict]:
    """Net weight of one shared token; the chosen response is one token longer."""
    for label, spec in config.exact_losses.items():
        for p in config.probabilities:
            shared = np.log(p)
            pairs = _single([shared, -0.7, -0.7], [shared, -1.2])
            weights = token_weights(spec, pairs)
            value = float(weights.chosen[0, 0] + weights.rejected[0, 0])
            yield _row(label, "prefix_net_weight", value, p=p)


def logit_gradients(config: Config) -> Iterator[dict]:
    """dL/dlogit at the first difference: good, bad, likeliest third token, the rest."""
    good, bad, third = config.fork
    rest = 1 - good - bad - third
    for label, spec in config.exact_losses.items():
        weights = token_weights(spec, _single([np.log(good)], [np.log(bad)]))
        w_good, w_bad = float(weights.chosen[0, 0]), float(weights.rejected[0, 0])
        net = w_good + w_bad
        gradient = {
            "good": w_good - net * good,
            "bad": w_bad - net * bad,
            "third": -net * third,
            "rest": -net * rest,
        }
        for role, value in gradient.items():
            yield _row(label, "logit_gradient", value, region=role)


EXACT = (penalty_weights, weights_by_length, prefix_net_weights, logit_gradients)


def _row(label: str, metric: str, value: float, **keys) -> dict:
    return {"loss": label, "metric": metric, "value": value, **keys}
