"""How much faster, and in how much memory, than the plain ways?

All sides of a case run in one process, in alternation; what they compute is compared
first. Compilation is timed apart. Peak memory is that of one call in a fresh process.
The sides are described in the module of each part: `analyses.speed.parts`.

Rows of the table, by metric:

    seconds                     of the work of one call; one row per round
    speedup, _low, _high        seconds of this side over those of gradlab: median,
                                minimum and maximum over rounds
    compile_seconds             of one compilation (JAX only)
    peak_mib                    most memory that a call adds, in a process of its own
    xla_temp_mib                temporary memory that XLA planned (JAX only)
    peak_mib_growth, xla_temp_mib_growth
                                the same over that of the part's smallest size
    difference                  from gradlab's numbers, of the largest value; for
                                token_weights of gradlab from the closed forms
    skipped                     1: the side needs PyTorch, which isn't installed; the
                                manifest says so too
    parameters, sequences, tokens_drawn, microbatch, losses, vocab_size
                                facts of the case
"""

import importlib.util
import math
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import jax
import pandas as pd

from analyses.speed.config import DTYPE, Config
from analyses.speed.memory import fresh_peak
from analyses.speed.parts import PARTS
from analyses.speed.programs import OURS, TORCH, Case, Program
from gradlab.tables import StudyResult, select

STUDY = "speed"
KEYS = ["part", "setting", "size", "method", "device", "round"]
SPEEDUPS = {"speedup": "median", "speedup_low": "min", "speedup_high": "max"}
GROWING = ("peak_mib", "xla_temp_mib")


def run(config: Config) -> StudyResult:
    """Measures all parts; see the module's docstring.

    Returns:
      The table in long format, with columns study, loss, seed, step, side, part,
      setting, size (tokens, pairs or positions), method, device, round, metric, value;
      absent keys are missing. And what the manifest says of numbers and of PyTorch.

    Raises:
      GradlabError: two sides don't compute the same numbers.
    """
    # Else JAX takes most of a GPU's memory at its start, and PyTorch finds none.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    rows = [
        row | {"seed": seed}
        for seed in config.seeds
        for cases in PARTS.values()
        for case in cases(config, seed)
        for row in _measured(case, config, seed)
    ]
    table = pd.DataFrame(rows)
    table = pd.concat([table, *_speedups(table), *_growths(table)], ignore_index=True)
    table = table.assign(study=STUDY, step=0, side="")
    columns = ["study", "loss", "seed", "step", "side", *KEYS, "metric", "value"]
    table = table.reindex(columns=columns).astype({"size": "Int64", "round": "Int64"})
    return StudyResult(table, manifest={"dtype": DTYPE, "pytorch": _pytorch()})


def torch_found() -> bool:
    """Whether PyTorch is installed."""
    return importlib.util.find_spec("torch") is not None


def _pytorch() -> str:
    if not torch_found():
        return "not installed: its sides were skipped"
    from analyses.speed.torch_side import description

    return description()


def _measured(case: Case, config: Config, seed: int) -> Iterator[dict]:
    """All rows of one case."""
    key = {"part": case.part, "setting": case.setting, "size": case.size}
    key |= {"loss": case.loss}
    for metric, value in case.facts.items():
        yield key | {"metric": metric, "value": float(value)}
    programs = {}
    for name, build in case.sides.items():
        if name.startswith(TORCH) and not torch_found():
            yield key | {"method": name, "metric": "skipped", "value": 1.0}
        else:
            programs[name] = build()
    for name, metric, number, value in _numbers(case, programs, config, seed):
        row = {"method": name, "device": programs[name].device, "round": number}
        yield key | row | {"metric": metric, "value": value}


def _numbers(case: Case, programs: dict[str, Program], config: Config, seed: int):
    """(side, metric, round or None, value) of one case."""
    results = {name: program.numbers() for name, program in programs.items()}
    for name, gap in case.check(results).items():
        yield name, "difference", None, gap
    del results  # large
    for name, program in programs.items():
        if program.compile_seconds is not None:
            yield name, "compile_seconds", None, program.compile_seconds
        if program.temp_mib is not None:
            yield name, "xla_temp_mib", None, program.temp_mib
    for number, name, seconds in alternate(programs, config):
        yield name, "seconds", number, seconds
    if config.measure_peaks and case.weigh_memory:
        key = (case.part, case.setting, case.size)
        with ThreadPoolExecutor() as pool:  # memory doesn't mind company, as time does
            measure = partial(fresh_peak, config, seed, key)
            for name, peak in zip(programs, pool.map(measure, programs), strict=True):
                if not math.isnan(peak):
                    yield name, "peak_mib", None, peak


def alternate(
    programs: dict[str, Program], config: Config
) -> Iterator[tuple[int, str, float]]:
    """Times warm programs in turns.

    Yields:
      (round, side, seconds of the whole work). The order is reversed in every other
      round, so that a drift of the machine cancels.
    """
    calls = {}
    for name, program in programs.items():
        once = _seconds(program, 1)
        calls[name] = max(1, math.ceil(config.least_seconds / once / program.share))
    for number in range(config.rounds):
        names = list(programs)
        for name in names if number % 2 == 0 else reversed(names):
            yield number, name, _seconds(programs[name], calls[name])


def _seconds(program: Program, calls: int) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        jax.block_until_ready(program.call())
    return (time.perf_counter() - started) / calls / program.share


def _speedups(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Each side's seconds over ours in the same round, summed up over rounds."""
    case = ["seed", "part", "setting", "size", "loss"]
    seconds = select(table, metric="seconds")
    ours = select(seconds, method=OURS).set_index([*case, "round"])["value"]
    theirs = seconds[seconds["method"] != OURS].set_index([*case, "round"])
    ratios = theirs.assign(value=theirs["value"] / ours.reindex(theirs.index))
    by_side = ratios.groupby([*case, "method", "device"], sort=False)["value"]
    for metric, statistic in SPEEDUPS.items():
        yield by_side.agg(statistic).reset_index().assign(metric=metric)


def _growths(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Memory over that of the smallest size of the same part, setting and side."""
    for metric in GROWING:
        rows = select(table, metric=metric).sort_values("size", kind="stable")
        case = ["seed", "part", "setting", "method"]
        first = rows.groupby(case, sort=False)["value"].transform("first")
        # XLA may plan no temporary memory at all: 0 / 0 is left out.
        grown = rows.assign(value=rows["value"] / first, metric=f"{metric}_growth")
        yield grown.dropna(subset="value")
