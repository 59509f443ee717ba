"""The settings that are trained, and what is measured of each policy."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.arrays import PairArrays
from analyses.common.record import OVER, Record
from analyses.common.rows import Row, row
from analyses.common.training import epochs
from analyses.length_sensitivity import task as lengths
from analyses.length_sensitivity import training
from analyses.length_sensitivity.config import Config
from gradlab.measures import length_r_squared
from gradlab.models import LanguageModel
from gradlab.types import Params

AVERAGED_IPO = "ipo(reduction=mean)"
MEAN_REWARD = ("averaged_dpo", AVERAGED_IPO)
LONG_READING = "averaged_dpo(reference_averaged=False)"
SUBSETS = ("chosen longer", "matched", "chosen shorter")
POOL = 4  # pairs to choose subsets from, over those of a run
QUARTILES = 4


@dataclass(frozen=True)
class Cell:
    """One setting, run under every seed.

    Attributes:
      loss: label.
      hyper: what is traced.
      kappa: of the annotator.
      beta: the strength before any factor.
      kind: of the strength: sum, avg or avg_matched.
      rate: over `Task.rate`.
      keys: further keys of its rows.
    """

    loss: str
    hyper: dict[str, float]
    kappa: float
    beta: float = float("nan")
    kind: str = "sum"
    rate: float = 1.0
    keys: dict[str, Any] = field(default_factory=dict)


def cells_of(config: Config) -> list[Cell]:
    """All settings; those of the comparison of DPO with averaged DPO first."""
    typical, first = config.task.typical, config.task.kappas[0]

    def path(loss, name, *, kind="sum", kappa=first, **given) -> list[Cell]:
        factor = typical if kind == "avg_matched" else 1.0
        return [
            Cell(loss, {name: factor * beta}, kappa, beta, kind, **given)
            for beta in config.betas
        ]

    def both(**given) -> list[Cell]:
        return [
            *path("dpo", "beta", **given),
            *path("averaged_dpo", "beta", kind="avg_matched", **given),
        ]

    found = []
    for rate in (1.0, *config.task.lower_rates):
        for kappa in config.task.kappas:
            found += both(kappa=kappa, rate=rate)
    if config.variants:
        found += _variants(config, path)
    if config.spread:
        done = config.task.matched_rates
        for rate in config.task.rate_factors:
            found += both(rate=rate) if rate not in done else []
    if config.subsets:
        found += [
            replace(cell, keys={"subset": kind})
            for kind in SUBSETS
            for cell in (
                Cell("dpo", {"beta": 0.1}, 0.0, 0.1),
                Cell("averaged_dpo", {"beta": 0.1 * typical}, 0.0, 0.1, "avg_matched"),
            )
        ]
    return found


def _variants(config: Config, path) -> list[Cell]:
    first = config.task.kappas[0]
    found = path("averaged_dpo", "beta", kind="avg")
    found += path("ipo", "tau")
    found += path(AVERAGED_IPO, "tau", kind="avg")
    found += path(AVERAGED_IPO, "tau", kind="avg_matched")
    for rate in (1.0, *config.task.lower_rates):
        found += path("simpo", "beta", kind="avg_matched", rate=rate)
        found += path("simpo_summed", "beta", rate=rate)
        found += path("sampo", "beta", rate=rate)
    for loss in ("rdpo", "wpo"):
        found += path(loss, "beta")
    found += path(LONG_READING, "beta", kind="avg_matched")
    for convention, given in (("both", ""), ("policy", "weight_reference=False")):
        found += [
            Cell(
                f"lddpo({given})" if given else "lddpo",
                {"beta": 0.1, "alpha": alpha}, first, 0.1,
                keys={"alpha_ld": alpha, "ref_convention": convention},
            )
            for alpha in config.alphas
        ]  # fmt: skip
    return [
        *found,
        Cell("sampo(shared_indices=False)", {"beta": 0.1}, first, 0.1),
        Cell("mle", {}, first),
    ]


@dataclass(frozen=True)
class Bench:
    """References and pairs of all seeds.

    Attributes:
      model: the decoder.
      references: of the seeds.
      config: of the study.
    """

    model: LanguageModel
    references: list[Params]
    config: Config

    def data(self, cell: Cell) -> list[PairArrays]:
        """The pairs of each seed that the setting trains on."""
        task, kind = self.config.task, cell.keys.get("subset")
        count = task.pairs * (POOL if kind else 1)
        made = [
            lengths.make_pairs(task, cell.kappa, seed, count)
            for seed in self.config.seeds
        ]
        if kind is None:
            return [pairs.arrays for pairs in made]
        return [lengths.subset(p, kind, task.subset, task.subset_gap) for p in made]

    @property
    def width(self) -> int:
        """R of the pairs."""
        return self.config.task.longest + 1


def make_bench(config: Config) -> Bench:
    """Fits a reference for every seed."""
    model, _ = lengths.model_of(config.task)
    fitted = [lengths.reference(config.task, seed) for seed in config.seeds]
    return Bench(model, fitted, config)


def train_cell(bench: Bench, cell: Cell, data: list[PairArrays]) -> list[Params]:
    """The policies of all seeds under one setting."""
    config, task = bench.config, bench.config.task
    params, stacked = (_stacked(x) for x in (bench.references, data))
    pairs = training.scored(bench.model, params, stacked, bench.width)
    orders = [
        epochs(len(some), task.steps, task.batch, np.random.default_rng([seed, 32]))
        for seed, some in zip(config.seeds, data, strict=True)
    ]
    trained = training.train(
        bench.model, params, stacked, pairs, jnp.asarray(np.stack(orders)),
        {name: jnp.float32(value) for name, value in cell.hyper.items()},
        jnp.float32(task.rate * cell.rate), jnp.asarray(config.seeds), loss=cell.loss,
        width=bench.width,
    )  # fmt: skip
    seeds = range(len(config.seeds))
    return [jax.tree.map(lambda leaf, k=k: leaf[k], trained) for k in seeds]


def _stacked(trees: list) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def keys_of(cell: Cell) -> dict[str, Any]:
    """The keys of a setting's rows."""
    rate = {"beta": cell.beta, "rate": cell.rate, "kappa": cell.kappa}
    return {
        "kind": "task", "loss": cell.loss, "beta_kind": cell.kind, **rate, **cell.keys
    }  # fmt: skip


def reference_rows(bench: Bench) -> Iterator[Row]:
    """Length and score of what the references write: the common end of all paths."""
    for seed, params in zip(bench.config.seeds, bench.references, strict=True):
        for kappa in bench.config.task.kappas:
            keys = {"kind": "task", "loss": "reference", "seed": seed, "kappa": kappa}
            yield from _sample_rows(bench, params, params, seed, kappa, keys)


def cell_rows(
    bench: Bench, cell: Cell, policies: list[Params], data: list[PairArrays]
) -> Iterator[Row]:
    """What the policies write, and what became of the pairs that they learnt from."""
    for number, seed in enumerate(bench.config.seeds):
        params, ref = policies[number], bench.references[number]
        keys = {**keys_of(cell), "seed": seed}
        yield from _sample_rows(bench, params, ref, seed, cell.kappa, keys)
        some = data[number]
        sums = [
            np.asarray(training.pair_sums(bench.model, p, some, bench.width))
            for p in (params, ref)
        ]
        yield from _data_rows(sums[0] - sums[1], some, keys)


def _sample_rows(bench: Bench, params, ref, seed: int, kappa: float, keys):
    task = bench.config.task
    drawn = training.sample(bench.model, params, task, seed)
    texts, made, done = map(np.asarray, drawn)
    found = training.divergence(bench.model, params, ref, drawn[0], drawn[1])
    ratio, exact = (np.asarray(x, float) for x in found)
    value, counts = training.qualities(texts, made, done)
    score = lengths.utility(task, value, counts, kappa)
    measured = {
        "gen_len": made.mean(),
        "quality": value.mean(),
        "score": np.mean(score),
        "trunc_share": 1 - done.mean(),
        "kl_seq": exact.mean(),
        "kl_plain": ratio.mean(),
        "kl_per_token": exact.mean() / made.mean(),
    }
    for metric, number in measured.items():
        yield row(metric, number, **keys)
    reward = _reward(keys["loss"], ratio, made)
    by_prompt = np.stack([reward, made.astype(float)], -1).reshape(task.symbols, -1, 2)
    yield row("r2_len", length_r_squared(by_prompt[None])[0], part="policy", **keys)


def _reward(loss: str, ratios: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """A loss's implicit reward: its sum of log-ratios, or their mean if it averages."""
    return ratios / counts if loss in MEAN_REWARD else ratios


def _data_rows(ratios: np.ndarray, some: PairArrays, keys) -> Iterator[Row]:
    """R² of the implicit reward on length, and drift by quartile of length."""
    counts = np.stack([some.chosen_length, some.rejected_length]).astype(float)
    rewards = _reward(keys["loss"], ratios, counts)
    values = np.stack([rewards, counts], -1).swapaxes(0, 1)
    yield row("r2_len", length_r_squared(values[None])[0], part="data", **keys)
    yield row("accuracy", (ratios[0] > ratios[1]).mean(), **keys)
    for side, drift, length in zip(("chosen", "rejected"), ratios, counts, strict=True):
        edges = np.quantile(length, np.linspace(0, 1, QUARTILES + 1)[1:-1])
        part = np.searchsorted(edges, length, side="left")
        for quartile in np.unique(part):
            own = part == quartile
            shared = {"side": side, "quartile": int(quartile), **keys}
            yield row("drift_sum", drift[own].mean(), **shared)
            yield row("drift_token", (drift[own] / length[own]).mean(), **shared)
            yield row("length", length[own].mean(), **shared)


def run_cells(bench: Bench, record: Record) -> Iterator[tuple[Cell, list, list]]:
    """Trains and measures the settings in turn; yields each with policies and pairs."""
    for cell in cells_of(bench.config):
        name = (
            f"{cell.loss}, {cell.kind} {cell.beta:g}, rate {cell.rate:g}, "
            f"kappa {cell.kappa:g}"
        )
        if time.monotonic() - record.started > record.time_limit:
            record.skipped[name] = OVER
            continue
        data = bench.data(cell)
        policies = train_cell(bench, cell, data)
        record.rows.extend(cell_rows(bench, cell, policies, data))
        yield cell, policies, data
        record.say(name)
