"""What `gradlab rank` does: read, ask, rank, write, say what it cost."""

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from gradlab.data.badrows import summarise
from gradlab.data.ranking import (
    Backoff,
    EndpointJudge,
    Judge,
    Judgements,
    Plan,
    RankedPrompts,
    preference_pair,
    rank_prompts,
    read_completions,
    scheme,
)
from gradlab.data.ranking.completions import CompletionFile
from gradlab.disk import only_writer
from gradlab.errors import DataError, GradlabError
from gradlab.inputs.config import check_seed
from gradlab.inputs.progress import counting
from gradlab.rank.config import RankConfig
from gradlab.rank.judges import NEEDS, chosen_judge, judge_kind
from gradlab.tables import build_manifest, stage, write_manifest

ENDPOINT_WORKERS = 8


@dataclass(frozen=True)
class Outcome:
    """The result of one ranking.

    Attributes:
      pairs: rows with `prompt`, `chosen` and `rejected`.
      left_out: prompts without a pair, by reason.
      cost: see `gradlab.data.ranking.judgements.Cost`.
      files: what lies on the disk: pairs, manifest, judgements.
    """

    pairs: list[dict[str, str]]
    left_out: dict[str, int]
    cost: dict
    files: tuple[Path, Path, Path]


def rank(config: RankConfig) -> Outcome:
    """Rank completions and write preference pairs.

    Raises:
      GradlabError: any refused input, or a judge that fails. Judgements that were made
        are kept; of the other files none is there or changed.
    """
    check_seed(config.seed)
    with only_writer(config.out.parent, config.out.name):
        return _rank(config)


def _rank(config: RankConfig) -> Outcome:
    started = time.monotonic()
    console = Console(stderr=True)
    files = _files(config)
    kind = judge_kind(config)
    read = read_completions(
        config.completions,
        needs=NEEDS.get(kind, ()),
        limit=config.limit,
        on_bad_row=config.on_bad_row,
    )
    strategy = scheme(config.strategy, rounds=config.rounds)
    plan = Plan(strategy, config.orders, config.seed)
    judge = chosen_judge(config, read.rows, console)
    with Judgements(files[2], judge.identity) as judgements:
        found = _ranked(config, read, judge, judgements, plan, console)
        cost = judgements.cost.as_dict()
    pairs = [
        pair
        for one in found.ranked
        if (pair := preference_pair(one, rejected=config.rejected, seed=config.seed))
    ]
    left_out = _left_out(read, found, len(found.ranked) - len(pairs))
    outcome = Outcome(pairs, left_out, cost, files)
    _require_pairs(outcome, found)
    _write(config, outcome, read, found, judge, time.monotonic() - started)
    _report(console, outcome, found)
    return outcome


def _files(config: RankConfig) -> tuple[Path, Path, Path]:
    """Pairs, manifest and judgements; an earlier result is replaced only on request."""
    out, stem = config.out, config.out.stem
    if out.exists() and not config.overwrite:
        raise GradlabError(
            f"--out {out} is there already; expected a new file (--overwrite replaces "
            "pairs and manifest, and keeps the judgements)"
        )
    manifest = out.with_name(f"{stem}.manifest.json")
    judgements = config.judgements or out.with_name(f"{stem}.judgements.jsonl")
    files = (out, manifest, judgements)
    places = {path.resolve() for path in (*files, config.completions)}
    if len(places) < 4 or out.is_dir():
        raise GradlabError(
            f"--out {out}: expected a file other than completions and judgements"
        )
    return files


def _ranked(
    config: RankConfig,
    read: CompletionFile,
    judge: Judge,
    judgements: Judgements,
    plan: Plan,
    console: Console,
) -> RankedPrompts:
    if len(judgements):
        _say(console, f"{len(judgements)} judgements found in {judgements.path}")
    workers = ENDPOINT_WORKERS if isinstance(judge, EndpointJudge) else 1
    workers = workers if config.workers is None else config.workers
    most = sum(map(plan.most, read.rows))
    total = most if config.max_calls is None else min(most, config.max_calls)
    with counting(console, "judging", total, unit="questions") as progress:
        return rank_prompts(
            read.rows,
            judge,
            judgements,
            plan,
            workers=workers,
            max_calls=config.max_calls,
            max_failures=config.max_failures,
            backoff=Backoff(retries=config.retries, seed=config.seed),
            progress=progress,
        )


def _left_out(read: CompletionFile, found: RankedPrompts, tied: int) -> dict[str, int]:
    """Prompts without a pair, by reason."""
    counts = Counter(read.skipped)
    counts["no answer from the judge"] = len(found.unanswered)
    counts["none below the best"] = tied
    counts["over budget"] = found.over_budget
    return {reason: count for reason, count in counts.items() if count}


def _require_pairs(outcome: Outcome, found: RankedPrompts) -> None:
    if outcome.pairs:
        return
    why = "".join(f"; {why}" for why in list(found.unanswered.values())[:1])
    raise DataError(f"no pair: {summarise(outcome.left_out)}{why}")


def _write(
    config: RankConfig,
    outcome: Outcome,
    read: CompletionFile,
    found: RankedPrompts,
    judge: Judge,
    seconds: float,
) -> None:
    pairs, manifest, judgements = outcome.files
    entries = build_manifest(
        config=config,
        seed=config.seed,
        data_digest=read.digest,
        wall_seconds=round(seconds, 2),
        command="gradlab rank",
        judge=judge.identity,
        judgements=str(judgements),
        cost={"questions": found.questions, **outcome.cost},
        pairs=len(outcome.pairs),
        left_out=outcome.left_out,
        unanswered=found.unanswered,
        repeated_completions=read.repeated,
    )
    with stage(pairs.parent) as partial:
        _write_rows(partial / pairs.name, outcome.pairs)
        write_manifest(entries, partial / manifest.name)


def _write_rows(path: Path, rows: Sequence[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _report(console: Console, outcome: Outcome, found: RankedPrompts) -> None:
    cost = outcome.cost
    left_out = f"; {summarise(outcome.left_out)}" if outcome.left_out else ""
    _say(console, f"{len(outcome.pairs)} pairs{left_out}")
    _say(
        console,
        f"{found.questions} questions; {cost['judgements']} judgements in "
        f"{cost['attempts']} attempts, {cost['prompt_tokens']} tokens read and "
        f"{cost['completion_tokens']} written, earlier runs included",
    )
    for reason, count in cost["unanswered"].items():
        _say(console, f"  {count} attempts failed: {reason}")
    for row, why in list(found.unanswered.items())[:5]:
        _say(console, f"  line {row} has no pair: {why}")
    for path in outcome.files:
        _say(console, f"Wrote {path}")


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
