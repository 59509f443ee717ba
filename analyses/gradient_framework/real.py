"""Short runs of stories260K on real pairs, and the losses' weights at their start.

hh: helpful answers, preferred and not. chatterbot: a response to a prompt, and a
response to another prompt of the same topic (a cross pair; by chance it may fit too).
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from analyses.common.arrays import PairArrays, make_arrays
from analyses.common.rows import Row, row
from analyses.common.training import epochs
from analyses.gradient_framework.config import Config
from analyses.gradient_framework.evaluation import distinct, likelihoods, scalar
from analyses.gradient_framework.runs import Runner
from analyses.gradient_framework.scene import stacked
from gradlab.data import TokenizedPair, load_tokenizer, read_pairs, tokenize_pairs
from gradlab.data.sources import file_digest
from gradlab.gradients import token_weights
from gradlab.models import load_model
from gradlab.training.generate import generate
from gradlab.types import PairLogps, Params

STORIES = "models/stories260K"
SHORTEST = 4


@dataclass(frozen=True)
class RealKind:
    """Where pairs come from and how long they may be.

    Attributes:
      file: in the data folder.
      length: T; prompts are cut at their beginning.
      width: R; pairs with a longer response are left out.
    """

    file: str
    length: int
    width: int


KINDS = {
    "hh": RealKind("hh_helpful_base_test.jsonl", 112, 48),
    "chatterbot": RealKind("one_to_many/chatterbot_one_to_many.jsonl", 64, 40),
}


def missing(config: Config, data: Path | None) -> dict[str, str]:
    """Kind -> why it can't be measured here."""
    found = {}
    for name, kind in KINDS.items() if config.real_losses else ():
        names = [kind.file, STORIES]
        absent = [part for part in names if data is None or not (data / part).exists()]
        if absent:
            found[name] = f"optional data absent: {', '.join(absent)}"
    return found


def digests(config: Config, data: Path | None) -> dict[str, str]:
    """File -> SHA-256 of the optional data that the study reads."""
    if data is None or not config.real_losses:
        return {}
    absent = missing(config, data)
    files = [kind.file for name, kind in KINDS.items() if name not in absent]
    return {file: file_digest(data / file) for file in files}


def real_rows(config: Config, name: str, data: Path) -> Iterator[Row]:
    """Weights at the start, and held-out likelihoods after every loss's run."""
    kind = KINDS[name]
    model, start = load_model(data / STORIES)
    train, held = _split(config, name, data)
    seeds = len(config.seeds)
    params = jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf, (seeds, *leaf.shape)).astype(jnp.float32),
        start,
    )
    runner = Runner(model, kind.width, tuple(config.real_losses))
    order = np.stack(
        [
            epochs(
                config.real_pairs, config.real_steps, config.real_batch,
                np.random.default_rng([seed, 41]),
            )
            for seed in config.seeds
        ]
    )  # fmt: skip
    keys = {"kind": name, "model": "stories260K"}
    yield from _weight_rows(config, runner, params, train, keys)
    given = {**keys, "loss": "start", "step": 0}
    yield from _rows(config, runner, params, held, given)
    for loss in config.real_losses:
        *_, ended = runner.run(
            loss, params, train, order, config.real_rate, segment=config.real_steps
        )
        given = {"loss": loss, "step": config.real_steps, "matching": "rate", **keys}
        yield from _rows(config, runner, ended, held, {**given, "schedule": "joint"})


def _rows(config: Config, runner: Runner, params: Params, held, keys) -> Iterator[Row]:
    found = {
        **likelihoods(runner, params, held),
        **_diversity(config, runner, params, held),
    }
    for metric, values in scalar(found):
        for seed, value in zip(config.seeds, values, strict=True):
            yield row(metric, value, seed=seed, **keys)


def _diversity(
    config: Config, runner: Runner, params: Params, held: PairArrays
) -> dict[str, np.ndarray]:
    """distinct1, distinct2: [S], over samples of the first held-out prompts."""
    drawn = []
    for place, seed in enumerate(config.seeds):
        rows = zip(held.chosen[place], held.start[place], strict=True)
        prompts = [tokens[:start].tolist() for tokens, start in rows]
        prompts = prompts[: config.real_sampled]
        texts = generate(
            runner.model,
            jax.tree.map(lambda leaf, i=place: leaf[i], params),
            [prompt for prompt in prompts for _ in range(config.samples)],
            max_new_tokens=config.real_tokens,
            temperature=1.0,
            key=jax.random.key(seed),
            batch_size=config.real_sampled * config.samples,
        )
        shape = (len(prompts), config.samples, config.real_tokens)
        drawn.append(np.array(texts).reshape(shape))
    return {
        f"distinct{n}": np.array(
            [distinct(part, config.real_tokens, n) for part in drawn]
        )
        for n in (1, 2)
    }


def _weight_rows(config: Config, runner: Runner, params, train, keys) -> Iterator[Row]:
    """w_good, w_bad: mean over pairs of summed |w|; rho_contrast: their ratio."""
    chosen, rejected = runner.logps(params, train)
    for place, seed in enumerate(config.seeds):
        data = jax.tree.map(lambda leaf, i=place: leaf[i], train)
        masks = data.mask(chosen.shape[-1])
        sides = jnp.asarray(chosen[place]), jnp.asarray(rejected[place])
        pairs = PairLogps(*sides, masks[0], masks[1], *sides)
        for loss in config.real_losses:
            found = token_weights(loss, pairs)
            good, bad = (
                float(jnp.abs(side).sum(-1).mean())
                for side in (found.chosen, found.rejected)
            )
            given = {"loss": loss, "seed": seed, "step": 0, **keys}
            yield row("w_good", good, **given)
            yield row("w_bad", bad, **given)
            yield row("rho_contrast", bad / good, **given)


def _split(config: Config, name: str, data: Path) -> tuple[PairArrays, PairArrays]:
    """Training and held-out pairs of every seed, none in both.

    Prompts differ too, but for three of chatterbot's, which stand under two topics.
    """
    kind, count = KINDS[name], config.real_pairs + config.real_held
    train, held = [], []
    for seed in config.seeds:
        rng = np.random.default_rng([seed, 40])
        pairs = _pairs(name, data, rng.integers(2**31) if name == "chatterbot" else 0)
        order = rng.permutation(len(pairs))[:count]
        arrays = make_arrays([pairs[i] for i in order], kind.length)
        arrays = jax.tree.map(np.asarray, arrays)
        train.append(arrays.take(slice(config.real_pairs)))
        held.append(arrays.take(slice(config.real_pairs, None)))
    return stacked(train), stacked(held)


@lru_cache
def _pairs(name: str, data: Path, draw: int) -> list[TokenizedPair]:
    """Pairs that fit; `draw` seeds the cross pairs of chatterbot."""
    kind = KINDS[name]
    source = data / kind.file
    given = source if name == "hh" else cross_pairs(_lines(source), draw)
    found = tokenize_pairs(
        read_pairs(given), load_tokenizer(data / STORIES), max_length=kind.length,
        append_eos=False,
    )  # fmt: skip
    return [
        pair
        for pair in found
        if max(len(pair.chosen), len(pair.rejected)) <= kind.width
        and not pair.chosen_dropped + pair.rejected_dropped
    ]


def _lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def cross_pairs(rows: Sequence[dict], draw: int) -> list[dict[str, str]]:
    """One pair per prompt: one of its responses, and one of a prompt of the same topic.

    Args:
      rows: `topic`, `prompt`, `responses`; texts of under `SHORTEST` letters are left
        out (the corpus holds words that fell apart into letters).
      draw: seed.
    """
    rng = np.random.default_rng(draw)
    responses: dict[str, dict[str, list[str]]] = {}  # topic -> prompt -> texts
    for line in rows:
        texts = [text for text in line["responses"] if len(text) >= SHORTEST]
        if texts and len(line["prompt"]) >= SHORTEST:
            known = responses.setdefault(line["topic"], {})
            known.setdefault(line["prompt"], []).extend(texts)
    pairs = []
    for topic in responses.values():
        for prompt, own in topic.items():
            others = [x for texts in topic.values() for x in texts if x not in own]
            if others:
                good = own[int(rng.integers(len(own)))]
                bad = others[int(rng.integers(len(others)))]
                pair = {"chosen": f" {good}", "rejected": f" {bad}"}
                pairs.append({"prompt": prompt, **pair})
    return pairs
