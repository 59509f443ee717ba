"""The judge that the settings name."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from itertools import chain

from rich.console import Console

from gradlab.data.ranking import (
    Completions,
    EndpointJudge,
    FunctionJudge,
    Judge,
    UtilityJudge,
    checked_solutions,
    given_scores,
)
from gradlab.data.ranking.endpoint import TEMPLATE, read_key
from gradlab.data.ranking.judges import Utilities
from gradlab.errors import JudgeError
from gradlab.rank.config import RankConfig

LIKELIHOODS = ("likelihood", "mean_likelihood")
_NOISE = ("noise", "order_bias", "tie_threshold")
_ENDPOINT = ("judge_key_env", "judge_prompt", "judge_options", "judge_timeout")
_MODEL = ("tokenizer", "batch_size")
# kind of judge -> the settings that are its own
SETTINGS: dict[str, tuple[str, ...]] = {
    "checker": _NOISE,
    "scores": _NOISE,
    "likelihood": (*_NOISE, "judge_model", *_MODEL),
    "function": (),
    "endpoint": ("judge_model", *_ENDPOINT),
}
NEEDS = {"checker": ("solution",), "scores": ("scores",)}


def judge_kind(config: RankConfig) -> str:
    """Which of `SETTINGS` is meant; settings of another kind are refused.

    Raises:
      JudgeError: no such judge, or a setting that it wouldn't read.
    """
    name = config.judge
    if name.startswith(("http://", "https://")):
        kind = "endpoint"
    elif name in LIKELIHOODS:
        kind = "likelihood"
    elif name in SETTINGS and name != "function":
        kind = name
    elif ":" in name:
        kind = "function"
    else:
        raise JudgeError(
            f"--judge {name}: expected checker, scores, likelihood, mean_likelihood, "
            "module:function, or the base URL of an endpoint"
        )
    defaults = {field.name: field.default for field in fields(config)}
    for other in dict.fromkeys(chain(*SETTINGS.values())):
        if other not in SETTINGS[kind] and getattr(config, other) != defaults[other]:
            option = other.replace("_", "-")
            raise JudgeError(f"--{option} is no setting of the judge '{kind}'")
    return kind


def chosen_judge(
    config: RankConfig, items: Sequence[Completions], console: Console
) -> Judge:
    """The judge, ready to be asked about these prompts.

    Raises:
      GradlabError: it can't be used as the settings have it.
    """
    kind = judge_kind(config)
    if kind == "endpoint":
        return _endpoint(config)
    if kind == "function":
        return FunctionJudge(config.judge)
    noise = {key: getattr(config, key) for key in _NOISE}
    name, utilities = config.judge, given_scores
    if kind == "checker":
        solved = {item.row: checked_solutions(item) for item in items}
        utilities = _by_row(solved)
    if kind == "likelihood":
        from gradlab.rank.likelihood import likelihoods  # loads jax

        name = f"{config.judge} of {config.judge_model or 'embedded'}"
        name += "" if config.tokenizer is None else f" with {config.tokenizer}"
        mean = config.judge == "mean_likelihood"
        scored = likelihoods(items, config, console, mean=mean)
        utilities = _by_row(scored)
    return UtilityJudge(name, utilities, **noise, seed=config.seed)


def _by_row(values: Mapping[int, Sequence[float]]) -> Utilities:
    return lambda item: values[item.row]


def _endpoint(config: RankConfig) -> EndpointJudge:
    if config.judge_model is None:
        raise JudgeError("--judge URL: expected --judge-model NAME beside it")
    variable = config.judge_key_env
    template = TEMPLATE
    if config.judge_prompt is not None:
        try:
            template = config.judge_prompt.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise JudgeError(
                f"--judge-prompt {config.judge_prompt}: can't be read: {error}"
            ) from error
    return EndpointJudge(
        config.judge,
        config.judge_model,
        key=None if variable is None else read_key(variable),
        template=template,
        options=_options(config.judge_options or '{"temperature": 0}'),
        timeout=config.judge_timeout,
    )


def _options(text: str) -> dict:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or {"model", "messages", "stream"} & set(found):
        raise JudgeError(
            "--judge-options: expected a JSON object without model, messages and "
            'stream, such as \'{"temperature": 0, "max_tokens": 200}\''
        )
    return found
