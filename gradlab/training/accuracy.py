"""How many arithmetic problems a model solves, judged by the exact checker."""

from collections.abc import Hashable, Sequence
from typing import Any

from scipy import stats

from gradlab.data.arithmetic import check, solution
from gradlab.data.stories import Problem
from gradlab.data.tokenizer import Tokenizer
from gradlab.errors import DataError
from gradlab.models.functional import LanguageModel
from gradlab.training.generate import generate
from gradlab.types import Params

SPARE = 8  # tokens that a text may be longer than the longest true solution


def encode_problems(
    problems: Sequence[Problem], tokenizer: Tokenizer
) -> tuple[list[list[int]], list[list[int]]]:
    """Ids of the prompts, with BOS, and of the true solutions, with EOS.

    Raises:
      DataError: the tokenizer lacks BOS or EOS.
    """
    bos, eos = tokenizer.bos_id, tokenizer.eos_id
    if bos is None or eos is None:
        raise DataError(
            f"{tokenizer.source}: found BOS {bos} and EOS {eos}, expected ids for both"
        )
    prompts = tokenizer.encode_batch([problem.prompt for problem in problems])
    answers = tokenizer.encode_batch([solution(problem) for problem in problems])
    return [[bos, *ids] for ids in prompts], [[*ids, eos] for ids in answers]


def solved(
    model: LanguageModel,
    params: Params,
    tokenizer: Tokenizer,
    problems: Sequence[Problem],
    *,
    batch_size: int = 64,
) -> dict[str, Any]:
    """Shares of problems solved by greedy decoding, with Wilson's 95 % intervals.

    Args:
      model: and `params`: who is to solve them.
      params: of the model.
      tokenizer: of the model.
      problems: at least one.
      batch_size: problems decoded together.

    Returns:
      `answer_right` (the final answer), `all_right` (every step too), and
      `answer_right_by_steps` and `answer_right_by_style`, each share as `share` gives.
    """
    prompts, answers = encode_problems(problems, tokenizer)
    rows = generate(
        model,
        params,
        prompts,
        max_new_tokens=max(map(len, answers)) + SPARE,
        eos_id=tokenizer.eos_id,
        batch_size=batch_size,
    )
    texts = [tokenizer.decode(row, skip_special=True) for row in rows]
    verdicts = [check(text, p) for text, p in zip(texts, problems, strict=True)]
    right = [verdict.answer_right for verdict in verdicts]
    return {
        "answer_right": share(right),
        "all_right": share([v.answer_right and v.steps_right for v in verdicts]),
        "answer_right_by_steps": _by([len(p.steps) for p in problems], right),
        "answer_right_by_style": _by([p.style for p in problems], right),
    }


def share(hits: Sequence[bool]) -> dict[str, Any]:
    """The share of hits, Wilson's 95 % interval, and the counts behind it.

    Example:
      >>> share([True, True, True, False])["interval_95"]
      [0.3006, 0.9544]
    """
    low, high = stats.binomtest(sum(hits), len(hits)).proportion_ci(0.95, "wilson")
    return {
        "share": round(sum(hits) / len(hits), 4),
        "interval_95": [round(float(low), 4), round(float(high), 4)],
        "right": sum(hits),
        "of": len(hits),
    }


def _by(groups: Sequence[Hashable], hits: Sequence[bool]) -> dict[str, Any]:
    found: dict[str, list[bool]] = {}
    for group, hit in zip(groups, hits, strict=True):
        found.setdefault(str(group), []).append(hit)
    return {group: share(found[group]) for group in sorted(found)}
